"""CDS: what a proxy keeps connections for.

Per mode there are an EDS cluster, which checks and ejects pods, and the *aggregate* cluster that routes name: the
mode itself, then the fallback modes in order, then the pods of all modes whatever their health checks say. A mode
without a healthy pod thus falls over by itself, before stickiness; and when nothing passes its health check (an
application without that path, say) traffic is still tried, with the same shares, instead of refused.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from accord.adapters.routers.envoy.xds import ALL_ENDPOINTS, Json, config_source, duration, extension, typed
from accord.domain.traffic.health import Check
from accord.domain.traffic.routing import RoutingIntent

UNCHECKED = "all/unchecked"
UNCHECKED_HTTP2 = "all/unchecked-http2"
_ALGORITHMS = {"LeastConnections": "LEAST_REQUEST", "RoundRobin": "ROUND_ROBIN", "Random": "RANDOM"}
_UNLIMITED = 1_000_000
_CHECKS_BY_TLS = {"accord.checks": "tls"}
_RETRY_SOON = timedelta(seconds=5)
_CHECK_TIMEOUT = timedelta(seconds=5)
_CONNECT_TIMEOUT = "2s"
"""Longer than the second after which TCP repeats a lost SYN, so that a full backlog is not a failure at once."""
_IDLE_TIMEOUT = "3s"
"""Idle connections are closed before the pods' own servers do it (uvicorn and Node.js after 5 s): a request sent
into a closing connection fails, and one that is not idempotent cannot be repeated."""


def route_cluster(mode: str) -> str:
    """Name of the aggregate cluster that routes to `mode` name. A mode's name has no slash, so nothing collides."""
    return f"route/{mode}"


def clusters(intent: RoutingIntent) -> list[Json]:
    """All clusters for this intent, in a stable order."""
    wanted = [_mode(intent, mode) for mode in intent.clusters]
    wanted += [
        _aggregate(route_cluster(mode), [mode, *_others(intent, mode), _last_resort(intent, mode)])
        for mode in intent.clusters
    ]
    spoken = {intent.checks[mode].http2 for mode in intent.clusters}
    wanted += [_unchecked(intent, http2=http2) for http2 in sorted(spoken)]
    return wanted


def _last_resort(intent: RoutingIntent, mode: str) -> str:
    return UNCHECKED_HTTP2 if intent.checks[mode].http2 else UNCHECKED


def _others(intent: RoutingIntent, mode: str) -> list[str]:
    return [name for name in intent.fallback if name != mode]


def _eds(name: str, resource: str, lb_policy: str, queue: int, *, http2: bool, **more: Any) -> Json:
    spoken: Json = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": config_source(), "service_name": resource},
        "lb_policy": lb_policy,
        "connect_timeout": _CONNECT_TIMEOUT,
        "ignore_health_on_host_removal": True,
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": _limits(queue),
        # No cluster counts an attempt that failed and was repeated elsewhere; only the endpoint does.
        "track_cluster_stats": {"per_endpoint_stats": True},
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 30, "keepalive_interval": 10}
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                common_http_protocol_options={"idle_timeout": _IDLE_TIMEOUT},
                explicit_http_config=spoken,
            )
        },
        **more,
    }


def _limits(pending: int) -> Json:
    """Envoy's defaults for the other limits (1024 connections, 1024 requests, 3 retries) are meant for short requests:
    a generation may take minutes, and when a mode fails every one of its requests is a retry.
    """
    return {
        "thresholds": [
            {
                "max_connections": _UNLIMITED,
                "max_requests": _UNLIMITED,
                "max_pending_requests": pending,
                "retry_budget": {"budget_percent": {"value": 100}, "min_retry_concurrency": 100},
            }
        ]
    }


def _watched(intent: RoutingIntent, check: Check) -> Json:
    """Active and passive health checks, for clusters that may exclude a pod.

    What five consecutive failures of a pod mean depends on the failure. That it is gone, overloaded or does not answer
    (502, 503, 504, no connection) ejects it at once, be it the last one. An application that answers 500 may mean the
    request, not the pod: that ejects one which does so to nearly all of its many requests.
    """
    return {
        "health_checks": [
            {
                **_asked(check),
                "interval": duration(intent.health_interval),
                "no_traffic_interval": duration(intent.health_interval),
                "unhealthy_interval": duration(min(intent.health_interval, _RETRY_SOON)),
                "timeout": duration(min(intent.health_interval, _CHECK_TIMEOUT)),
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "reuse_connection": False,
            }
        ],
        "outlier_detection": {
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "failure_percentage_threshold": 90,
            "failure_percentage_minimum_hosts": 1,
            "failure_percentage_request_volume": 20,
            "enforcing_failure_percentage": 100,
            "interval": "10s",
            "base_ejection_time": "30s",
            "max_ejection_time": "300s",
            "max_ejection_percent": 100,
            "enforcing_success_rate": 0,
        },
    }


def _asked(check: Check) -> Json:
    if check.service is not None:
        return {"grpc_health_check": {"service_name": check.service} if check.service else {}}
    if check.path is None:
        return {"tcp_health_check": {}}
    http = {
        "path": check.path,
        **({"codec_client_type": "HTTP2"} if check.http2 and not check.port else {}),
        "expected_statuses": [{"start": 200, "end": 400}],
        **({"host": check.host} if check.host else {}),
    }
    return {
        "http_health_check": http,
        **({"transport_socket_match_criteria": _CHECKS_BY_TLS} if check.scheme == "HTTPS" else {}),
    }


def _sockets_of_checks(check: Check) -> Json:
    """TLS for the health checks alone. Certificates are not verified: a pod has none for its address, and the kubelet
    does not ask for one either.
    """
    if check.scheme != "HTTPS":
        return {}
    tls = extension("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")
    return {"transport_socket_matches": [{"name": "checks", "match": _CHECKS_BY_TLS, "transport_socket": tls}]}


def _mode(intent: RoutingIntent, mode: str) -> Json:
    check = intent.checks[mode]
    return _eds(
        mode,
        mode,
        _ALGORITHMS[intent.algorithm],
        intent.max_queue_size,
        http2=check.http2,
        **_watched(intent, check),
        **_sockets_of_checks(check),
    )


def _unchecked(intent: RoutingIntent, *, http2: bool) -> Json:
    """The last resort: routes say by metadata which mode they mean; a mode without any pod takes any."""
    return _eds(
        UNCHECKED_HTTP2 if http2 else UNCHECKED,
        ALL_ENDPOINTS,
        "ROUND_ROBIN",
        intent.max_queue_size,
        http2=http2,
        lb_subset_config={"fallback_policy": "ANY_ENDPOINT", "subset_selectors": [{"keys": ["mode"]}]},
    )


def _aggregate(name: str, members: list[str]) -> Json:
    return {
        "name": name,
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "1s",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": _limits(_UNLIMITED),
        "cluster_type": extension(
            "envoy.clusters.aggregate", "envoy.extensions.clusters.aggregate.v3.ClusterConfig", clusters=members
        ),
    }
