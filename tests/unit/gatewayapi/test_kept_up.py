"""The live route of a policy whose spec is not followed for now."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gatewayapi.routes import KEY, ROUTER, gateway, living, policy, weights

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.children import needs_apply
from accord.domain.traffic.resources import owned

_MODES = ("fast", "balanced", "creative")
_PODS = st.fixed_dictionaries({mode: st.integers(0, 2) for mode in _MODES})


def kept_up(of: TrafficPolicy, live: Manifest) -> Manifest:
    (found,) = ROUTER.kept_up(of, {KEY: live})
    return found


def test_another_mode_stands_in_for_one_that_lost_its_pods_and_hands_the_share_back() -> None:
    live = living(policy({}))
    lost = kept_up(policy({"creative": 0}, suspend=True), live)
    assert weights(lost["spec"]["rules"][-1]) == {"fast": 70, "balanced": 30}
    back = kept_up(policy({}, suspend=True), lost)
    assert back == live


@given(_PODS, _PODS)
def test_it_is_the_route_of_a_policy_that_is_followed(before: Mapping[str, int], now: Mapping[str, int]) -> None:
    found = kept_up(policy(now, suspend=True), living(policy(before)))
    assert not needs_apply(owned(policy(now), found), living(policy(now)))


def test_nothing_else_of_a_spec_that_changed_meanwhile_is_in_it() -> None:
    live = living(policy({}, router=gateway(pathPrefix="/chat", hostnames=["chat.example.com"])))
    edited = gateway(pathPrefix="/", hostnames=["other.example.com"], parentRefs=[{"name": "other"}])
    found = kept_up(policy({"fast": 0}, suspend=True, router=edited), live)
    assert {**found["spec"], "rules": None} == {**live["spec"], "rules": None}
    assert {match["path"]["value"] for rule in found["spec"]["rules"] for match in rule["matches"]} == {"/chat"}
    assert "fast" not in weights(found["spec"]["rules"][-1])


def _another_weight(live: Manifest) -> None:
    live["spec"]["rules"][-1]["backendRefs"][0]["weight"] = 99


def _another_service(live: Manifest) -> None:
    live["spec"]["rules"][-1]["backendRefs"] = [{"name": "elsewhere", "port": 80}]


def _no_rules(live: Manifest) -> None:
    del live["spec"]["rules"]


def _a_rule_without_matches(live: Manifest) -> None:
    live["spec"]["rules"].append({"backendRefs": [{"name": "shop-fast", "port": 80}]})


@pytest.mark.parametrize("edit", [_another_weight, _another_service, _no_rules, _a_rule_without_matches])
def test_what_somebody_edited_is_left_alone(edit: object) -> None:
    live = copy.deepcopy(living(policy({})))
    assert callable(edit)
    edit(live)
    assert kept_up(policy({"creative": 0}, suspend=True), live) == live


def test_a_spec_that_is_not_accepted_is_none_that_is_followed() -> None:
    found = kept_up(policy({"creative": 0}, strategy="RoundRobin"), living(policy({})))
    assert weights(found["spec"]["rules"][-1]) == {"fast": 70, "balanced": 30}


def test_there_is_nothing_to_keep_up_where_the_spec_is_followed_or_no_route_is() -> None:
    assert ROUTER.kept_up(policy({"creative": 0}), {KEY: living(policy({}))}) == ()
    assert ROUTER.kept_up(policy({"creative": 0}, suspend=True), {}) == ()
