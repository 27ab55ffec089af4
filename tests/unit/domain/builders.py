"""Facts for decisions, in few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from accord.adapters.routers.envoy.offering import unsupported
from accord.adapters.routers.envoy.pods import Obstacle
from accord.adapters.routers.envoy.programming import Programming, ProxyState
from accord.adapters.routers.envoy.progress import handover, progress, seen
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey, Plan
from accord.domain.traffic.decide import decide
from accord.domain.traffic.observed import (
    DeploymentView,
    Endpoint,
    Measurement,
    Observed,
    RouterView,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SHARES = {"fast": 60, "balanced": 30, "creative": 10}
ISTIO = {"type": "Istio", "istio": {"hosts": ["shop.example.com"]}}
"""A router that is not there yet: a spec that is not accepted."""
ROUTER = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop-router"},
    "spec": {"selector": {"app": "shop-router"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
}


def mode(name: str, weight: int, deployment: str | None = None, port: int = 8080) -> dict[str, Any]:
    return {"name": name, "weight": weight, "deploymentRef": {"name": deployment or name}, "port": port}


def manifest(
    shares: Mapping[str, int] = SHARES, *, status: Manifest | None = None, generation: int = 1, **spec: Any
) -> Manifest:
    return {
        "apiVersion": "accord.dev/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": "shop", "namespace": "demo", "uid": "u-1", "generation": generation},
        "spec": {"modes": [mode(name, weight) for name, weight in shares.items()], **spec},
        **({"status": status} if status else {}),
    }


def deployment(name: str, **changes: Any) -> DeploymentView:
    return replace(DeploymentView(name, {"app": name}, replicas=1, ready_replicas=1, ports=(8080,)), **changes)


def programming(*, accepted: bool = True, at: datetime = NOW - timedelta(minutes=10), **changes: Any) -> Programming:
    proxies = (ProxyState("router-a", True, accepted), ProxyState("router-b", True, accepted))
    return replace(Programming(at, proxies, frozenset(), routes_settled=accepted), **changes)


def router(
    state: Programming | None = None,
    objects: tuple[Manifest, ...] = (),
    address: str | None = "shop-router.demo.svc:80",
    *,
    policy: Manifest | None = None,
    now: datetime = NOW,
    refused: Obstacle | None = None,
    obstacle: Obstacle | None = None,
) -> RouterView:
    """The built-in router, whose proxies stand so, as a pass over `policy` at `now` sees it."""
    state = state or programming()
    parsed = TrafficPolicy.model_validate(policy or manifest())
    found = progress(parsed, state, now, refused, obstacle)
    return RouterView(objects, address, unsupported(parsed), found, handover(state), seen(state))


_WELL = router(objects=(ROUTER,))


def observed(
    policy: Manifest | None = None,
    *,
    ready: Iterable[str] | None = None,
    deployments: Mapping[str, DeploymentView] | None = None,
    children: Iterable[Manifest] = (),
    router: RouterView | None = None,
    measurement: Measurement | None = None,
    conflicts: Mapping[ObjectKey, str] | None = None,
) -> Observed:
    """A healthy world around `policy`, with what is given in its place."""
    parsed = TrafficPolicy.model_validate(policy or manifest())
    names = {m.name for m in parsed.spec.modes} | {m.name for m in parsed.status.modes}
    serving = names if ready is None else set(ready)
    if deployments is None:
        refs = {m.deployment_ref.name: m.name for m in parsed.spec.modes}
        deployments = {ref: deployment(ref, ready_replicas=1 if name in serving else 0) for ref, name in refs.items()}
    return Observed(
        policy=parsed,
        deployments=deployments,
        children={ObjectKey.of(child): child for child in children},
        endpoints={name: (Endpoint("10.0.0.1", name in serving),) for name in names},
        router=router or replace(_WELL, unsupported=unsupported(parsed)),
        measurement=measurement,
        conflicts=conflicts or {},
    )


def settled(policy: Manifest | None = None, now: datetime = NOW - timedelta(hours=1), **facts: Any) -> Manifest:
    """`policy` with the status that a healthy world gives it, and time to rest."""
    policy = policy or manifest()
    status = decide(observed(policy, **facts), now).status
    return {**policy, "status": status}


def edited(policy: Manifest, shares: Mapping[str, int] | None = None, **spec: Any) -> Manifest:
    """The next generation of `policy`, its status untouched."""
    changed = {**policy["spec"], **spec}
    if shares is not None:
        changed["modes"] = [mode(name, weight) for name, weight in shares.items()]
    meta = {**policy["metadata"], "generation": policy["metadata"]["generation"] + 1}
    return {**policy, "metadata": meta, "spec": changed}


def condition(plan: Plan, type_: str) -> tuple[str, str, str]:
    """Status, reason and message of one condition; empty strings where it is absent."""
    assert plan.status is not None
    for found in plan.status["conditions"]:
        if found["type"] == type_:
            return found["status"], found["reason"], found["message"]
    return "", "", ""


def targets(plan: Plan) -> dict[str, float]:
    assert plan.status is not None
    return {m["name"]: m["target"] for m in plan.status["modes"]}


def effective(plan: Plan) -> dict[str, float]:
    assert plan.status is not None
    return {m["name"]: m["effective"] for m in plan.status["modes"]}


def reasons(plan: Plan) -> list[str]:
    return [event.reason for event in plan.events]
