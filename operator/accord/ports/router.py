"""What carries the traffic: one implementation for each `router.type`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic.observed import Counted, Endpoint, Programming, Unsupported


class Router(Protocol):
    """A router of one type, for all policies of that type.

    `unsupported` and `objects` are pure. `publish` is called in every replica whenever the policy or its endpoints
    change, `forget` when it is gone; both return at once. `programming` is what the leader knows of the outcome.
    """

    def unsupported(self, policy: TrafficPolicy) -> tuple[Unsupported, ...]:
        """Fields of this spec that the router cannot honour."""

    def objects(self, policy: TrafficPolicy) -> tuple[Manifest, ...]:
        """Objects that the router needs in the cluster, without owner references and common labels."""

    def address(self, policy: TrafficPolicy) -> str | None:
        """Where clients reach it, as `host:port`."""

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
        """The policy is gone."""

    def programming(self, namespace: str, name: str) -> Programming:
        """How far the ready proxies have come."""

    def counted(self, policy: TrafficPolicy) -> Counted:
        """The requests that the router itself counted within `monitoring.window`."""
