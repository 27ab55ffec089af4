"""LDS: the one listener that takes requests."""

from __future__ import annotations

from accord.adapters.routers.envoy.cycle import cycle_filter
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.adapters.routers.envoy.xds import LISTENER, ROUTES, Json, config_source, extension
from accord.domain.traffic.routing import RoutingIntent

_NO_HOST = "router"
"""Host of a request that names none, as HTTP/1.0 allows."""
CONNECTION_SECONDS = 20
"""A client's connection is closed politely, between two requests, when it is older than this. It spreads clients over
new proxies, and leaves none on a proxy that has been taken out of its Service for longer (see `objects`)."""


def listener(settings: EnvoySettings, intent: RoutingIntent) -> Json:
    """The listener. It takes HTTP/1.0, HTTP/1.1 and HTTP/2 without TLS."""
    return {
        "name": LISTENER,
        "address": socket_address(settings.listen_address, settings.http_port),
        "filter_chains": [
            {
                "filters": [
                    extension(
                        "envoy.filters.network.http_connection_manager",
                        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        stat_prefix="modes",
                        rds={"route_config_name": ROUTES, "config_source": config_source()},
                        http_filters=[cycle_filter(), router_filter()],
                        access_log=[_errors()],
                        generate_request_id=True,
                        preserve_external_request_id=True,
                        use_remote_address=True,
                        xff_num_trusted_hops=intent.trusted_hops,
                        http_protocol_options={"accept_http_10": True, "default_host_for_http_10": _NO_HOST},
                        server_header_transformation="PASS_THROUGH",
                        normalize_path=True,
                        common_http_protocol_options={"max_connection_duration": f"{CONNECTION_SECONDS}s"},
                        http1_safe_max_connection_duration=True,
                        request_headers_timeout="10s",
                        stream_idle_timeout="3600s",
                        upgrade_configs=[{"upgrade_type": "websocket"}],
                    )
                ]
            }
        ],
    }


def socket_address(address: str, port: int) -> Json:
    """A TCP address."""
    return {"socket_address": {"address": address, "port_value": port}}


def router_filter() -> Json:
    """The HTTP filter that ends every chain."""
    return extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")


def _errors() -> Json:
    """One JSON line on standard output for each answer of 500 and above."""
    return {
        **extension(
            "envoy.access_loggers.stdout",
            "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            log_format={
                "json_format": {
                    "time": "%START_TIME%",
                    "method": "%REQ(:METHOD)%",
                    "path": "%REQ(:PATH)%",
                    "status": "%RESPONSE_CODE%",
                    "why": "%RESPONSE_CODE_DETAILS%",
                    "flags": "%RESPONSE_FLAGS%",
                    "mode": "%UPSTREAM_METADATA(accord:mode)%",
                    "upstream": "%UPSTREAM_HOST%",
                    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                    "milliseconds": "%DURATION%",
                    "request_id": "%REQ(X-REQUEST-ID)%",
                }
            },
        ),
        "filter": {
            "status_code_filter": {
                "comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "accord.access_log_from"}}
            }
        },
    }
