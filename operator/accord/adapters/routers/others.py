"""What routers have in common whose proxies are somebody else's: they are told by objects, and choose among modes.

Such proxies send a share to a mode without pods, too, and answer it with 503: so the share of such a mode, and what
names it, goes to the mode that stands in for it. What they count they do not tell the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Set
from typing import NamedTuple

from accord.adapters.routers.weights import whole
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import EnvoyRouter, TrafficPolicy
from accord.domain.children import needs_apply
from accord.domain.traffic import names
from accord.domain.traffic.routing import RoutingIntent, routing_intent
from accord.domain.traffic.shares import effective_shares, stand_in

_UNTOLD = "gateways do not tell the operator what they count"


class Named(NamedTuple):
    """What in a request names a mode, and the mode that answers it."""

    header: str | None
    """A header whose value is the mode's name, or None for a cookie."""
    cookie: str
    mode: str
    answers: str


def named(intent: RoutingIntent, ready: Set[str]) -> Iterator[Named]:
    """In order of precedence: the wish in the header, the wish in the cookie, the sticky cookie. `ready` are the modes
    with pods.
    """
    modes = {mode: stand_in(intent, mode, ready) or mode for mode in sorted(intent.weights.keys() - intent.paused)}
    if intent.wish is not None:
        for mode, answers in modes.items():
            yield Named(intent.wish.header, "", mode, answers)
        for mode, answers in modes.items():
            yield Named(None, intent.wish.cookie, mode, answers)
    if intent.sticky is not None:
        for mode, answers in modes.items():
            yield Named(None, intent.sticky.cookie, mode, answers)


def drawn(intent: RoutingIntent, ready: Set[str]) -> dict[str, int]:
    """Weights of the modes that are drawn, of which `ready` have pods. Percents where they are whole, for people read
    them; else hundredths. Never all 0.
    """
    shares = effective_shares(intent, ready)
    return _weights({name: share for name, share in shares.items() if share > 0})


def with_pods(policy: TrafficPolicy, intent: RoutingIntent) -> frozenset[str]:
    """Modes with ready pods, as the status records them; all while it records none."""
    recorded = policy.status.modes
    return frozenset(mode.name for mode in recorded if mode.ready_pods) if recorded else frozenset(intent.clusters)


def held(policy: TrafficPolicy, *, accepted: bool) -> RoutingIntent | None:
    """The routing of a policy whose spec is not followed, as it is suspended or not accepted. None for any other, and
    where nothing is routed.
    """
    if accepted and not policy.spec.suspend:
        return None
    intent = routing_intent(policy, accepted=accepted)
    return intent if intent is not None and intent.weights else None


def kept_up(
    policy: TrafficPolicy,
    intent: RoutingIntent,
    live: Manifest,
    services: Collection[str],
    make: Callable[[Set[str]], Manifest],
) -> Manifest:
    """What a live object becomes while the spec is not followed: another mode stands in for one that lost its pods, as
    the built-in router's proxies have it, and nothing else changes.

    `services` are those that `live` draws from, and `make` is the object for the modes with pods. `live` itself is the
    answer where it is none that we would have made for any of them: an edit of somebody's is left alone.
    """
    before = {mode for mode in intent.clusters if names.mode_service(policy.metadata.name, mode) in services}
    return live if needs_apply(make(before), live) else make(with_pods(policy, intent))


def limits(policy: TrafficPolicy, own: str) -> Iterator[tuple[str, str]]:
    """(field, why) of what none of them can honour; `own` says to whom settings of the proxies are left."""
    spec = policy.spec
    if spec.router.envoy.trusted_hops:
        yield "router.envoy.trustedHops", own
    if spec.router.envoy.model_copy(update={"trusted_hops": 0}) != EnvoyRouter():
        yield "router.envoy", "these are settings of router type Envoy"
    further = ((f"circuitBreakers[{index}]", breaker) for index, breaker in enumerate(spec.circuit_breakers))
    for where, breaker in (("circuitBreaker", spec.circuit_breaker), *further):
        if breaker is not None and breaker.counted_by == "Proxies":
            yield f"{where}.countedBy", _UNTOLD
    for index, phase in enumerate(spec.phases):
        if phase.gate is not None and phase.gate.max_error_rate is not None:
            yield f"phases[{index}].gate.maxErrorRate", _UNTOLD


def check_limits(policy: TrafficPolicy, own: str) -> Iterator[tuple[str, str]]:
    """The same of health checks, which none of them makes; `own` says why."""
    balancing, default = policy.spec.load_balancing, type(policy.spec.load_balancing)()
    if balancing.health_check.path is not None:
        yield "loadBalancing.healthCheck.path", f"{own}; pods that are not ready get no requests"
    if balancing.health_check.interval != default.health_check.interval:
        yield "loadBalancing.healthCheck.interval", own
    for index, mode in enumerate(policy.spec.modes):
        if mode.health_check is not None:
            yield f"modes[{index}].healthCheck", f"{own}; pods that are not ready get no requests"


def _weights(shares: Mapping[str, float]) -> dict[str, int]:
    if all(share == int(share) for share in shares.values()):
        return {mode: int(shares[mode]) for mode in sorted(shares)}
    weights = whole(shares)
    return {mode: weights[mode] for mode in sorted(weights)}
