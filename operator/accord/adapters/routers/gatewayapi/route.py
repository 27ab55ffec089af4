"""The HTTPRoute of a policy, whole: every field that the API server would fill in is there.

Rules in order of precedence, for all of them match the same path and one header at most, and of equals the first wins
(HTTPRouteRule, "Precedence"): the wish in the header, the wish in the cookie, the sticky cookie, and last the one that
draws a mode by weight and sets the cookie. A route sends a share to a mode without pods, too, and the gateway answers
it with 503: so the share of such a mode, and what names it, goes to the mode that stands in for it. Its users keep
their cookie and return.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from accord.adapters.routers import others
from accord.adapters.routers.headers import MODE_HEADER, TTL_HEADER, cookie_pattern, set_cookie, whole_seconds
from accord.adapters.routers.others import Named
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import GatewayAPIRouter, ParentReference, TrafficPolicy
from accord.domain.traffic import names
from accord.domain.traffic.routing import RoutingIntent, Sticky

API_VERSION = "gateway.networking.k8s.io/v1"
KIND = "HTTPRoute"
MOST_RULES = 16
"""`maxItems` of `spec.rules`."""


def http_route(policy: TrafficPolicy, settings: GatewayAPIRouter, intent: RoutingIntent) -> Manifest:
    """The route that does what `intent` says. `intent.weights` must not be empty."""
    ready = others.with_pods(policy, intent)
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": names.router(policy.metadata.name)},
        "spec": {
            "parentRefs": [parent(each) for each in settings.parent_refs],
            **({"hostnames": list(settings.hostnames)} if settings.hostnames else {}),
            "rules": list(_rules(policy, settings.path_prefix, intent, ready)),
        },
    }


def kept_up(policy: TrafficPolicy, live: Manifest, intent: RoutingIntent) -> Manifest:
    """The live route while the spec is not followed: see `others.kept_up`. Its parents, hosts and path stay."""
    rules = live["spec"].get("rules") or [{}]
    paths = [match.get("path") or {} for match in rules[-1].get("matches") or ()]
    prefix = paths[0].get("value", "/") if paths else "/"
    services = [each["name"] for each in rules[-1].get("backendRefs") or ()]

    def make(ready: Set[str]) -> Manifest:
        return {**live, "spec": {**live["spec"], "rules": list(_rules(policy, prefix, intent, ready))}}

    return others.kept_up(policy, intent, live, services, make)


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


def _rules(policy: TrafficPolicy, prefix: str, intent: RoutingIntent, ready: Set[str]) -> Iterator[Manifest]:
    drawn = others.drawn(intent, ready)
    for named in others.named(intent, ready):
        yield _rule(policy, prefix, [_match(named)], {named.answers: 1}, intent)
    if intent.sticky is not None and intent.paused:
        # Their users are served by others for now, and return: the cookie that they have is left alone.
        matches = [_cookie_is(intent.sticky.cookie, mode) for mode in sorted(intent.paused)]
        yield _rule(policy, prefix, matches, drawn, intent)
    yield _rule(policy, prefix, [], drawn, intent, intent.sticky)


def _match(named: Named) -> Manifest:
    if named.header is not None:
        return {"type": "Exact", "name": named.header, "value": named.mode}
    return _cookie_is(named.cookie, named.mode)


def _cookie_is(name: str, value: str) -> Manifest:
    return {"type": "RegularExpression", "name": "cookie", "value": cookie_pattern(name, value)}


def _rule(
    policy: TrafficPolicy,
    prefix: str,
    headers: list[Manifest],
    weights: Mapping[str, int],
    intent: RoutingIntent,
    sticky: Sticky | None = None,
) -> Manifest:
    path, below = {"path": {"type": "PathPrefix", "value": prefix}}, prefix.rstrip("/") or "/"
    told = {} if intent.cache_ttl is None else {"filters": [_tell_pods(whole_seconds(intent.cache_ttl))]}
    return {
        "matches": [{**path, "headers": [header]} for header in headers] or [path],
        **told,
        "backendRefs": [
            _backend(policy, mode, weight, None if sticky is None else set_cookie(sticky, mode, below))
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
