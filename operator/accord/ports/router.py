"""What carries the traffic: one implementation for each `router.type`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Protocol, runtime_checkable

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic.observed import Counted, Endpoint, Seen, Unsupported
from accord.domain.traffic.progress import Handover, Pending, Progress, Rejected, Settled, Unverifiable

__all__ = [
    "Handover",
    "HandsOver",
    "KeepsUp",
    "Pending",
    "Progress",
    "Proxies",
    "Rejected",
    "Router",
    "Settled",
    "Unverifiable",
]


class Router(Protocol):
    """A router of one type, for all policies of that type. It is told what to do by its objects in the cluster.

    `live` are the objects whose controller is the policy, as the watches know them. Every method is total.
    """

    @property
    def reads(self) -> Collection[tuple[str, str]]:
        """ApiVersion and kind of those of its objects whose status `progress` reads: of others none is kept."""

    def unsupported(self, policy: TrafficPolicy) -> tuple[Unsupported, ...]:
        """Fields of this spec that the router cannot honour. Depends on the spec alone."""

    def objects(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        """Objects that the router needs in the cluster, whole, without owner references and common labels. What they
        route is `routing.routing_intent`, and what routes now `in_force`.
        """

    def address(self, policy: TrafficPolicy) -> str | None:
        """Where clients reach it, as `host:port`."""

    def progress(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> Progress:
        """How far it has come with the routing of the policy as it stands."""


@runtime_checkable
class HandsOver(Router, Protocol):
    """A router whose word on when a mode may go is waited for, before the mode's Service is deleted."""

    def left(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> bool:
        """Whether it sends nothing any more to modes that the current routing does not name."""


@runtime_checkable
class KeepsUp(Router, Protocol):
    """A router that has to be told when a mode loses its pods, even while the spec is not followed."""

    def kept_up(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        """Of a policy that is suspended or not accepted: those of its live objects that route, with another mode in
        place of one without pods, and otherwise as they live. Of any other policy none.
        """


@runtime_checkable
class Proxies(Router, Protocol):
    """A router whose proxies the operator feeds itself: make before break is its own to manage.

    `publish` is called in every replica whenever the policy or its endpoints change, `forget` when it is gone; both
    return at once. The others are asked by the leader.
    """

    def publish(
        self,
        policy: TrafficPolicy,
        endpoints: Mapping[str, tuple[Endpoint, ...]],
        proxies: tuple[Endpoint, ...],
        revision: int,
    ) -> None:
        """Offer the configuration for this state. `endpoints` by mode; of a mode that is absent nothing is known, and
        the proxies keep the pods that they have. `proxies` are the router's own pods; `revision` is the highest
        resourceVersion seen among the policy and the slices.
        """

    def forget(self, namespace: str, name: str) -> None:
        """The policy is gone, or another router's."""

    def handover(self, policy: TrafficPolicy) -> Handover:
        """Which modes may be named now, and whether those that are not named may go."""

    def seen(self, policy: TrafficPolicy) -> Seen:
        """What the proxies see of the pods of each mode."""

    def counted(self, policy: TrafficPolicy, window: timedelta) -> Counted:
        """The requests that the proxies themselves counted within a window: `monitoring.window`, or that of a circuit
        breaker which has its failures `countedBy` them.
        """

    def awaited_pods(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> str | None:
        """A label selector of pods of its own that do not come up, in the policy's namespace; None where none are."""

    def pods_seen(self, policy: TrafficPolicy, found: Iterable[Manifest]) -> None:
        """Those pods as they are now, for the next `progress`."""
