"""What an HTTPRoute cannot do, field by field: said in condition `Accepted`, before anything is written.

A field that has its default is not refused: it then means what the gateway does by itself (docs/how-to/gateway-api.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from accord.adapters.routers.gatewayapi import route
from accord.api.v1alpha1.trafficpolicy import EnvoyRouter, LoadBalancing, TrafficPolicy
from accord.domain.traffic.observed import Unsupported

REASON = "NotSupported"
_OWN = "an HTTPRoute leaves that to the gateway"
_UNTOLD = "gateways do not tell the operator what they count"


def unsupported(policy: TrafficPolicy) -> tuple[Unsupported, ...]:
    """Every field of this spec that an HTTPRoute cannot honour."""
    return tuple(Unsupported(f"spec.{field}", REASON, message) for field, message in _found(policy))


def _found(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    yield from _of_choice(policy)
    yield from _of_pods(policy)
    yield from _of_proxies(policy)
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
    if balancing.health_check.path is not None:
        yield "loadBalancing.healthCheck.path", f"{_OWN}; pods that are not ready get no requests"
    if balancing.health_check.interval != default.health_check.interval:
        yield "loadBalancing.healthCheck.interval", _OWN
    for index, mode in enumerate(policy.spec.modes):
        if mode.health_check is not None:
            yield f"modes[{index}].healthCheck", f"{_OWN}; pods that are not ready get no requests"


def _of_proxies(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    spec = policy.spec
    if spec.router.envoy.trusted_hops:
        yield "router.envoy.trustedHops", _OWN
    if spec.router.envoy.model_copy(update={"trusted_hops": 0}) != EnvoyRouter():
        yield "router.envoy", "these are settings of router type Envoy"
    further = ((f"circuitBreakers[{index}]", breaker) for index, breaker in enumerate(spec.circuit_breakers))
    for where, breaker in (("circuitBreaker", spec.circuit_breaker), *further):
        if breaker is not None and breaker.counted_by == "Proxies":
            yield f"{where}.countedBy", _UNTOLD
    for index, phase in enumerate(spec.phases):
        if phase.gate is not None and phase.gate.max_error_rate is not None:
            yield f"phases[{index}].gate.maxErrorRate", _UNTOLD


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
