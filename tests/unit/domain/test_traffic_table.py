"""Facts in → writes, status and events out. One row a case that a user meets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import (
    ISTIO,
    NOW,
    condition,
    deployment,
    edited,
    effective,
    manifest,
    observed,
    programming,
    reasons,
    router,
    settled,
    targets,
)

from accord.adapters.routers.envoy.programming import Programming, ProxyState
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey, Plan
from accord.domain.traffic.acceptance import no_router
from accord.domain.traffic.decide import decide
from accord.domain.traffic.observed import DeploymentView, Observed, RouterView, Unsupported

GATEWAY = manifest(router={"type": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "gw"}]}})
TRUE, FALSE = "True", "False"
MODES = ("fast", "balanced", "creative")


def views(**changes: dict[str, Any]) -> dict[str, DeploymentView]:
    return {name: deployment(name, **changes.get(name, {})) for name in MODES}


def key(name: str, kind: str = "Service") -> ObjectKey:
    return ObjectKey("v1", kind, "demo", name)


@dataclass(frozen=True)
class Row:
    """One case. What is not given is not looked at, except `ready`."""

    name: str
    facts: Observed
    ready: str = TRUE
    kstatus: str = ""
    """`Reconciling`, `Stalled` or neither."""
    says: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Condition → status, reason, and a part of the message."""
    effective: dict[str, float] | None = None
    targets: dict[str, float] | None = None
    applies: set[str] | None = None
    events: list[str] | None = None


