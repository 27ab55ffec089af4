"""What follows from the facts before anything is said or written: one value that all later steps read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from accord.api.v1alpha1.trafficpolicy import ModeStatus, TrafficPolicy
from accord.domain.conditions import parse_timestamp
from accord.domain.traffic import acceptance, health, in_force, membership, movement, shares
from accord.domain.traffic.downshift import Moved
from accord.domain.traffic.in_force import InForce
from accord.domain.traffic.movement import Movement
from accord.domain.traffic.observed import Observed, Sight, Unsupported
from accord.domain.traffic.progress import PENDING, Pending, Rejected
from accord.domain.traffic.resources import is_selectable, mode_service_key
from accord.domain.traffic.routing import RoutingIntent, routing_intent

ENDPOINTS_DUE = timedelta(seconds=10)
"""How long routes wait for the endpoints of a new mode whose Deployment says that it has ready pods."""


@dataclass(frozen=True)
class Assessment:
    """One policy at one moment.

    `current` is the routing that the router was asked for and whose progress is known; `targets` and `intent` are what
    will be once this pass has written the status.
    """

    observed: Observed
    now: datetime
    refusals: tuple[Unsupported, ...]
    current: RoutingIntent | None
    targets: Mapping[str, float]
    intent: RoutingIntent | None
    cold: tuple[str, ...]
    """Modes of the spec that routes may not name yet."""
    ready: Mapping[str, int]
    """Ready endpoints by mode, of every mode in the spec or the status."""
    effective: Mapping[str, float]
    """Shares of all modes that the proxies know, after fallback."""
    in_force: InForce | None
    """What routes once this pass has written the status, and why."""
    sights: Mapping[str, Sight]
    """How the proxies see the pods of each mode."""
    failing: frozenset[str]
    """Modes whose ready pods no proxy sends anything to."""
    movement: Movement
    """The next state of circuit breakers and phases."""
    moved: Moved
    """What the circuit breakers then make of the targets."""

    @property
    def policy(self) -> TrafficPolicy:
        """The policy."""
        return self.observed.policy

    @property
    def accepted(self) -> bool:
        """Whether the whole spec can be honoured."""
        return not self.refusals

    @property
    def frozen(self) -> bool:
        """Whether routing stays as it is, whatever the spec says."""
        return self.policy.spec.suspend or not self.accepted

    @property
    def ready_modes(self) -> frozenset[str]:
        """Modes with at least one ready endpoint."""
        return frozenset(mode for mode, count in self.ready.items() if count)

    @property
    def checks(self) -> Mapping[str, health.Check]:
        """How the pods of each mode shall be checked: those of the spec, and those on their way out."""
        routing = self.policy.status.routing
        recorded = routing.health_checks if routing is not None else []
        wanted = health.wanted(self.policy.spec, self.observed.deployments, recorded)
        leaving = {name: check for name, check in health.read(recorded).items() if name in self.leaving}
        return dict(list((wanted | leaving).items())[: membership.MOST_LISTED])

    @property
    def leaving(self) -> frozenset[str]:
        """Modes that are still listed and no longer in the spec."""
        return frozenset(self.targets) - {mode.name for mode in self.policy.spec.modes}

    @property
    def answering(self) -> frozenset[str]:
        """Modes that answer their requests themselves. Where the proxies find none at all, they try every ready one."""
        return (self.ready_modes - self.failing) or self.ready_modes

    @property
    def is_unanswered(self) -> bool:
        """Whether the router, or a part of it, is about to say what it makes of what it was asked."""
        progress = self.observed.router.progress
        if isinstance(progress, Rejected):
            return progress.undecided
        return isinstance(progress, Pending) and progress.reason == PENDING

    @property
    def is_turning(self) -> bool:
        """Whether writing the status will move the routes."""
        if self.current is None or self.intent is None:
            return False
        return (self.current.weights, self.current.paused) != (self.intent.weights, self.intent.paused)

    @property
    def shares_change(self) -> bool:
        """Whether the shares that will be recorded are not those that are."""
        recorded = {mode.name: mode.target for mode in self.policy.status.modes if mode.target}
        return recorded != {name: target for name, target in self.targets.items() if target}

    @property
    def since(self) -> datetime:
        """When the shares changed last: now, if they do."""
        routing = self.policy.status.routing
        return self.now if self.shares_change or routing is None else parse_timestamp(routing.since)


def assess(observed: Observed, now: datetime, *, within_target: bool | None = None) -> Assessment:
    """Everything that can be concluded without a word. `within_target`: whether the split was found to be as specified,
    for the gate of a phase; None: not known.
    """
    policy, handover, seen = observed.policy, observed.router.handover, observed.router.seen
    refusals = acceptance.refusals(observed.router.unsupported)
    accepted = not refusals
    current = routing_intent(policy, accepted=accepted)
    recorded = {mode.name: mode.ready_pods for mode in policy.status.modes}
    ready = {
        mode: recorded.get(mode, 0)
        if mode in observed.unseen
        else sum(endpoint.ready for endpoint in observed.endpoints.get(mode, ()))
        for mode in membership.known_modes(policy)
    }
    cold: tuple[str, ...] = ()
    if accepted and not policy.spec.suspend and policy.status.modes:
        cold = membership.cold_modes(policy, handover, _endpoints_awaited(observed, ready, now))
    frozen = policy.spec.suspend or not accepted
    moving = movement.advance(observed, now, frozen=frozen, within_target=within_target)
    ahead = moving.onto(policy)
    targets = membership.next_targets(ahead, current, handover, frozen=frozen, cold=cold)
    listed = _with_targets(ahead, targets)
    intent = routing_intent(listed, accepted=accepted)
    available = frozenset(mode for mode, count in ready.items() if count)
    sights = seen.sights if seen.looked else _recalled(policy)
    failing = frozenset(mode for mode in available if _is_failing(sights.get(mode)))
    effective = {} if intent is None else shares.effective_shares(intent, (available - failing) or available)
    asked = in_force.asked(listed, accepted=accepted)
    return Assessment(
        observed=observed,
        now=now,
        refusals=refusals,
        current=current,
        targets=targets,
        intent=intent,
        cold=cold,
        ready=ready,
        effective=effective,
        in_force=None if asked is None else in_force.lasting(in_force.answered(asked, effective), policy.status, now),
        sights=sights,
        failing=failing,
        movement=moving,
        moved=movement.moved(listed, targets, frozen=policy.spec.suspend or not accepted),
    )


def _recalled(policy: TrafficPolicy) -> dict[str, Sight]:
    """What the status says that the proxies saw: a new leader takes nothing back before it has asked them itself."""
    return {
        mode.name: Sight(mode.ready_pods, mode.healthy_pods + (mode.ejected_pods or 0), mode.healthy_pods)
        for mode in policy.status.modes
        if mode.healthy_pods is not None
    }


def _is_failing(sight: Sight | None) -> bool:
    """Whether the proxies know pods of a mode and send requests to none of them. What is not known fails nothing."""
    return sight is not None and sight.pods > 0 and sight.healthy == 0


def _with_targets(policy: TrafficPolicy, targets: Mapping[str, float]) -> TrafficPolicy:
    modes = [ModeStatus(name=name, target=target, effective=0) for name, target in targets.items()]
    return policy.model_copy(update={"status": policy.status.model_copy(update={"modes": modes})})


def _endpoints_awaited(observed: Observed, ready: Mapping[str, int], now: datetime) -> frozenset[str]:
    """Modes whose pods are ready, says the Deployment, but not yet in any EndpointSlice."""
    # Without its Service a mode has no endpoints, however long one waits.
    refused = frozenset(
        mode.name
        for mode in observed.policy.spec.modes
        if mode_service_key(observed.policy, mode.name) in observed.refusals
    )
    offered_at = observed.router.handover.offered_at
    if offered_at is None or now - offered_at >= ENDPOINTS_DUE:
        return refused
    return refused | frozenset(
        mode.name
        for mode in observed.policy.spec.modes
        if (deployment := observed.deployments.get(mode.deployment_ref.name)) is not None
        and deployment.ready_replicas > 0
        and is_selectable(deployment)
        and not ready[mode.name]
        and mode_service_key(observed.policy, mode.name) not in observed.conflicts
    )
