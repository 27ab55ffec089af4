"""The VirtualService of a policy and the DestinationRule of each of its modes, whole.

The rules of the VirtualService are in order of precedence, for the first that matches counts: the wish in the header,
the wish in the cookie, the sticky cookie, and last the one that draws a mode by weight and sets the cookie. Each is a
pair, as in the built-in router: one for methods that may be repeated after any failure, and one for all others. Istio
repeats a request on another pod of the mode that was chosen, never on another mode. Stickiness is by cookie, since a
consistent hash does not hold across destinations (istio/istio#9764).

No field has a default in the schemas of both kinds: what is written here is what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from accord.adapters.routers import others
from accord.adapters.routers.headers import MODE_HEADER, TTL_HEADER, cookie_pattern, set_cookie, whole_seconds
from accord.adapters.routers.others import Named
from accord.adapters.routers.retries import ANY_FAILURE, IDEMPOTENT, UNSEEN, attempts
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import IstioRouter, TrafficPolicy
from accord.domain.traffic import names
from accord.domain.traffic.routing import RoutingIntent, Sticky

API_VERSION = "networking.istio.io/v1"
VIRTUAL_SERVICE, DESTINATION_RULE = "VirtualService", "DestinationRule"
_MESH = "mesh"
"""Istio's name for all sidecars, which is what no gateway at all means."""
_ALGORITHMS = {"LeastConnections": "LEAST_REQUEST", "RoundRobin": "ROUND_ROBIN", "Random": "RANDOM"}
_WHOLE = 100


def objects(policy: TrafficPolicy, settings: IstioRouter, intent: RoutingIntent) -> tuple[Manifest, ...]:
    """What does what `intent` says, in the order in which it is to be written. `intent.weights` must not be empty."""
    rules = (destination_rule(policy, mode, intent) for mode in intent.clusters)
    return (*rules, virtual_service(policy, settings, intent))


def virtual_service(policy: TrafficPolicy, settings: IstioRouter, intent: RoutingIntent) -> Manifest:
    """How requests for the hosts find their mode."""
    ready = others.with_pods(policy, intent)
    return {
        "apiVersion": API_VERSION,
        "kind": VIRTUAL_SERVICE,
        "metadata": {"name": names.router(policy.metadata.name)},
        "spec": {
            "hosts": list(settings.hosts),
            "gateways": list(settings.gateways) or [_MESH],
            "http": list(_rules(policy, intent, ready)),
        },
    }


def kept_up(policy: TrafficPolicy, live: Manifest, intent: RoutingIntent) -> Manifest:
    """The live VirtualService while the spec is not followed: see `others.kept_up`. Its hosts and gateways stay."""
    rules = live["spec"].get("http") or [{}]
    services = [each["destination"]["host"] for each in rules[-1].get("route") or ()]

    def make(ready: Set[str]) -> Manifest:
        return {**live, "spec": {**live["spec"], "http": list(_rules(policy, intent, ready))}}

    return others.kept_up(policy, intent, live, services, make)


def destination_rule(policy: TrafficPolicy, mode: str, intent: RoutingIntent) -> Manifest:
    """How the pods of one mode are used: the limits and the ejection of pods of the built-in router's clusters.

    Where all pods of a mode are ejected, all get requests again (`minHealthPercent`): no other mode would take them.
    """
    service = names.mode_service(policy.metadata.name, mode)
    return {
        "apiVersion": API_VERSION,
        "kind": DESTINATION_RULE,
        "metadata": {"name": service},
        "spec": {
            "host": service,
            "trafficPolicy": {
                "loadBalancer": {"simple": _ALGORITHMS[intent.algorithm]},
                "connectionPool": {
                    "tcp": {
                        "connectTimeout": "2s",
                        "tcpKeepalive": {"probes": 3, "time": "30s", "interval": "10s"},
                    },
                    "http": {"http1MaxPendingRequests": intent.max_queue_size, "idleTimeout": "3s"},
                },
                "outlierDetection": {
                    "consecutiveGatewayErrors": 5,
                    "consecutive5xxErrors": 0,
                    "interval": "10s",
                    "baseEjectionTime": "30s",
                    "maxEjectionPercent": 100,
                    "minHealthPercent": 1,
                },
            },
        },
    }


def _rules(policy: TrafficPolicy, intent: RoutingIntent, ready: Set[str]) -> Iterator[Manifest]:
    drawn = others.drawn(intent, ready)
    for named in others.named(intent, ready):
        yield from _by_method(policy, [_match(named)], {named.answers: _WHOLE}, intent)
    if intent.sticky is not None and intent.paused:
        # Their users are served by others for now, and return: the cookie that they have is left alone.
        matches = [_cookie_is(intent.sticky.cookie, mode) for mode in sorted(intent.paused)]
        yield from _by_method(policy, matches, drawn, intent)
    yield from _by_method(policy, [], drawn, intent, intent.sticky)


def _match(named: Named) -> Manifest:
    """Names of headers are in lower case, as Istio wants them."""
    if named.header is not None:
        return {"headers": {named.header.lower(): {"exact": named.mode}}}
    return _cookie_is(named.cookie, named.mode)


def _cookie_is(name: str, value: str) -> Manifest:
    return {"headers": {"cookie": {"regex": cookie_pattern(name, value)}}}


def _by_method(
    policy: TrafficPolicy,
    matches: list[Manifest],
    weights: Mapping[str, int],
    intent: RoutingIntent,
    sticky: Sticky | None = None,
) -> Iterator[Manifest]:
    told = {} if intent.cache_ttl is None else {"headers": _tell_pods(whole_seconds(intent.cache_ttl))}
    route = [_destination(policy, mode, weight, sticky) for mode, weight in weights.items()]
    most = attempts(len(intent.weights))
    repeated = {"method": {"regex": IDEMPOTENT}}
    yield {
        "match": [{**match, **repeated} for match in matches] or [repeated],
        **told,
        "retries": {"attempts": most, "retryOn": ANY_FAILURE},
        "route": route,
    }
    yield {
        **({"match": matches} if matches else {}),
        **told,
        "retries": {"attempts": most, "retryOn": UNSEEN},
        "route": route,
    }


def _destination(policy: TrafficPolicy, mode: str, weight: int, sticky: Sticky | None) -> Manifest:
    answer: Manifest = {"set": {MODE_HEADER: mode}}
    if sticky is not None:
        # A percent sign begins a command of Envoy's format strings.
        answer["add"] = {"set-cookie": set_cookie(sticky, mode, "/").replace("%", "%%")}
    return {
        "destination": {
            "host": names.mode_service(policy.metadata.name, mode),
            "port": {"number": names.SERVICE_PORT},
        },
        "weight": weight,
        "headers": {"response": answer},
    }


def _tell_pods(seconds: int) -> Manifest:
    return {"request": {"set": {TTL_HEADER: str(seconds)}}}
