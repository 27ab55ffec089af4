"""EDS: the pods of each mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accord.adapters.routers.envoy.xds import ALL_ENDPOINTS, METADATA, SUBSET_METADATA, Json
from accord.domain.traffic.health import Check
from accord.domain.traffic.routing import RoutingIntent

_NO_SPILLING = 100_000
"""Overprovisioning factor in percent: while one of up to 1000 pods of a mode is healthy, the mode keeps all of its
share. Envoy's default of 140 would spill a part to the next mode once less than 71 % of the pods are healthy."""


@dataclass(frozen=True, order=True)
class Target:
    """A ready pod: IP address and port."""

    address: str
    port: int


def mode_endpoints(mode: str, targets: tuple[Target, ...], check: Check) -> Json:
    """The endpoints of one mode, and what of their health check is each one's own; none is a valid answer."""
    return _assignment(mode, [_endpoint(mode, target, _checked(check, target)) for target in sorted(targets)])


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


def _checked(check: Check, target: Target) -> Json:
    """Port, and as Host header what the kubelet sends: address and port of the pod."""
    port = check.port or target.port
    config: Json = {"port_value": check.port} if check.port else {}
    if check.path is not None and check.host is None:
        config["hostname"] = f"[{target.address}]:{port}" if ":" in target.address else f"{target.address}:{port}"
    return {"health_check_config": config} if config else {}


def _endpoint(mode: str, target: Target, checked: Json | None = None) -> Json:
    address = {"socket_address": {"address": target.address, "port_value": target.port}}
    return {
        "endpoint": {"address": address, **(checked or {})},
        "metadata": {"filter_metadata": {METADATA: {"mode": mode}, SUBSET_METADATA: {"mode": mode}}},
    }
