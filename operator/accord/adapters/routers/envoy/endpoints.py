"""EDS: the pods of each mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accord.adapters.routers.envoy.xds import ALL_ENDPOINTS, METADATA, SUBSET_METADATA, Json
from accord.domain.traffic.routing import RoutingIntent

_NO_SPILLING = 100_000
"""Overprovisioning factor in percent: while one of up to 1000 pods of a mode is healthy, the mode keeps all of its
share. Envoy's default of 140 would spill a part to the next mode once less than 71 % of the pods are healthy."""


@dataclass(frozen=True, order=True)
class Target:
    """A ready pod: IP address and port."""

    address: str
    port: int


def mode_endpoints(mode: str, targets: tuple[Target, ...]) -> Json:
    """The endpoints of one mode; none is a valid answer."""
    return _assignment(mode, [_endpoint(mode, target) for target in sorted(targets)])


def all_endpoints(intent: RoutingIntent, targets: Mapping[str, tuple[Target, ...]]) -> Json:
    """The endpoints of all modes that take traffic."""
    return _assignment(
        ALL_ENDPOINTS,
        [_endpoint(mode, target) for mode in sorted(intent.weights) for target in sorted(targets.get(mode, ()))],
    )


def _assignment(name: str, endpoints: list[Json]) -> Json:
    return {
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": endpoints}] if endpoints else [],
        "policy": {"overprovisioning_factor": _NO_SPILLING},
    }


def _endpoint(mode: str, target: Target) -> Json:
    return {
        "endpoint": {"address": {"socket_address": {"address": target.address, "port_value": target.port}}},
        "metadata": {"filter_metadata": {METADATA: {"mode": mode}, SUBSET_METADATA: {"mode": mode}}},
    }
