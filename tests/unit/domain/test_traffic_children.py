"""The policy's own objects: put back, made anew, and removed at the right time."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, edited, manifest, observed, router, settled

from accord.adapters.routers.envoy.objects import scaled
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic import resources
from accord.domain.traffic.decide import decide

POLICY = settled()
CHILDREN = decide(observed(POLICY), NOW).apply


def live(**changes: Any) -> list[Manifest]:
    """The children as they should be, except `shop_fast=…`: a function that spoils one, or None for a missing one."""
    children = []
    for child in copy.deepcopy(CHILDREN):
        name = child["metadata"]["name"].replace("-", "_")
        if name not in changes:
            children.append(child)
        elif changes[name] is not None:
            changes[name](child)
            children.append(child)
    return children


def names(keys: Any) -> list[str]:
    return [key.name if isinstance(key, ObjectKey) else key["metadata"]["name"] for key in keys]


def other_port(service: Manifest) -> None:
    service["spec"]["ports"][0]["port"] = 9999


def more_ports(service: Manifest) -> None:
    service["spec"]["ports"].append({"name": "extra", "port": 81, "protocol": "TCP"})


@pytest.mark.parametrize(
    ("children", "applies", "deletes"),
    [
        (live(), [], []),
        (live(shop_fast=None), ["shop-fast"], []),
        (live(shop_fast=lambda s: s["spec"]["selector"].update(x="y")), ["shop-fast"], []),
        (live(shop_fast=lambda s: s["spec"]["ports"][0].update(targetPort=1)), ["shop-fast"], []),
        (live(shop_fast=lambda s: s["metadata"].pop("labels")), ["shop-fast"], []),
        (live(shop_fast=lambda s: s["metadata"].pop("ownerReferences")), ["shop-fast"], []),
        (live(shop_fast=other_port), [], ["shop-fast"]),
        (live(shop_fast=more_ports), [], ["shop-fast"]),
        (live(shop_fast=lambda s: s["spec"].pop("ports")), ["shop-fast"], []),
        (live(shop_router=other_port), ["shop-router"], []),
        (live(shop_router=more_ports), [], []),
        (live(shop_fast=lambda s: (more_ports(s), s["metadata"].update(deletionTimestamp="x"))), [], []),
    ],
)
def test_drift(children: list[Manifest], applies: list[str], deletes: list[str]) -> None:
    plan = decide(observed(POLICY, children=children), NOW)
    assert (names(plan.apply), names(plan.delete)) == (applies, deletes)


def extra(name: str, labels: dict[str, str], **meta: Any) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "demo", "labels": labels, **meta},
    }


@pytest.mark.parametrize(
    ("child", "deletes"),
    [
        (extra("shop-old", {"app.kubernetes.io/managed-by": "accord", "accord.dev/mode": "old"}), ["shop-old"]),
        (extra("shop-pdb", {"app.kubernetes.io/managed-by": "accord"}), ["shop-pdb"]),
        (extra("theirs", {"app.kubernetes.io/managed-by": "helm"}), []),
        (extra("theirs", {}), []),
        (extra("shop-old", {"app.kubernetes.io/managed-by": "accord"}, deletionTimestamp="x"), []),
    ],
)
def test_what_is_wanted_no_more_goes_if_it_is_ours(child: Manifest, deletes: list[str]) -> None:
    assert names(decide(observed(POLICY, children=[*CHILDREN, child]), NOW).delete) == deletes


def test_the_service_of_a_mode_stays_while_its_deployment_is_away() -> None:
    plan = decide(observed(POLICY, children=CHILDREN, deployments={}), NOW)
    assert (plan.apply, plan.delete) == ((), ())


def test_the_service_of_a_removed_mode_goes_after_the_status_dropped_it() -> None:
    policy = edited(POLICY, {"fast": 70, "balanced": 30})
    plan = decide(observed(policy, children=CHILDREN), NOW)
    assert plan.delete == ()
    after = decide(observed({**policy, "status": plan.status}, children=CHILDREN), NOW)
    assert names(after.delete) == ["shop-creative"]


def test_without_a_uid_nothing_refers_to_an_owner() -> None:
    policy = {**POLICY, "metadata": {**POLICY["metadata"], "uid": ""}}
    for child in decide(observed(policy), NOW).apply:
        assert "ownerReferences" not in child["metadata"]


def test_the_number_of_proxies_is_left_to_an_autoscaler() -> None:
    def sized(replicas: int) -> Manifest:
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop-router"},
            "spec": {"replicas": replicas, "template": {}},
        }

    def applied(live: int | None, **envoy: Any) -> list[int]:
        policy = manifest(router={"envoy": envoy})
        given = TrafficPolicy.model_validate(policy)
        children = [] if live is None else [resources.owned(given, sized(live))]
        view = router(objects=(scaled(given, sized(2), {ObjectKey.of(child): child for child in children}),))
        plan = decide(observed(policy, router=view, children=children), NOW)
        return [m["spec"]["replicas"] for m in plan.apply if m["kind"] == "Deployment"]

    assert applied(4) == [2], "by default the spec decides"
    assert applied(4, scaling="External") == []
    assert applied(None, scaling="External") == [2], "what it begins with"


class TestFrozen:
    """Suspended, and with another spec than what is in force: nothing changes but what the objects are found by."""

    FROZEN = edited(POLICY, {"fast": 50, "new": 50}, suspend=True)

    def applied(self, children: list[Manifest], orphans: tuple[Manifest, ...] = ()) -> list[Manifest]:
        facts = replace(
            observed(self.FROZEN, children=children), orphans={ObjectKey.of(each): each for each in orphans}
        )
        plan = decide(facts, NOW)
        assert plan.delete == ()
        return list(plan.apply)

    def test_nothing_is_written_where_nothing_was_lost(self) -> None:
        assert self.applied(live()) == []
        assert self.applied(live(shop_fast=None, shop_router=other_port, shop_creative=more_ports)) == []

    @pytest.mark.parametrize("child", ["shop-fast", "shop-creative", "shop-router"])
    @pytest.mark.parametrize("lost", ["labels", "ownerReferences"])
    def test_lost_labels_and_owners_are_put_back_and_all_else_stays(self, child: str, lost: str) -> None:
        def spoil(service: Manifest) -> None:
            service["metadata"] |= {"uid": "u-s", "annotations": {"theirs": "x"}}
            service["spec"] |= {"clusterIP": "10.1.2.3", "selector": {"app": "somebody-elses"}}
            del service["metadata"][lost]

        children = live(**{child.replace("-", "_"): spoil})
        (spoiled,) = [each for each in children if each["metadata"]["name"] == child]
        (before,) = [each for each in CHILDREN if each["metadata"]["name"] == child]
        if lost == "ownerReferences":
            children.remove(spoiled)
        (wanted,) = self.applied(children, (spoiled,) if lost == "ownerReferences" else ())
        assert wanted["spec"] == spoiled["spec"]
        assert wanted["metadata"] == {**before["metadata"], "uid": "u-s", "annotations": {"theirs": "x"}}

    def test_what_is_being_deleted_is_left_to_go(self) -> None:
        def go(service: Manifest) -> None:
            service["metadata"] = {**service["metadata"], "labels": {}, "deletionTimestamp": "2026-03-01T12:00:00Z"}

        assert self.applied(live(shop_fast=go)) == []