ROWS = [
    Row(
        "a healthy policy",
        observed(),
        says={"Programmed": (TRUE, "Programmed", ""), "WithinTarget": ("Unknown", "NotMeasured", "")},
        effective={"fast": 60, "balanced": 30, "creative": 10},
        applies={"shop-fast", "shop-balanced", "shop-creative", "shop-router"},
        events=["RoutingChanged"],
    ),
    Row(
        "a mode of weight 0 is not missed when its pods are",
        observed(manifest({"fast": 100, "creative": 0}), ready={"fast"}),
        says={"ModesAvailable": (TRUE, "Available", "")},
        effective={"fast": 100, "creative": 0},
    ),
    Row(
        "a mode scaled to 0",
        observed(ready={"fast", "balanced"}, deployments=views(creative={"replicas": 0, "ready_replicas": 0})),
        ready=FALSE,
        kstatus="Reconciling",
        says={
            "ModesAvailable": (
                FALSE,
                "ScaledToZero",
                "mode creative: Deployment creative is scaled to 0; its 10% goes to fast",
            )
        },
        effective={"fast": 70, "balanced": 30, "creative": 0},
    ),
    Row(
        "a mode whose pods the API server does not take",
        observed(
            ready={"fast", "balanced"},
            deployments=views(
                creative={"ready_replicas": 0, "refused": 'pods "c-1" is forbidden: exceeded quota: team'}
            ),
        ),
        ready=FALSE,
        kstatus="Reconciling",
        says={
            "ModesAvailable": (
                FALSE,
                "PodsRefused",
                'the API server refuses pods of Deployment creative: pods "c-1" is forbidden: exceeded quota: team',
            )
        },
        effective={"fast": 70, "balanced": 30, "creative": 0},
    ),
    Row(
        "the fallback mode itself is away",
        observed(manifest(fallbackMode="creative"), ready={"fast", "balanced"}),
        ready=FALSE,
        kstatus="Reconciling",
        says={
            "ModesAvailable": (
                FALSE,
                "PodsNotReady",
                "mode creative: Deployment creative has no ready pods; its 10% goes to fast",
            )
        },
        effective={"fast": 70, "balanced": 30, "creative": 0},
    ),
    Row(
        "no mode has a ready pod",
        observed(ready=set()),
        ready=FALSE,
        kstatus="Reconciling",
        says={"ModesAvailable": (FALSE, "NoModeAvailable", "all requests get 503")},
        effective={"fast": 60, "balanced": 30, "creative": 10},
    ),
    Row(
        "ready pods that no slice lists yet",
        observed(ready={"fast", "balanced"}, deployments=views()),
        ready=FALSE,
        kstatus="Reconciling",
        says={"ModesAvailable": (FALSE, "EndpointsMissing", "Service shop-creative does not list")},
    ),
    Row(
        "a Deployment that does not exist",
        observed(ready={"fast", "balanced"}, deployments={name: deployment(name) for name in ("fast", "balanced")}),
        ready=FALSE,
        kstatus="Reconciling",
        says={
            "ResolvedRefs": (
                FALSE,
                "DeploymentNotFound",
                "mode creative: Deployment creative not found; its 10% goes to fast",
            ),
            "ModesAvailable": (FALSE, "DeploymentNotFound", "creative"),
        },
        applies={"shop-fast", "shop-balanced", "shop-router"},
        events=["RefsNotResolved", "RoutingChanged"],
    ),
    Row(
        "a Deployment deleted while its pods live on",
        observed(deployments={name: deployment(name) for name in ("fast", "balanced")}),
        ready=FALSE,
        kstatus="Reconciling",
        says={"ResolvedRefs": (FALSE, "DeploymentNotFound", "goes to its remaining pods")},
    ),
    Row(
        "no Deployment at all",
        observed(ready=set(), deployments={}),
        ready=FALSE,
        kstatus="Reconciling",
        says={"ResolvedRefs": (FALSE, "DeploymentNotFound", "no mode can take over its share")},
        applies={"shop-router"},
    ),
    Row(
        "a missing Deployment of weight 0",
        observed(manifest({"fast": 100, "spare": 0}), deployments={"fast": deployment("fast")}),
        ready=FALSE,
        kstatus="Reconciling",
        says={"ResolvedRefs": (FALSE, "DeploymentNotFound", "Deployment spare not found; it gets no traffic")},
    ),
    Row(
        "matchExpressions only",
        observed(
            ready={"fast", "balanced"},
            deployments=views(creative={"match_labels": {}, "has_match_expressions": True}),
        ),
        ready=FALSE,
        kstatus="Reconciling",
        says={
            "ResolvedRefs": (FALSE, "UnusableSelector", "add matchLabels; its 10% goes to fast"),
            "ModesAvailable": (FALSE, "UnusableSelector", ""),
        },
        applies={"shop-fast", "shop-balanced", "shop-router"},
    ),
    Row(
        "matchExpressions beside labels, and a port that is not declared: allowed, and said",
        observed(deployments=views(fast={"has_match_expressions": True}, creative={"ports": (9000, 9090)})),
        says={
            "ResolvedRefs": (
                TRUE,
                "Resolved",
                "matchExpressions of Deployment fast are ignored, only its matchLabels are used; "
                "mode creative uses port 8080, but Deployment creative declares 9000, 9090",
            )
        },
    ),
    Row(
        "no declared ports say nothing",
        observed(deployments=views(fast={"ports": ()})),
        says={"ResolvedRefs": (TRUE, "Resolved", "all Deployments found")},
    ),
    Row(
        "identical selectors",
        observed(deployments=views(fast={"match_labels": {"app": "x"}}, creative={"match_labels": {"app": "x"}})),
        ready=FALSE,
        kstatus="Reconciling",
        says={"ResolvedRefs": (FALSE, "SelectorsOverlap", "so requests of fast reach both")},
    ),
    Row(
        "one selector covers the other",
        observed(
            deployments=views(
                fast={"match_labels": {"app": "x", "mode": "fast"}}, creative={"match_labels": {"app": "x"}}
            )
        ),
        ready=FALSE,
        kstatus="Reconciling",
        says={"ResolvedRefs": (FALSE, "SelectorsOverlap", "(mode creative) also matches the pods of")},
    ),
    Row(
        "two modes on one Deployment",
        observed(
            manifest(
                modes=[
                    {"name": "a", "weight": 50, "deploymentRef": {"name": "one"}, "port": 8080},
                    {"name": "b", "weight": 50, "deploymentRef": {"name": "one"}, "port": 8080},
                ]
            ),
            deployments={"one": deployment("one")},
        ),
        says={"ResolvedRefs": (TRUE, "Resolved", "modes a and b have the same pods: Deployment one, port 8080")},
    ),
    Row(
        "a foreign Service under the name of a mode's",
        observed(
            ready={"fast", "balanced"}, deployments=views(), conflicts={key("shop-creative"): "Helm release shop"}
        ),
        ready=FALSE,
        kstatus="Reconciling",
        says={
            "ResolvedRefs": (
                FALSE,
                "NameConflict",
                "Service shop-creative already exists and belongs to Helm release shop: rename mode creative. "
                "Mode creative: its 10% goes to fast",
            ),
            "ModesAvailable": (FALSE, "NameConflict", "Service shop-creative already exists"),
        },
        applies={"shop-fast", "shop-balanced", "shop-router"},
    ),
    Row(
        "a foreign object under the router's name",
        observed(conflicts={key("shop-router"): "another owner"}),
        ready=FALSE,
        kstatus="Reconciling",
        says={
            "ResolvedRefs": (
                FALSE,
                "NameConflict",
                "Service shop-router already exists and belongs to another owner: rename the TrafficPolicy",
            )
        },
        applies={"shop-fast", "shop-balanced", "shop-creative"},
    ),
    Row(
        "what an earlier policy of that name has left goes by itself",
        observed(conflicts={key("shop-router"): "an earlier TrafficPolicy of the same name, which is being deleted"}),
        ready=FALSE,
        kstatus="Reconciling",
        says={"ResolvedRefs": (FALSE, "NameConflict", "which is being deleted; waiting until it is gone")},
        applies={"shop-fast", "shop-balanced", "shop-creative"},
    ),
    Row(
        "no proxy is ready",
        observed(router=router(programming(proxies=(ProxyState("p", False, False),)))),
        ready=FALSE,
        kstatus="Reconciling",
        says={"Programmed": (FALSE, "NoReadyProxy", "nothing answers at status.address")},
    ),
    Row(
        "a proxy refuses",
        observed(router=router(programming(proxies=(ProxyState("p", True, False, "proxy p refuses the routes"),)))),
        ready=FALSE,
        kstatus="Reconciling",
        says={"Programmed": (FALSE, "ProxyRejected", "proxy p refuses the routes")},
        events=["ProxyRejected", "RoutingChanged"],
    ),
    Row(
        "proxies that do not answer",
        observed(router=router(programming(proxies=tuple(ProxyState(f"p{i}", True, False) for i in range(5))))),
        ready=FALSE,
        kstatus="Reconciling",
        says={"Programmed": (FALSE, "Pending", "not yet accepted by p0, p1, p2 and others; they route as before")},
    ),
    Row(
        "a router that is not there yet",
        observed(manifest(router=ISTIO)),
        ready=FALSE,
        kstatus="Stalled",
        says={
            "Accepted": (FALSE, "NotImplemented", "spec.router.type: router type Istio is not implemented yet"),
            "Programmed": (FALSE, "NotAccepted", "nothing was routed before"),
            "WithinTarget": ("Unknown", "NothingRouted", ""),
        },
        targets={},
        applies=set(),
        events=["NotAccepted"],
    ),
    Row(
        "another router",
        observed(
            GATEWAY, router=RouterView(unsupported=(no_router(TrafficPolicy.model_validate(GATEWAY), ["Envoy"]),))
        ),
        ready=FALSE,
        kstatus="Stalled",
        says={"Accepted": (FALSE, "NotImplemented", "spec.router.type: router type GatewayAPI is not implemented")},
        targets={},
        applies=set(),
    ),
    Row(
        "a field that the router cannot honour",
        observed(
            router=RouterView(
                (),
                None,
                (Unsupported("spec.strategy", "NotSupported", "this router has no RoundRobin"),),
            )
        ),
        ready=FALSE,
        kstatus="Stalled",
        says={"Accepted": (FALSE, "NotSupported", "spec.strategy: this router has no RoundRobin")},
        targets={},
        applies=set(),
    ),
    Row(
        "a routed policy becomes one that is not accepted: traffic stays",
        observed(edited(settled(), {"fast": 50, "new": 50}, router=ISTIO)),
        ready=FALSE,
        kstatus="Stalled",
        says={
            "Accepted": (
                FALSE,
                "NotImplemented",
                "Until then traffic does not change: fast 60%, balanced 30%, creative 10%",
            ),
            "Programmed": (FALSE, "NotAccepted", "traffic does not change: fast 60%, balanced 30%, creative 10%"),
        },
        targets={"fast": 60, "balanced": 30, "creative": 10},
        applies=set(),
        events=["NotAccepted"],
    ),
    Row(
        "a mode on its way out keeps the policy that is not accepted told about its pods",
        observed(edited(settled(), {"fast": 50, "new": 50}, router=ISTIO), ready={"fast"}),
        ready=FALSE,
        kstatus="Stalled",
        says={"ModesAvailable": (FALSE, "PodsNotReady", "mode creative: it has no ready pods and is no longer in the")},
    ),
    Row(
        "suspended while routing",
        observed(edited(settled(), {"fast": 50, "new": 50}, suspend=True)),
        says={
            "Ready": (TRUE, "Suspended", ""),
            "Programmed": (TRUE, "Suspended", "the split stays fast 60%, balanced 30%, creative 10%"),
        },
        targets={"fast": 60, "balanced": 30, "creative": 10},
        applies=set(),
        events=["Suspended"],
    ),
    Row(
        "suspended from the beginning",
        observed(manifest(suspend=True)),
        ready=FALSE,
        kstatus="Stalled",
        says={"Programmed": (FALSE, "Suspended", "set spec.suspend to false")},
        targets={},
        applies=set(),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row) -> None:
    plan = decide(row.facts, NOW)
    assert condition(plan, "Ready")[0] == row.ready
    for kstatus in ("Reconciling", "Stalled"):
        assert condition(plan, kstatus)[0] == (TRUE if kstatus == row.kstatus else "")
    for type_, (status, reason, part) in row.says.items():
        assert condition(plan, type_)[:2] == (status, reason)
        assert part in condition(plan, type_)[2]
    if row.effective is not None:
        assert effective(plan) == row.effective
    if row.targets is not None:
        assert targets(plan) == row.targets
    if row.applies is not None:
        assert {m["metadata"]["name"] for m in plan.apply} == row.applies
    if row.events is not None:
        assert reasons(plan) == row.events
    assert not plan.delete


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_second_look_changes_nothing(row: Row) -> None:
    """Idempotent: with the status written and the children in place, nothing is left to do or to say."""
    plan = decide(row.facts, NOW)
    assert plan.status is not None
    policy = row.facts.policy.model_validate(
        {**row.facts.policy.model_dump(mode="json", by_alias=True, exclude_none=True), "status": plan.status}
    )
    children = {**row.facts.children, **{ObjectKey.of(m): m for m in plan.apply}}
    again = decide(replace(row.facts, policy=policy, children=children), NOW + timedelta(seconds=30))
    assert (again.apply, again.delete, again.events) == ((), (), ())
    assert again.status == plan.status


def test_what_lasts_too_long_is_stalled() -> None:
    """In progress first, because pods take their time; then somebody must look. The pass that says so is asked for."""
    facts = observed(ready={"fast", "balanced"})
    first = decide(facts, NOW)
    assert condition(first, "Reconciling")[0] == TRUE
    assert first.requeue_after == 600
    later = decide(observed(manifest(status=first.status), ready={"fast", "balanced"}), NOW + timedelta(seconds=600))
    assert condition(later, "Stalled")[:2] == (TRUE, "PodsNotReady")
    assert condition(later, "Reconciling")[0] == ""
    assert later.requeue_after is None


def test_the_overdue_problem_is_the_one_that_is_told() -> None:
    conflicts = {key("shop-router"): "another owner"}
    first = decide(observed(conflicts=conflicts, ready={"fast"}), NOW)
    assert condition(first, "Ready")[1] == "NameConflict"
    facts = observed(manifest(status=first.status), conflicts=conflicts, ready={"fast"})
    assert condition(decide(facts, NOW + timedelta(seconds=59)), "Reconciling")[1] == "NameConflict"
    assert condition(decide(facts, NOW + timedelta(seconds=60)), "Stalled")[1] == "NameConflict"


def test_a_policy_that_is_deleted_is_left_alone() -> None:
    policy = settled()
    policy["metadata"] = {**policy["metadata"], "deletionTimestamp": "2026-03-01T11:00:00Z"}
    plan = decide(observed(policy), NOW)
    assert (plan.apply, plan.delete, plan.status, plan.events, plan.requeue_after) == ((), (), None, (), None)


def test_columns_say_something_from_the_first_moment() -> None:
    status = decide(observed(router=router(Programming())), NOW).status
    assert status is not None
    assert (status["target"], status["downshift"]) == ("60/30/10", {"active": False})
    assert status["address"] == "shop-router.demo.svc:80"


def test_a_changed_port_changes_the_service_and_only_it() -> None:
    policy = settled()
    plan = decide(observed(policy), NOW)
    policy = edited(policy, modes=[*policy["spec"]["modes"][:2], {**policy["spec"]["modes"][2], "port": 9000}])
    after = decide(observed(policy, children=plan.apply), NOW)
    assert [m["metadata"]["name"] for m in after.apply] == ["shop-creative"]
    assert after.apply[0]["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 9000}]
    assert condition(after, "Ready")[0] == TRUE


def test_pods_come_and_go() -> None:
    gone = decide(observed(settled(), ready={"fast", "balanced"}), NOW)
    assert reasons(gone) == ["ModeUnavailable"]
    assert "traffic is split fast 70%, balanced 30%" in gone.events[0].note
    policy = {**settled(), "status": gone.status}
    back = decide(observed(policy), NOW)
    assert reasons(back) == ["ModeAvailable"]
    nobody = decide(observed(settled(), ready=set()), NOW)
    assert reasons(nobody) == ["ModeUnavailable"] * 3
    assert "requests get 503" in nobody.events[0].note


def test_resuming_is_told() -> None:
    suspended = edited(settled(), suspend=True)
    suspended["status"] = decide(observed(suspended), NOW).status
    plan = decide(observed(edited(suspended, {"fast": 50, "balanced": 40, "creative": 10}, suspend=False)), NOW)
    assert reasons(plan) == ["Resumed", "RoutingChanged"]
    assert plan.events[1].note == "shares changed: fast 60% → 50%, balanced 30% → 40%"


def test_what_is_not_accepted_any_more_for_another_reason_is_told_again() -> None:
    policy = settled(manifest(router=ISTIO))
    other = (Unsupported("spec.strategy", "NotSupported", "no"),)
    del policy["spec"]["router"]
    plan = decide(observed(policy, router=RouterView(unsupported=other)), NOW)
    assert reasons(plan) == ["NotAccepted"]


def test_an_operator_that_takes_over_does_not_doubt_what_the_status_says() -> None:
    """It has heard of no proxy yet. Nothing flaps; a proxy that stays silent is told in the end."""
    policy = settled()

    def later(seconds: float, policy: Manifest = policy) -> Plan:
        now, state = NOW + timedelta(seconds=seconds), programming(accepted=False, at=NOW)
        heard_of_none = router(state, policy=policy, now=now)
        return decide(observed(policy, router=heard_of_none), now)

    assert later(0).status == policy["status"]
    assert later(29).status == policy["status"]
    assert later(29).requeue_after == 5
    assert condition(later(30), "Programmed")[:2] == (FALSE, "Pending")
    assert later(0, edited(policy, {"fast": 100})).status is None, "another generation must be accepted first"
