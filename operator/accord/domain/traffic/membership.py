"""Which modes the leader lists in `status.modes`, and with which target: the record that make-before-break rests on.

A mode that is new in the spec is listed only when the router can send requests to it at once; until then the recorded
shares stay as they are, as a whole. A mode that left the spec stays listed with target 0 until the router has no routes
that name it; only a mode that is listed nowhere loses its Service. How a router knows is its own affair (`Handover`).
"""

from __future__ import annotations

from collections.abc import Collection, Set

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic import movement
from accord.domain.traffic.progress import Handover
from accord.domain.traffic.routing import RoutingIntent

MOST_LISTED = 32
"""`maxItems` of `status.modes`: modes of the spec and modes on their way out together."""


def known_modes(policy: TrafficPolicy) -> list[str]:
    """Modes of the spec, then those on their way out; each once."""
    listed = (mode.name for mode in policy.status.modes)
    return list(dict.fromkeys((*(mode.name for mode in policy.spec.modes), *listed)))


def next_targets(
    policy: TrafficPolicy,
    current: RoutingIntent | None,
    handover: Handover,
    *,
    frozen: bool,
    cold: Collection[str],
) -> dict[str, float]:
    """Targets by mode for the next `status.modes`, in its order: the modes of the spec, then those on their way out.

    `current` is the intent of the policy as it stands, which `handover` speaks of. `frozen`: the spec is suspended
    or not accepted, and what is recorded stays. `cold`: what `cold_modes` found.
    """
    listed = {mode.name: mode.target for mode in policy.status.modes}
    if frozen or (listed and cold):
        return listed
    wanted = movement.weights(policy)
    leaving = {name: 0.0 for name in listed if name not in wanted and not _is_gone(name, current, handover)}
    if listed and len(wanted) + len(leaving) > MOST_LISTED:
        return listed
    return wanted | leaving


def cold_modes(policy: TrafficPolicy, handover: Handover, awaited: Set[str]) -> tuple[str, ...]:
    """Modes of the spec that routes may not name yet, because the router may not know their pods.

    `awaited` are modes whose pods are about to appear: a router that knows of none is not warm for them.
    """
    if handover.able is None:
        return ()
    known = {mode.name for mode in policy.status.modes} | (handover.able - awaited)
    return tuple(mode.name for mode in policy.spec.modes if mode.name not in known)


def _is_gone(name: str, current: RoutingIntent | None, handover: Handover) -> bool:
    """Whether the router sends nothing to the mode any more."""
    return handover.left and (current is None or name not in current.weights)
