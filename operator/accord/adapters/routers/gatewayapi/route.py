"""The HTTPRoute of a policy, whole: every field that the API server would fill in is there.

Rules in order of precedence, for all of them match the same path and one header at most, and of equals the first wins
(HTTPRouteRule, "Precedence"): the wish in the header, the wish in the cookie, the sticky cookie, and last the one that
draws a mode by weight and sets the cookie. A route sends a share to a mode without pods, too, and the gateway answers
it with 503: so the share of such a mode, and what names it, goes to the mode that stands in for it. Its users keep
their cookie and return.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from accord.adapters.routers.headers import MODE_HEADER, TTL_HEADER, whole_seconds
from accord.adapters.routers.weights import whole
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import GatewayAPIRouter, ParentReference, TrafficPolicy
from accord.domain.traffic import names
from accord.domain.traffic.routing import RoutingIntent, Sticky
from accord.domain.traffic.shares import effective_shares, stand_in

API_VERSION = "gateway.networking.k8s.io/v1"
KIND = "HTTPRoute"
MOST_RULES = 16
"""`maxItems` of `spec.rules`."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]")


def http_route(policy: TrafficPolicy, settings: GatewayAPIRouter, intent: RoutingIntent) -> Manifest:
    """The route that does what `intent` says. `intent.weights` must not be empty."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": names.router(policy.metadata.name)},
        "spec": {
            "parentRefs": [parent(each) for each in settings.parent_refs],
            **({"hostnames": list(settings.hostnames)} if settings.hostnames else {}),
            "rules": list(_rules(policy, settings.path_prefix, intent)),
        },
    }


def parent(reference: ParentReference) -> Manifest:
    """A reference to a parent, as the route has it."""
    given = {"namespace": reference.namespace, "name": reference.name, "sectionName": reference.section_name}
    return {
        "group": reference.group,
        "kind": reference.kind,
        **{name: value for name, value in given.items() if value is not None},
    }


def count(modes: int, *, sticky: bool, wish: bool, breakers: bool) -> int:
    """How many rules a route may need at most."""
    return modes * (int(sticky) + 2 * int(wish)) + int(sticky and breakers) + 1


def _rules(policy: TrafficPolicy, prefix: str, intent: RoutingIntent) -> Iterator[Manifest]:
    ready = _ready(policy, intent)
    drawn = {name: share for name, share in effective_shares(intent, ready).items() if share > 0}
    for match, mode in _named(intent):
        yield _rule(policy, prefix, [match], {stand_in(intent, mode, ready) or mode: 1}, intent)
    if intent.sticky is not None and intent.paused:
        # Their users are served by others for now, and return: the cookie that they have is left alone.
        matches = [_cookie_is(intent.sticky.cookie, mode) for mode in sorted(intent.paused)]
        yield _rule(policy, prefix, matches, _weights(drawn), intent)
    yield _rule(policy, prefix, [], _weights(drawn), intent, intent.sticky)


def _ready(policy: TrafficPolicy, intent: RoutingIntent) -> frozenset[str]:
    """Modes with ready pods, as the status records them; all while it records none."""
    recorded = policy.status.modes
    return frozenset(mode.name for mode in recorded if mode.ready_pods) if recorded else frozenset(intent.clusters)


def _named(intent: RoutingIntent) -> Iterator[tuple[Manifest, str]]:
    """(match of a header, the mode that it names) in order of precedence."""
    modes = sorted(intent.weights.keys() - intent.paused)
    if intent.wish is not None:
        for mode in modes:
            yield {"type": "Exact", "name": intent.wish.header, "value": mode}, mode
        for mode in modes:
            yield _cookie_is(intent.wish.cookie, mode), mode
    if intent.sticky is not None:
        for mode in modes:
            yield _cookie_is(intent.sticky.cookie, mode), mode


def _cookie_is(name: str, value: str) -> Manifest:
    """Gateways search for the expression or match the whole header by it: it means the same for both."""
    escaped = "".join(map(_escaped, name))
    return {"type": "RegularExpression", "name": "cookie", "value": f"^(.*; *)?{escaped}={value}( *;.*)?$"}


def _escaped(character: str) -> str:
    """For RE2 and Go. A backtick by its number: some gateways write expressions between two of them."""
    if _PLAIN.fullmatch(character):
        return character
    return r"\x60" if character == "`" else f"\\{character}"


def _rule(
    policy: TrafficPolicy,
    prefix: str,
    headers: list[Manifest],
    weights: Mapping[str, int],
    intent: RoutingIntent,
    sticky: Sticky | None = None,
) -> Manifest:
    path = {"path": {"type": "PathPrefix", "value": prefix}}
    told = {} if intent.cache_ttl is None else {"filters": [_tell_pods(whole_seconds(intent.cache_ttl))]}
    return {
        "matches": [{**path, "headers": [header]} for header in headers] or [path],
        **told,
        "backendRefs": [
            _backend(policy, mode, weight, None if sticky is None else _cookie(sticky, mode, prefix))
            for mode, weight in weights.items()
        ],
    }


def _backend(policy: TrafficPolicy, mode: str, weight: int, cookie: str | None) -> Manifest:
    answer: Manifest = {"set": [{"name": MODE_HEADER, "value": mode}]}
    if cookie is not None:
        answer["add"] = [{"name": "set-cookie", "value": cookie}]
    return {
        "group": "",
        "kind": "Service",
        "name": names.mode_service(policy.metadata.name, mode),
        "port": names.SERVICE_PORT,
        "weight": weight,
        "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": answer}],
    }


def _tell_pods(seconds: int) -> Manifest:
    return {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": TTL_HEADER, "value": str(seconds)}]},
    }


def _weights(shares: Mapping[str, float]) -> dict[str, int]:
    """Percents where they are whole, for people read them; else hundredths. Never all 0."""
    if all(share == int(share) for share in shares.values()):
        return {mode: int(shares[mode]) for mode in sorted(shares)}
    weights = whole(shares)
    return {mode: weights[mode] for mode in sorted(weights)}


def _cookie(sticky: Sticky, mode: str, prefix: str) -> str:
    """Max-Age counts from the first answer: only the rule that draws a mode sets the cookie."""
    path = prefix.rstrip("/") or "/"
    age, secure = whole_seconds(sticky.ttl), "; Secure" if sticky.secure else ""
    return f"{sticky.cookie}={mode}; Max-Age={age}; Path={path}; HttpOnly{secure}; SameSite={sticky.same_site}"
