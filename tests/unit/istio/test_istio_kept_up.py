"""The live VirtualService of a policy whose spec is not followed for now."""

from __future__ import annotations

import copy

from tests.unit.istio.meshes import ROUTER, mesh, policy, virtual_service, weights

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic.resources import owned

_KEY = ObjectKey("networking.istio.io/v1", "VirtualService", "demo", "shop-router")


def living(of: TrafficPolicy) -> Manifest:
    return copy.deepcopy(owned(of, virtual_service(of)))


def kept_up(of: TrafficPolicy, live: Manifest) -> Manifest:
    (found,) = ROUTER.kept_up(of, {_KEY: live})
    return found


def test_another_mode_stands_in_for_one_that_lost_its_pods_and_hands_the_share_back() -> None:
    live = living(policy({}))
    lost = kept_up(policy({"creative": 0}, suspend=True), live)
    assert weights(lost["spec"]["http"][-1]) == {"fast": 70, "balanced": 30}
    assert kept_up(policy({}, suspend=True), lost) == live


def test_hosts_and_gateways_stay_as_they_live() -> None:
    edited = mesh(hosts=["other.example.com"], gateways=["infra/other"])
    found = kept_up(policy({"fast": 0}, suspend=True, router=edited), living(policy({})))
    assert (found["spec"]["hosts"], found["spec"]["gateways"]) == (["chat.example.com"], ["infra/public"])
    assert "fast" not in weights(found["spec"]["http"][-1])


def test_what_somebody_edited_is_left_alone() -> None:
    live = living(policy({}))
    live["spec"]["http"][-1]["route"][0]["weight"] = 99
    assert kept_up(policy({"creative": 0}, suspend=True), live) == live
    live["spec"]["http"] = [{"redirect": {"uri": "/"}}]
    assert kept_up(policy({"creative": 0}, suspend=True), live) == live


def test_there_is_nothing_to_keep_up_where_the_spec_is_followed_or_nothing_lives() -> None:
    assert ROUTER.kept_up(policy({"creative": 0}), {_KEY: living(policy({}))}) == ()
    assert ROUTER.kept_up(policy({"creative": 0}, suspend=True), {}) == ()
