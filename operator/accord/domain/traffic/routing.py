"""From a policy to the routing that it asks for, in terms that every router understands.

`routing_intent` is a pure function of one object as the API server holds it (spec and status), so every replica of
the operator comes to the same answer at the same resourceVersion, leader or not.

Its shares are those of `in_force`. Make before break: routes may name a mode only when its proxies are warm, which the
leader records by listing the mode in `status.modes` (see `membership`). Until all modes of the spec are listed, the
clusters of both old and new modes exist. `suspend` and a spec that is not accepted keep the shares, and everything else
about routing as `status.routing` recorded it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from accord.api.v1alpha1.trafficpolicy import RoutingInForce, TrafficPolicy, TrafficPolicySpec
from accord.domain.traffic import health, in_force
from accord.domain.traffic.health import Check


@dataclass(frozen=True)
class Sticky:
    """Session stickiness; `header` is None where only the cookie counts."""

    ttl: timedelta
    cookie: str
    header: str | None
    secure: bool = False
    same_site: Literal["Lax", "Strict", "None"] = "Lax"


@dataclass(frozen=True)
class Wish:
    """Where a request may say which mode it wishes for."""

    header: str
    cookie: str


@dataclass(frozen=True)
class RoutingIntent:
    """What the router is to do.

    `clusters` are the modes that the proxies keep connections for, in a stable order. `weights` gives the share in
    percent of each mode that routes may name; those of weight 0 are named by nothing. `fallback` orders the modes that
    step in for a failed one: the fallback mode first, then the others by falling weight.
    """

    clusters: tuple[str, ...]
    weights: dict[str, float]
    fallback: tuple[str, ...]
    strategy: Literal["WeightedRandom", "RoundRobin"]
    sticky: Sticky | None
    wish: Wish | None
    algorithm: Literal["LeastConnections", "RoundRobin", "Random"]
    checks: dict[str, Check]
    """How the pods of each mode in `clusters` are checked."""
    health_interval: timedelta
    max_queue_size: int
    trusted_hops: int
    paused: frozenset[str] = frozenset()
    """Modes that get requests by their share alone, if any: neither a wish nor a cookie that names them counts, and the
    cookie stays as it is."""
    cache_ttl: timedelta | None = None
    """How long the pods may reuse an answer; None where no circuit breaker says."""


def routing_intent(policy: TrafficPolicy, *, accepted: bool) -> RoutingIntent | None:
    """The routing that `policy` asks for now, or None where there is nothing to publish.

    `accepted` and the shares are those of `in_force.asked`.
    """
    spec, status = policy.spec, policy.status
    frozen = spec.suspend or not accepted
    asked = in_force.asked(policy, accepted=accepted)
    if asked is None:
        return None
    listed = {mode.name for mode in status.modes}
    clusters = sorted(listed if frozen else listed | {mode.name for mode in spec.modes})
    weights = {name: asked.shares[name] for name in clusters if name in asked.shares}
    style = status.routing if frozen and status.routing is not None else style_of(spec)
    by_weight = sorted(weights, key=lambda name: (name != style.fallback_mode, -weights[name], name))
    sticky, wish = style.sticky_session, style.user_preference
    return RoutingIntent(
        clusters=tuple(clusters),
        weights=weights,
        fallback=tuple(by_weight),
        strategy="RoundRobin" if style.strategy == "RoundRobin" else "WeightedRandom",
        sticky=(
            Sticky(sticky.ttl, sticky.cookie, sticky.header, sticky.secure, sticky.same_site)
            if sticky.enabled
            else None
        ),
        wish=Wish(wish.header, wish.cookie) if style.strategy == "UserPreference" else None,
        algorithm=style.load_balancing.algorithm,
        checks=_checks(policy, clusters, frozen=frozen),
        health_interval=style.load_balancing.health_check.interval,
        max_queue_size=style.load_balancing.max_queue_size,
        trusted_hops=style.trusted_hops,
        paused=asked.paused,
        cache_ttl=min((each.cache_ttl for each in status.circuit_breakers if each.cache_ttl is not None), default=None),
    )


def _checks(policy: TrafficPolicy, modes: list[str], *, frozen: bool) -> dict[str, Check]:
    """What the spec says, unless it is frozen; else what the leader recorded, else a connection."""
    routing = policy.status.routing
    recorded = health.read(routing.health_checks) if routing is not None else {}
    spec = {} if frozen and routing is not None else {mode.name: mode for mode in policy.spec.modes}
    said = {name: health.given(policy.spec, mode) for name, mode in spec.items()}
    shared = policy.spec.load_balancing if routing is None or not frozen else routing.load_balancing
    otherwise = Check(shared.health_check.path)
    checks = {name: said.get(name) or recorded.get(name, otherwise) for name in modes}
    return {name: health.spoken(spec[name], check) if name in spec else check for name, check in checks.items()}


def style_of(spec: TrafficPolicySpec, since: str = "", checks: Mapping[str, Check] | None = None) -> RoutingInForce:
    """What `spec` says about routing besides the shares. `since` (RFC 3339) is when the shares came into force;
    `checks` are those of `health.wanted`.
    """
    return RoutingInForce(
        strategy=spec.strategy,
        user_preference=spec.user_preference,
        sticky_session=spec.sticky_session,
        fallback_mode=spec.fallback,
        load_balancing=spec.load_balancing,
        health_checks=health.record(checks or {}),
        trusted_hops=spec.router.trusted_hops,
        since=since,
    )
