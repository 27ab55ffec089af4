"""Who really answers: shares after modes without a ready pod have handed theirs over."""

from __future__ import annotations

from collections.abc import Set

from accord.domain.traffic.routing import RoutingIntent


def stand_in(intent: RoutingIntent, mode: str, ready: Set[str]) -> str | None:
    """The mode that answers for `mode`: itself where it is ready, else the first of the fallback order that is.

    None where no mode is ready.
    """
    if mode in ready:
        return mode
    return next((name for name in intent.fallback if name in ready), None)


def effective_shares(intent: RoutingIntent, ready: Set[str]) -> dict[str, float]:
    """Share in percent of each mode in `intent.clusters`, given the modes that have a ready endpoint.

    A mode without one gives its whole share to one mode, as the router's aggregate clusters do. With no ready mode at
    all, nothing is served and the shares are left as they are.
    """
    shares = dict.fromkeys(intent.clusters, 0.0)
    for mode, weight in intent.weights.items():
        shares[stand_in(intent, mode, ready) or mode] += weight
    return shares


def percent(value: float) -> str:
    """A share as people write it: 60.0 → `60`, 59.75 → `59.8`."""
    return f"{value:.1f}".removesuffix(".0")
