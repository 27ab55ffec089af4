"""What carries the traffic is one answer to a port: another one is a class, and the operator's code stays as it is."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, condition, manifest, reasons
from tests.unit.domain.toy_router import ToyRouter

import accord
from accord.api.base import Manifest
from accord.domain.plan import ObjectKey, Plan
from accord.domain.traffic import names
from accord.domain.traffic.decide import decide
from accord.ports.router import Proxies, Router
from accord.runtime.book import Book
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index
from accord.runtime.traffic import TrafficPolicies

MODES = ("fast", "balanced", "creative")
ROUTE = ObjectKey("toys.example/v1", "ToyRoute", "demo", "shop-router")
GATEWAY = {"type": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "toy"}]}}
"""A type of the API stands for it: the API has no type for toys."""


class Toys:
    """An operator that routes by ToyRoutes, from the watch to the plan."""

    def __init__(self, **spec: Any) -> None:
        self._versions = itertools.count(1)
        self._index = Index()
        self.queued: list[ObjectKey] = []
        router: Router = ToyRouter()
        self.kind = TrafficPolicies(self._index, {"GatewayAPI": router}, decide, Book(), Book())
        self._dispatcher = Dispatcher(self._index, (self.kind,), self.queued.append)
        self.kind.start_publishing()
        for mode in MODES:
            meta = {"name": mode, "namespace": "demo", "uid": f"d-{mode}"}
            spec_of = {"selector": {"matchLabels": {"app": mode}}, "template": {"spec": {"containers": []}}}
            status = {"readyReplicas": 1}
            self.watched(
                {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec_of, "status": status}
            )
            self.pods(mode, ready=True)
        self.policy = self.watched(manifest(router=GATEWAY, **spec))

    def watched(self, live: Manifest) -> Manifest:
        versioned = {**live, "metadata": live["metadata"] | {"resourceVersion": str(next(self._versions))}}
        self._dispatcher.observe(versioned)
        return versioned

    def pods(self, mode: str, *, ready: bool) -> None:
        service = names.mode_service("shop", mode)
        labels = {**names.labels("shop"), "kubernetes.io/service-name": service}
        meta = {"namespace": "demo", "name": f"{service}-x", "uid": f"s-{mode}", "labels": labels}
        endpoints = [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]
        slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta}
        self.watched({**slice_, "endpoints": endpoints, "ports": [{"port": 8080}]})

    def step(self) -> Plan:
        """One pass. What it wants is there at once, and so is its status."""
        plan = self.kind.plan(self.policy, {}, NOW)
        for wanted in plan.apply:
            meta = {"uid": f"uid-{wanted['metadata']['name']}"} | wanted["metadata"]
            self.watched({**wanted, "metadata": meta})
        if plan.status is not None:
            self.policy = self.watched({**self.policy, "status": plan.status})
        return plan

    def edit(self, **spec: Any) -> None:
        meta = self.policy["metadata"] | {"generation": self.policy["metadata"]["generation"] + 1}
        self.policy = self.watched({**self.policy, "metadata": meta, "spec": self.policy["spec"] | spec})

    def route(self) -> Manifest:
        found = self._index.get(ROUTE)
        assert found is not None
        return found

    def tells(self, **status: Any) -> None:
        self.queued.clear()
        self.watched({**self.route(), "status": status})
        assert self.queued == [ObjectKey.of(self.policy)], "a ToyRoute leads to its policy"


def routed() -> Toys:
    toys = Toys()
    toys.step()
    toys.tells(state="Ready")
    toys.step()
    return toys


def test_a_policy_begins_with_the_object_of_its_router() -> None:
    toys = Toys()
    plan = toys.step()
    assert [ObjectKey.of(wanted).kind for wanted in plan.apply] == ["Service", "Service", "Service", "ToyRoute"]
    assert toys.route()["spec"] == {"split": {"shop-fast": 60, "shop-balanced": 30, "shop-creative": 10}}
    assert toys.route()["metadata"]["ownerReferences"][0]["name"] == "shop"
    assert condition(plan, "Programmed") == ("False", "Pending", "ToyRoute shop-router is not in force yet")
    assert plan.status is not None
    assert plan.status["address"] == "shop.toys.example:80"
    assert toys.step().apply == ()


def test_its_status_says_when_the_routing_is_in_force() -> None:
    toys = Toys()
    toys.step()
    toys.tells(state="Ready")
    plan = toys.step()
    assert condition(plan, "Programmed") == ("True", "Programmed", "ToyRoute shop-router is in force")
    assert condition(plan, "Ready")[0] == "True"
    again = toys.step()
    assert (again.apply, again.delete, again.status, again.requeue_after) == ((), (), plan.status, None)


def test_what_it_refuses_is_told_in_its_words() -> None:
    toys = routed()
    toys.tells(state="Broken", why="no wheels")
    plan = toys.step()
    assert condition(plan, "Programmed") == ("False", "RouteBroken", "ToyRoute shop-router: no wheels")
    assert reasons(plan) == ["RouteBroken"]
    assert plan.requeue_after is not None


def test_of_one_that_does_not_tell_it_is_said_that_it_does_not() -> None:
    toys = routed()
    toys.tells(state="Silent")
    plan = toys.step()
    assert condition(plan, "Programmed") == ("Unknown", "Unverifiable", "the toy does not tell")
    assert condition(plan, "Ready")[0] == "True"


def test_it_is_told_the_shares_in_force_when_another_mode_has_to_step_in() -> None:
    toys = routed()
    toys.pods("creative", ready=False)
    plan = toys.step()
    assert plan.status is not None
    assert (plan.status["inForce"]["reason"], plan.status["inForce"]["shares"]) == (
        "Fallback",
        {"fast": 70, "balanced": 30},
    )
    (moved,) = toys.step().apply
    assert moved["spec"] == {"split": {"shop-balanced": 30, "shop-fast": 70}}


def test_modes_come_and_go_without_anything_to_prepare() -> None:
    toys = routed()
    modes = toys.policy["spec"]["modes"]
    toys.edit(modes=[{**modes[0], "weight": 70}, modes[1]])
    toys.step()
    plan = toys.step()
    assert ROUTE in map(ObjectKey.of, plan.apply)
    assert [mode["name"] for mode in toys.policy["status"]["modes"]] == ["fast", "balanced"]
    assert toys.route()["spec"] == {"split": {"shop-fast": 70, "shop-balanced": 30}}


def test_a_spec_that_it_cannot_honour_is_refused_in_its_words() -> None:
    plan = Toys(strategy="RoundRobin").step()
    assert plan.apply == ()
    said = condition(plan, "Accepted")
    assert said[:2] == ("False", "NotSupported")
    assert "a ToyRoute knows no RoundRobin" in said[2]


def test_one_whose_owner_somebody_took_away_gets_it_back() -> None:
    toys = routed()
    stolen = {**toys.route(), "metadata": {k: v for k, v in toys.route()["metadata"].items() if k != "ownerReferences"}}
    toys.watched(stolen)
    toys.edit(suspend=True)
    (repaired,) = toys.step().apply
    assert repaired["metadata"]["ownerReferences"][0]["name"] == "shop"


def test_it_needs_nothing_of_a_router_with_proxies_of_its_own() -> None:
    assert not isinstance(ToyRouter(), Proxies)


ROUTERS = re.compile(r"envoy|xds|istio|gateway ?api|httproute|virtualservice|acknowledg|\backs?\b", re.IGNORECASE)


@pytest.mark.parametrize("layer", ["domain/traffic", "ports"])
def test_a_decision_knows_no_router_by_name_and_no_acknowledgement(layer: str) -> None:
    root = Path(accord.__file__).parent
    named = {each.name: ROUTERS.findall(each.read_text("utf-8")) for each in (root / layer).glob("*.py")}
    assert {name: words for name, words in named.items() if words} == {}


def test_an_answer_is_named_only_where_it_is_chosen() -> None:
    root = Path(accord.__file__).parent
    sources = {str(each.relative_to(root)): each.read_text("utf-8") for each in root.rglob("*.py")}
    named = {name for name, text in sources.items() if "adapters.routers" in text}
    elsewhere = {name for name in named if not name.startswith("adapters/routers/")}
    assert elsewhere == {"app.py", "kinds.py", "settings.py"}
