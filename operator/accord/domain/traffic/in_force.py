"""Which shares are in force, and why: the one place that says what routes right now.

`asked` is a pure function of one object as the API server holds it, so every replica names the same shares in its
routes at the same resourceVersion. What stands between the spec and its traffic is applied in this order, and the last
that has an effect gives the reason:

1. the spec itself (`Spec`), or the phase of the rollout that is on (`Phase`);
2. the shares that are recorded stay as a whole: `Suspended`, `NotAccepted`, or `Warming` until the router can send
   requests to every mode of the spec;
3. the shares of modes whose circuit breaker is not closed go to others (`CircuitOpen`);
4. modes without pods that answer hand theirs over (`answered`, `Fallback`). Routers do that by themselves or are told.

Whatever else moves shares belongs between 2 and 4 and is read from the status, never from a clock: a replica that is
told of a time later than another one must not route otherwise. The leader writes what begins and ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from accord.api.v1alpha1.trafficpolicy import InForceReason, SharesInForce, TrafficPolicy, TrafficPolicyStatus
from accord.domain.conditions import parse_timestamp, timestamp
from accord.domain.traffic import movement


@dataclass(frozen=True)
class InForce:
    """Share of each mode that gets any, in percent; modes without one are left out."""

    shares: Mapping[str, float]
    reason: InForceReason
    since: datetime | None = None
    """Since when it has been so, for this reason. None until the leader has recorded it."""
    until: datetime | None = None
    """When it ends by itself, where that is known."""
    paused: frozenset[str] = frozenset()
    """Modes that get nothing by preference or stickiness."""


def asked(policy: TrafficPolicy, *, accepted: bool) -> InForce | None:
    """What routes are to name, before any mode steps in for another; None where nothing is to be routed.

    `accepted` is False when the spec asks for something that cannot be honoured (`acceptance.refusals`): then what was
    programmed before stays, and a policy that never was programmed publishes nothing. The same holds for `suspend`.
    """
    wanted = movement.weights(policy)
    programmed = {mode.name: mode.target for mode in policy.status.modes}
    held: InForceReason | None = None
    if policy.spec.suspend:
        held = "Suspended"
    elif not accepted:
        held = "NotAccepted"
    elif programmed and not wanted.keys() <= programmed.keys():
        held = "Warming"
    if held is not None and not programmed:
        return None
    if held is not None:
        base = InForce(programmed, held)
    elif movement.is_in_phase(policy):
        base = InForce(wanted, "Phase", until=movement.phase_until(policy))
    else:
        base = InForce(wanted, "Spec")
    moved = movement.moved(policy, base.shares, frozen=held is not None)
    if moved.moves:
        base = InForce(moved.shares, "CircuitOpen", until=movement.circuit_until(policy), paused=moved.paused)
    return replace(base, shares=_some(base.shares))


def answered(by_routes: InForce, shares: Mapping[str, float]) -> InForce:
    """What really routes, given the shares after modes without pods have handed theirs over."""
    effective = _some(shares)
    return by_routes if effective == by_routes.shares else replace(by_routes, shares=effective, reason="Fallback")


def lasting(now_in_force: InForce, status: TrafficPolicyStatus, now: datetime) -> InForce:
    """With the time since when: what is recorded, where nothing but the end has changed; else `now`."""
    before = read(status)
    same = before is not None and (before.shares, before.reason) == (now_in_force.shares, now_in_force.reason)
    return replace(now_in_force, since=before.since if before is not None and same else now)


def read(status: TrafficPolicyStatus) -> InForce | None:
    """What the leader recorded last."""
    found = status.in_force
    if found is None:
        return None
    until = None if found.until is None else parse_timestamp(found.until)
    return InForce(found.shares, found.reason, parse_timestamp(found.since), until)


def record(in_force: InForce | None, now: datetime) -> SharesInForce | None:
    """As the status holds it."""
    if in_force is None:
        return None
    return SharesInForce(
        shares=dict(in_force.shares),
        reason=in_force.reason,
        since=timestamp(in_force.since or now),
        until=None if in_force.until is None else timestamp(in_force.until),
    )


def _some(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: share for name, share in shares.items() if share > 0}
