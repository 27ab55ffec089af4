"""What a proxy starts with: where the operator is, and a port for probes and metrics."""

from __future__ import annotations

from accord.adapters.routers.envoy.listeners import router_filter, socket_address
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.adapters.routers.envoy.xds import XDS_CLUSTER, Json, config_source, extension

_ADMIN = "accord/admin"
"""With a slash, as no mode's name has one: a mode called `admin` must not lead to this."""
_MOST_CONNECTIONS = 50_000
STATISTICS = "/stats/prometheus"
PROBE_PATHS = ("/ready", STATISTICS)


def bootstrap(settings: EnvoySettings) -> Json:
    """The bootstrap, the same for all policies: who a proxy is comes from its command line.

    The admin interface listens on the pod's loopback only; a listener passes on the two harmless paths of it. Its
    socket opens when the configuration is complete, hence a proxy that has none yet is not ready.
    """
    return {
        "admin": {"address": socket_address("127.0.0.1", settings.admin_port)},
        "dynamic_resources": {"cds_config": config_source(), "lds_config": config_source()},
        "static_resources": {
            "clusters": [_xds_cluster(settings), _admin_cluster(settings)],
            "listeners": [_probe_listener(settings)],
        },
        "overload_manager": {
            "resource_monitors": [
                extension(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=_MOST_CONNECTIONS,
                )
            ]
        },
    }


def _xds_cluster(settings: EnvoySettings) -> Json:
    return {
        "name": XDS_CLUSTER,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "1s",
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_probes": 2, "keepalive_time": 10, "keepalive_interval": 5}
        },
        "load_assignment": _single(XDS_CLUSTER, socket_address(settings.xds_host, settings.xds_port)),
    }


def _admin_cluster(settings: EnvoySettings) -> Json:
    return {
        "name": _ADMIN,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": _single(_ADMIN, socket_address("127.0.0.1", settings.admin_port)),
    }


def _single(name: str, address: Json) -> Json:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _probe_listener(settings: EnvoySettings) -> Json:
    return {
        "name": "probes",
        "address": socket_address(settings.listen_address, settings.probe_port),
        "ignore_global_conn_limit": True,
        "filter_chains": [
            {
                "filters": [
                    extension(
                        "envoy.filters.network.http_connection_manager",
                        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        stat_prefix="probes",
                        http_filters=[router_filter()],
                        route_config={
                            "name": "probes",
                            "virtual_hosts": [
                                {
                                    "name": "probes",
                                    "domains": ["*"],
                                    "routes": [
                                        {
                                            "match": {
                                                "path": path,
                                                "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
                                            },
                                            "route": {"cluster": _ADMIN},
                                        }
                                        for path in PROBE_PATHS
                                    ],
                                }
                            ],
                        },
                    )
                ]
            }
        ],
    }
