"""RDS: how a request finds its mode.

Each decision is a pair of routes: one for idempotent methods, which are tried on another mode after any failure, and
one for the others, which are repeated only where no server can have seen them. In this order: the request's own wish,
the sticky cookie, the hash of the sticky header, chance (or the cycle). A wish or cookie for a mode that takes no
traffic matches nothing and falls through.
"""

from __future__ import annotations

from collections.abc import Iterator

from accord.adapters.routers.envoy.clusters import route_cluster
from accord.adapters.routers.envoy.cycle import SLOT_HEADER, in_cycle
from accord.adapters.routers.envoy.xds import METADATA, ROUTES, SUBSET_METADATA, Json, extension
from accord.adapters.routers.headers import MODE_HEADER, TTL_HEADER, whole_seconds
from accord.adapters.routers.retries import ANY_FAILURE, IDEMPOTENT, UNSEEN, attempts
from accord.adapters.routers.weights import whole
from accord.domain.traffic.routing import RoutingIntent, Sticky

_ANSWERED_BY = f"%UPSTREAM_METADATA({METADATA}:mode)%"
_OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"


def route_configuration(intent: RoutingIntent) -> Json:
    """The one route configuration of a policy."""
    return {
        "name": ROUTES,
        "virtual_hosts": [
            {
                "name": ROUTES,
                "domains": ["*"],
                "routes": [route for match, action in _choices(intent) for route in _by_method(intent, match, action)],
                "response_headers_to_add": [_header(MODE_HEADER, _ANSWERED_BY, _OVERWRITE)],
                **_told_to_pods(intent),
            }
        ],
    }


def _told_to_pods(intent: RoutingIntent) -> Json:
    if intent.cache_ttl is None:
        return {}
    seconds = str(whole_seconds(intent.cache_ttl))
    return {"request_headers_to_add": [_header(TTL_HEADER, seconds, _OVERWRITE)]}


def _choices(intent: RoutingIntent) -> Iterator[tuple[Json, Json]]:
    """(match, rest of the route) in order of precedence."""
    modes = sorted(intent.weights.keys() - intent.paused)
    if intent.wish:
        for mode in modes:
            yield {"headers": [_equals(intent.wish.header, mode)]}, {"route": _to_mode(mode)}
        for mode in modes:
            yield {"cookies": [_equals(intent.wish.cookie, mode)]}, {"route": _to_mode(mode)}
    if intent.sticky:
        for mode in modes:
            yield {"cookies": [_equals(intent.sticky.cookie, mode)]}, {"route": _to_mode(mode)}
    if intent.sticky and intent.paused:
        # Their users are served by others for now, and return: the cookie that they have is left alone.
        guests: Json = {
            "route": _drawn(intent),
            **(in_cycle(_whole(intent)) if intent.strategy == "RoundRobin" else {}),
        }
        for mode in sorted(intent.paused):
            yield {"cookies": [_equals(intent.sticky.cookie, mode)]}, guests
    assign: Json = {"response_headers_to_add": [_header("set-cookie", _cookie(intent.sticky))]} if intent.sticky else {}
    if intent.sticky and intent.sticky.header:
        hashed = _weighted(intent)
        hashed["weighted_clusters"]["use_hash_policy"] = True
        hashed["hash_policy"] = [{"header": {"header_name": intent.sticky.header}}]
        yield {"headers": [{"name": intent.sticky.header, "present_match": True}]}, {"route": hashed, **assign}
    if intent.strategy == "RoundRobin":
        assign |= in_cycle(_whole(intent))
    yield {}, {"route": _drawn(intent), **assign}


def _drawn(intent: RoutingIntent) -> Json:
    """By chance, or by the cycle."""
    drawn = _weighted(intent)
    if intent.strategy == "RoundRobin":
        drawn["weighted_clusters"]["header_name"] = SLOT_HEADER
    return drawn


def _by_method(intent: RoutingIntent, match: Json, rest: Json) -> Iterator[Json]:
    idempotent = {"name": ":method", "string_match": {"safe_regex": {"regex": IDEMPOTENT}}}
    headers = [*match.get("headers", []), idempotent]
    yield {
        **rest,
        "match": {"prefix": "/", **match, "headers": headers},
        "route": {**rest["route"], "timeout": "0s", "retry_policy": _retries(intent, ANY_FAILURE)},
    }
    yield {
        **rest,
        "match": {"prefix": "/", **match},
        "route": {**rest["route"], "timeout": "0s", "retry_policy": _retries(intent, UNSEEN)},
    }


def _retries(intent: RoutingIntent, retry_on: str) -> Json:
    """Each further attempt goes to the next member of the aggregate cluster, and never to the same pod again."""
    return {
        "retry_on": retry_on,
        "num_retries": attempts(len(intent.weights)),
        "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.100s"},
        "retry_priority": extension(
            "envoy.retry_priorities.previous_priorities",
            "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            update_frequency=1,
        ),
        "retry_host_predicate": [
            extension(
                "envoy.retry_host_predicates.previous_hosts",
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        "host_selection_retry_max_attempts": 5,
    }


def _metadata(mode: str) -> Json:
    return {"filter_metadata": {SUBSET_METADATA: {"mode": mode}}}


def _to_mode(mode: str) -> Json:
    return {"cluster": route_cluster(mode), "metadata_match": _metadata(mode)}


def _weighted(intent: RoutingIntent) -> Json:
    weights = _whole(intent)
    return {
        "weighted_clusters": {
            "clusters": [
                {"name": route_cluster(mode), "weight": weights[mode], "metadata_match": _metadata(mode)}
                for mode in weights
            ]
        }
    }


def _whole(intent: RoutingIntent) -> dict[str, int]:
    """Whole weights in the order in which routes list the modes."""
    weights = whole(intent.weights)
    return {mode: weights[mode] for mode in sorted(weights)}


def _equals(name: str, value: str) -> Json:
    return {"name": name, "string_match": {"exact": value}}


def _cookie(sticky: Sticky) -> str:
    """Max-Age counts from the first answer: only the route that draws a mode sets the cookie."""
    name = sticky.cookie.replace("%", "%%")  # a percent sign begins a command of Envoy's format strings
    age, secure = whole_seconds(sticky.ttl), "; Secure" if sticky.secure else ""
    return f"{name}={_ANSWERED_BY}; Max-Age={age}; Path=/; HttpOnly{secure}; SameSite={sticky.same_site}"


def _header(name: str, value: str, action: str = "APPEND_IF_EXISTS_OR_ADD") -> Json:
    return {"header": {"key": name, "value": value}, "append_action": action}
