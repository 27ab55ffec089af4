"""Policies for routers of type GatewayAPI, and what gateways say, in few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.domain.builders import manifest

from accord.adapters.routers.gatewayapi import GatewayAPIRouter
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic.resources import owned

ROUTER = GatewayAPIRouter(installed=lambda: True)
KEY = ObjectKey("gateway.networking.k8s.io/v1", "HTTPRoute", "demo", "shop-router")
OPEN: dict[str, Any] = {
    "circuitBreakers": [
        {
            "mode": "creative",
            "phase": "Open",
            "share": 0,
            "since": "2026-03-01T11:59:00Z",
            "opened": "2026-03-01T11:59:00Z",
            "until": "2026-03-01T12:04:00Z",
            "openings": 1,
            "cacheTTL": "5m",
        }
    ]
}
BREAKER = {"mode": "creative", "shiftTo": [{"mode": "balanced", "weight": 100}]}


def gateway(**settings: Any) -> dict[str, Any]:
    return {"type": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public"}], **settings}}


def policy(pods: Mapping[str, int] | None = None, status: Manifest | None = None, **spec: Any) -> TrafficPolicy:
    """`pods`: ready ones by mode, as the status has them, which then says that all modes are known."""
    body = manifest(**{"router": gateway(), **spec})
    if pods is not None:
        weights = {mode["name"]: mode["weight"] for mode in body["spec"]["modes"]}
        modes = [
            {"name": mode, "target": share, "effective": share, "readyPods": pods.get(mode, 1)}
            for mode, share in weights.items()
        ]
        body["status"] = {"modes": modes, **(status or {})}
    return TrafficPolicy.model_validate(body)


def route(of: TrafficPolicy) -> Manifest:
    (found,) = ROUTER.objects(of, {})
    return found


def rules(of: TrafficPolicy) -> list[Manifest]:
    found: list[Manifest] = route(of)["spec"]["rules"]
    return found


def weights(rule: Manifest) -> dict[str, int]:
    return {ref["name"].removeprefix("shop-"): ref["weight"] for ref in rule["backendRefs"]}


def headers(rule: Manifest) -> list[tuple[str, str]]:
    return [(header["name"], header["value"]) for match in rule["matches"] for header in match.get("headers", ())]


def cookies(rule: Manifest) -> list[str]:
    return [
        header["value"]
        for ref in rule["backendRefs"]
        for filter_ in ref["filters"]
        for header in filter_["responseHeaderModifier"].get("add", ())
    ]


def living(of: TrafficPolicy, *parents: Manifest, generation: int = 3) -> Manifest:
    """The route as it is in the cluster, with what was said of it."""
    live = owned(of, route(of))
    meta = live["metadata"] | {"uid": "r-1", "generation": generation}
    return {**live, "metadata": meta, "status": {"parents": list(parents)}}


def says(name: str = "public", *, generation: int = 3, parent: Manifest | None = None, **conditions: str) -> Manifest:
    """An entry of `status.parents`; a condition is a status, or a status, a reason and a message between slashes."""
    found = []
    for type_, told in conditions.items():
        status, reason, message = (*told.split("/"), "", "")[:3]
        found.append(
            {
                "type": type_,
                "status": status,
                "reason": reason or type_,
                "message": message,
                "observedGeneration": generation,
            }
        )
    reference = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name, **(parent or {})}
    return {"controllerName": "example.com/controller", "parentRef": reference, "conditions": found}
