"""Which modes the leader lists in `status.modes`, and with which target: the record that make-before-break rests on.

A mode that is new in the spec is listed only when its proxies are warm; until then the recorded shares stay as they
are, as a whole. A mode that left the spec stays listed with target 0 until no ready proxy has routes that name it;
only a mode that is listed nowhere loses its Service.
"""

from __future__ import annotations

from collections.abc import Collection, Set

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic import movement
from accord.domain.traffic.observed import Programming
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
    programming: Programming,
    *,
    frozen: bool,
    cold: Collection[str],
) -> dict[str, float]:
    """Targets by mode for the next `status.modes`, in its order: the modes of the spec, then those on their way out.

    `current` is the intent of the policy as it stands, which `programming` speaks of. `frozen`: the spec is suspended
    or not accepted, and what is recorded stays. `cold`: what `cold_modes` found.
    """
    listed = {mode.name: mode.target for mode in policy.status.modes}
    if frozen or (listed and cold):
        return listed
    wanted = movement.weights(policy)
    leaving = {name: 0.0 for name in listed if name not in wanted and not _is_gone(name, current, programming)}
    if listed and len(wanted) + len(leaving) > MOST_LISTED:
        return listed
    return wanted | leaving


def cold_modes(policy: TrafficPolicy, programming: Programming, awaited: Set[str]) -> tuple[str, ...]:
    """Modes of the spec that routes may not name yet, because a ready proxy may not know their pods.

    `awaited` are modes whose pods are about to appear: a proxy that knows of none is not warm for them.
    """
    if not _has_ready_proxy(programming):
        return ()
    known = {mode.name for mode in policy.status.modes} | (programming.warm - awaited)
    return tuple(mode.name for mode in policy.spec.modes if mode.name not in known)


def _is_gone(name: str, current: RoutingIntent | None, programming: Programming) -> bool:
    """Whether no ready proxy sends anything to the mode any more."""
    named = current is not None and name in current.weights
    return not named and (programming.routes_settled or not _has_ready_proxy(programming))


def _has_ready_proxy(programming: Programming) -> bool:
    return any(proxy.ready for proxy in programming.proxies)
