"""What a VirtualService cannot do, field by field: said in condition `Accepted`, before anything is written.

A field that has its default is not refused: it then means what Istio does by itself (docs/how-to/istio.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from accord.adapters.routers import others
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic.observed import Unsupported

REASON = "NotSupported"
_IGNORED = frozenset({"uri", "scheme", "method", "authority"})
"""Istio's HTTPMatchRequest: these keys of `headers` are ignored."""


def unsupported(policy: TrafficPolicy) -> tuple[Unsupported, ...]:
    """Every field of this spec that a VirtualService and DestinationRules cannot honour."""
    return tuple(Unsupported(f"spec.{field}", REASON, message) for field, message in _found(policy))


def _found(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    spec = policy.spec
    if spec.strategy == "RoundRobin":
        yield "strategy", "a VirtualService has weights and no order; use WeightedRandom or UserPreference"
    if spec.sticky_session.enabled and spec.sticky_session.header is not None:
        yield (
            "stickySession.header",
            "a consistent hash of Istio does not choose between modes; only the cookie keeps a user with a mode",
        )
    if spec.strategy == "UserPreference" and spec.user_preference.header.lower() in _IGNORED:
        yield "userPreference.header", f"a VirtualService cannot match a header named {spec.user_preference.header}"
    yield from _of_hosts(policy)
    yield from others.check_limits(policy, "Istio makes no health checks")
    yield from others.limits(policy, "Istio leaves that to the mesh configuration (numTrustedProxies)")


def _of_hosts(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    """Istio takes a VirtualService with such hosts for invalid, and none of it."""
    settings = policy.spec.router.istio
    hosts = () if settings is None else tuple(settings.hosts)
    twice = ((wide, host) for wide in hosts for host in hosts if wide != host and _includes(wide, host))
    for wide, host in twice:
        yield "router.istio.hosts", f"{wide} includes {host}, and a VirtualService may have only one of them"
        return


def _includes(wide: str, host: str) -> bool:
    return wide.startswith("*") and host.endswith(wide.removeprefix("*"))
