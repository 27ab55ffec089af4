"""What an HTTPRoute cannot do, field by field: said in condition `Accepted`, before anything is written.

A field that has its default is not refused: it then means what the gateway does by itself (docs/how-to/gateway-api.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from accord.adapters.routers import others
from accord.adapters.routers.gatewayapi import route
from accord.api.v1alpha1.trafficpolicy import LoadBalancing, TrafficPolicy
from accord.domain.traffic.observed import Unsupported

REASON = "NotSupported"
_OWN = "an HTTPRoute leaves that to the gateway"


def unsupported(policy: TrafficPolicy) -> tuple[Unsupported, ...]:
    """Every field of this spec that an HTTPRoute cannot honour."""
    return tuple(Unsupported(f"spec.{field}", REASON, message) for field, message in _found(policy))


def _found(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    yield from _of_choice(policy)
    yield from _of_pods(policy)
    yield from others.limits(policy, _OWN)
    yield from _too_many(policy)


def _of_choice(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    spec = policy.spec
    if spec.strategy == "RoundRobin":
        yield "strategy", "an HTTPRoute has weights and no order; use WeightedRandom or UserPreference"
    if spec.sticky_session.enabled and spec.sticky_session.header is not None:
        yield "stickySession.header", "an HTTPRoute has no consistent hash; only the cookie keeps a user with a mode"


def _of_pods(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    balancing, default = policy.spec.load_balancing, LoadBalancing()
    if balancing.algorithm != default.algorithm:
        yield "loadBalancing.algorithm", _OWN
    if balancing.max_queue_size != default.max_queue_size:
        yield "loadBalancing.maxQueueSize", _OWN
    yield from others.check_limits(policy, _OWN)


def _too_many(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    spec = policy.spec
    sticky, wish = spec.sticky_session.enabled, spec.strategy == "UserPreference"
    needed = route.count(len(spec.modes), sticky=sticky, wish=wish, breakers=bool(spec.breakers))
    if needed > route.MOST_RULES:
        yield (
            "modes",
            f"an HTTPRoute has at most {route.MOST_RULES} rules, and {len(spec.modes)} modes need up to {needed}: "
            "strategy UserPreference takes two for each mode, stickySession one",
        )
