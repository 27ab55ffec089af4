"""The HTTPRoute of a policy."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import mode
from tests.unit.gatewayapi.routes import BREAKER, OPEN, ROUTER, cookies, gateway, headers, policy, route, rules, weights

from accord.adapters.routers.gatewayapi import GatewayAPIRouter
from accord.domain.children import needs_apply
from accord.domain.traffic.resources import owned


def test_the_last_rule_draws_a_mode_by_weight_and_says_which_it_was() -> None:
    last = rules(policy())[-1]
    assert weights(last) == {"fast": 60, "balanced": 30, "creative": 10}
    assert last["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert last["backendRefs"][0] == {
        "group": "",
        "kind": "Service",
        "name": "shop-balanced",
        "port": 80,
        "weight": 30,
        "filters": [
            {
                "type": "ResponseHeaderModifier",
                "responseHeaderModifier": {
                    "set": [{"name": "x-accord-mode", "value": "balanced"}],
                    "add": [
                        {
                            "name": "set-cookie",
                            "value": "accord-mode=balanced; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax",
                        }
                    ],
                },
            }
        ],
    }


def test_a_wish_in_the_header_comes_before_one_in_a_cookie_and_that_before_stickiness() -> None:
    found = rules(policy(strategy="UserPreference"))
    assert [headers(rule)[0][0] for rule in found[:-1]] == ["x-accord-mode"] * 3 + ["cookie"] * 6
    assert [list(weights(rule)) for rule in found[:-1]] == [["balanced"], ["creative"], ["fast"]] * 3
    assert headers(found[0]) == [("x-accord-mode", "balanced")]
    assert "accord-preference=creative" in headers(found[4])[0][1]
    assert "accord-mode=fast" in headers(found[8])[0][1]
    assert [cookies(rule) for rule in found[:-1]] == [[]] * 9


def test_only_a_drawn_mode_is_remembered() -> None:
    found = rules(policy())
    assert [len(cookies(rule)) for rule in found] == [0, 0, 0, 3]
    assert [cookies(rule) for rule in rules(policy(stickySession={"enabled": False}))] == [[]]


def test_a_mode_without_pods_hands_its_share_and_its_users_to_the_fallback_mode() -> None:
    found = rules(policy(pods={"creative": 0}))
    assert weights(found[-1]) == {"balanced": 30, "fast": 70}
    sticky = {headers(rule)[0][1].partition("accord-mode=")[2][:4]: weights(rule) for rule in found[:-1]}
    assert sticky == {"bala": {"balanced": 1}, "crea": {"fast": 1}, "fast": {"fast": 1}}
    assert [cookies(rule) for rule in found[:-1]] == [[], [], []], "they keep the cookie that they have"


def test_without_any_pod_the_shares_stay_and_are_not_all_nothing() -> None:
    found = rules(policy(pods={"fast": 0, "balanced": 0, "creative": 0}))
    assert weights(found[-1]) == {"fast": 60, "balanced": 30, "creative": 10}


def test_a_mode_whose_circuit_is_open_gets_nothing_and_its_users_are_guests_elsewhere() -> None:
    found = rules(policy(pods={}, status=OPEN, circuitBreaker=BREAKER, strategy="UserPreference"))
    assert weights(found[-1]) == {"balanced": 40, "fast": 60}
    guests = found[-2]
    assert weights(guests) == {"balanced": 40, "fast": 60}
    assert [value for _, value in headers(guests)] == ["^(.*; *)?accord-mode=creative( *;.*)?$"]
    assert cookies(guests) == []
    assert ("x-accord-mode", "creative") not in [header for rule in found for header in headers(rule)]


def test_pods_are_told_how_long_an_answer_may_be_reused() -> None:
    found = rules(policy(pods={}, status=OPEN, circuitBreaker=BREAKER))
    told = [rule["filters"][0]["requestHeaderModifier"]["set"] for rule in found]
    assert told == [[{"name": "x-accord-cache-ttl", "value": "300"}]] * len(found)
    assert all("filters" not in rule for rule in rules(policy()))


def test_gateways_hosts_and_prefix_are_those_of_the_spec() -> None:
    parents = [{"name": "a", "namespace": "infra", "sectionName": "web"}, {"name": "b"}]
    made = policy(router=gateway(parentRefs=parents, hostnames=["chat.example.com"], pathPrefix="/chat/"))
    spec = route(made)["spec"]
    common = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    assert spec["parentRefs"] == [
        {**common, "namespace": "infra", "name": "a", "sectionName": "web"},
        {**common, "name": "b"},
    ]
    assert spec["hostnames"] == ["chat.example.com"]
    assert {match["path"]["value"] for rule in spec["rules"] for match in rule["matches"]} == {"/chat/"}
    assert all("; Path=/chat;" in cookie for cookie in cookies(spec["rules"][-1]))


@given(
    st.text("abz09!#$%&'*+-.^_`|~", min_size=1, max_size=12),
    st.sampled_from(["{}", "x=1; {}", "{}; x=1", "x=1;{};y=2", "x=1; {} ; y=2"]),
    st.sampled_from(["", "x", "."]),
)
def test_a_cookie_is_found_wherever_it_stands_and_no_other(name: str, around: str, before: str) -> None:
    spec: dict[str, Any] = {"stickySession": {"cookie": name}}
    (expression,) = [value for _, value in headers(rules(policy(**spec))[1])]
    assert "creative" in expression
    assert "`" not in expression
    for find in (re.search, re.fullmatch):
        assert find(expression, around.format(f"{name}=creative"))
        assert not find(expression, around.format(f"{name}=creatives"))
        if before:
            assert not find(expression, around.format(f"{before}{name}=creative"))


def test_there_is_none_where_the_cluster_has_no_such_kind_or_it_could_not_be_honoured() -> None:
    assert GatewayAPIRouter(installed=lambda: False).objects(policy(), {}) == ()
    assert ROUTER.objects(policy(strategy="RoundRobin"), {}) == ()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"strategy": "RoundRobin"}, "spec.strategy"),
        ({"stickySession": {"header": "x-user"}}, "spec.stickySession.header"),
        ({"loadBalancing": {"algorithm": "Random"}}, "spec.loadBalancing.algorithm"),
        ({"loadBalancing": {"maxQueueSize": 7}}, "spec.loadBalancing.maxQueueSize"),
        ({"loadBalancing": {"healthCheck": {"path": "/up"}}}, "spec.loadBalancing.healthCheck.path"),
        ({"loadBalancing": {"healthCheck": {"interval": "5s"}}}, "spec.loadBalancing.healthCheck.interval"),
        ({"modes": [{**mode("fast", 100), "healthCheck": {"port": 1}}]}, "spec.modes[0].healthCheck"),
        ({"router": {**gateway(), "envoy": {"trustedHops": 1}}}, "spec.router.envoy.trustedHops"),
        ({"router": {**gateway(), "envoy": {"replicas": 3}}}, "spec.router.envoy"),
        (
            {
                "phases": [
                    {
                        "name": "one",
                        "duration": "1h",
                        "weights": [{"mode": "fast", "weight": 100}],
                        "gate": {"maxErrorRate": 1},
                    }
                ]
            },
            "spec.phases[0].gate.maxErrorRate",
        ),
        ({"circuitBreaker": {**BREAKER, "countedBy": "Proxies"}}, "spec.circuitBreaker.countedBy"),
        ({"circuitBreakers": [{**BREAKER, "countedBy": "Proxies"}]}, "spec.circuitBreakers[0].countedBy"),
        ({"modes": [mode(f"m{n}", 10) for n in range(10)], "strategy": "UserPreference"}, "spec.modes"),
        ({"router": {"type": "Envoy"}}, "spec.router.type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_route_cannot_do_is_named(spec: dict[str, Any], field: str) -> None:
    (found,) = ROUTER.unsupported(policy(**spec))
    assert found.field == field


def test_what_is_left_at_its_default_is_honoured() -> None:
    assert ROUTER.unsupported(policy()) == ()
    assert ROUTER.unsupported(policy(strategy="UserPreference", circuitBreaker=BREAKER)) == ()


@given(st.integers(1, 16), st.booleans(), st.booleans(), st.booleans())
def test_a_route_that_is_not_refused_has_no_more_rules_than_the_api_takes(
    modes: int, sticky: bool, wish: bool, breaker: bool
) -> None:
    named = [mode(f"m{n}", 100 - modes + 1 if n == 0 else 1) for n in range(modes)]
    made = policy(
        modes=named,
        strategy="UserPreference" if wish else "WeightedRandom",
        stickySession={"enabled": sticky},
        **({"circuitBreaker": {"mode": "m1", "failures": 3}} if breaker and modes > 1 else {}),
    )
    if not ROUTER.unsupported(made):
        assert len(rules(made)) <= 16


LIVE = owned(policy(), route(policy()))


def edited(change: str) -> dict[str, Any]:
    spec = LIVE["spec"]
    *former, last = spec["rules"]
    first, *others = last["backendRefs"]
    match change:
        case "a weight":
            last = {**last, "backendRefs": [{**first, "weight": 1}, *others]}
        case "a backend":
            last = {**last, "backendRefs": [first, *others, {**first, "name": "mine"}]}
        case "the order of rules":
            return {**LIVE, "spec": {**spec, "rules": [last, *former]}}
        case "a rule":
            return {**LIVE, "spec": {**spec, "rules": [*spec["rules"], last]}}
        case "a filter":
            last = {**last, "filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302}}]}
        case "a host":
            return {**LIVE, "spec": {**spec, "hostnames": ["mine.example.com"]}}
        case "a timeout":
            last = {**last, "timeouts": {"request": "1s"}}
    return {**LIVE, "spec": {**spec, "rules": [*former, last]}}


@pytest.mark.parametrize(
    "change", ["a weight", "a backend", "the order of rules", "a rule", "a filter", "a host", "a timeout"]
)
def test_whatever_somebody_changes_in_the_route_is_a_difference(change: str) -> None:
    assert needs_apply(LIVE, edited(change))


def test_a_default_of_a_later_version_is_none() -> None:
    assert not needs_apply(LIVE, {**LIVE, "spec": {**LIVE["spec"], "useDefault": "None"}})
    assert not needs_apply(LIVE, LIVE)
