"""The VirtualService of a policy and the DestinationRules of its modes."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import mode
from tests.unit.gatewayapi.routes import BREAKER, OPEN
from tests.unit.istio.meshes import (
    CLOCK,
    IDEMPOTENT,
    ROUTER,
    cookies,
    destination_rule,
    headers,
    made,
    mesh,
    pairs,
    policy,
    rules,
    virtual_service,
    weights,
)

from accord.adapters.routers.istio import IstioRouter
from accord.api.base import Manifest
from accord.domain.children import needs_apply
from accord.domain.traffic.resources import owned


def test_the_last_rule_draws_a_mode_by_weight_and_says_which_it_was() -> None:
    last = rules(policy())[-1]
    assert weights(last) == {"fast": 60, "balanced": 30, "creative": 10}
    assert "match" not in last
    assert last["route"][0] == {
        "destination": {"host": "shop-balanced", "port": {"number": 80}},
        "weight": 30,
        "headers": {
            "response": {
                "set": {"x-accord-mode": "balanced"},
                "add": {"set-cookie": "accord-mode=balanced; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax"},
            }
        },
    }


def test_a_wish_in_the_header_comes_before_one_in_a_cookie_and_that_before_stickiness() -> None:
    found = rules(policy(strategy="UserPreference"))
    assert [headers(rule)[0][0] for rule in found[:-1]] == ["x-accord-mode"] * 3 + ["cookie"] * 6
    assert [weights(rule) for rule in found[:-1]] == [{"balanced": 100}, {"creative": 100}, {"fast": 100}] * 3
    assert headers(found[0]) == [("x-accord-mode", "balanced")]
    assert "accord-preference=creative" in headers(found[4])[0][1]
    assert "accord-mode=fast" in headers(found[8])[0][1]


def test_a_header_is_matched_in_lower_case_as_istio_wants_it() -> None:
    found = rules(policy(strategy="UserPreference", userPreference={"header": "X-Mode"}))
    assert headers(found[0]) == [("x-mode", "balanced")]


def test_only_a_drawn_mode_is_remembered() -> None:
    assert [len(cookies(rule)) for rule in rules(policy())] == [0, 0, 0, 3]
    assert [cookies(rule) for rule in rules(policy(stickySession={"enabled": False}))] == [[]]


def test_what_may_be_repeated_and_how_often_is_as_in_the_built_in_router() -> None:
    found = pairs(policy(strategy="UserPreference"))
    for again, others in found:
        assert again["retries"] == {"attempts": 2, "retryOn": "5xx"}
        assert others["retries"] == {"attempts": 2, "retryOn": "connect-failure,refused-stream,reset-before-request"}
        assert again["route"] == others["route"]
        assert {match["method"]["regex"] for match in again["match"]} == {IDEMPOTENT}
        matched = [{"headers": match["headers"]} for match in again["match"] if "headers" in match]
        assert matched == others.get("match", [])
    assert found[-1][0]["match"] == [{"method": {"regex": IDEMPOTENT}}]


def test_a_mode_without_pods_hands_its_share_and_its_users_to_the_fallback_mode() -> None:
    found = rules(policy(pods={"creative": 0}))
    assert weights(found[-1]) == {"balanced": 30, "fast": 70}
    assert [weights(rule) for rule in found[:-1]] == [{"balanced": 100}, {"fast": 100}, {"fast": 100}]
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
    for pair in pairs(policy(pods={}, status=OPEN, circuitBreaker=BREAKER)):
        assert [rule["headers"] for rule in pair] == [{"request": {"set": {"x-accord-cache-ttl": "300"}}}] * 2
    assert all("headers" not in rule for rule in rules(policy()))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6), st.sets(st.integers(0, 5)))
def test_the_weights_of_each_rule_sum_to_100_and_none_is_0(split: list[int], away: set[int]) -> None:
    total = sum(split) or 1
    whole = [100 * share // total for share in split]
    whole[0] += 100 - sum(whole)
    modes = [mode(f"m{n}", share) for n, share in enumerate(whole)]
    for rule in rules(policy(pods={f"m{n}": 0 for n in away}, modes=modes)):
        assert sum(weights(rule).values()) == 100
        assert all(weights(rule).values())


def test_shares_that_are_no_whole_percents_are_told_in_hundredths() -> None:
    half = {"circuitBreakers": [{**OPEN["circuitBreakers"][0], "phase": "HalfOpen", "share": 5}]}
    found = rules(policy(pods={}, status=half, circuitBreaker=BREAKER))
    assert weights(found[-1]) == {"balanced": 3950, "creative": 50, "fast": 6000}


def test_hosts_and_gateways_are_those_of_the_spec() -> None:
    router = mesh(hosts=["a.example.com", "chat"], gateways=["infra/public", "mesh"])
    spec = virtual_service(policy(router=router))["spec"]
    assert (spec["hosts"], spec["gateways"]) == (["a.example.com", "chat"], ["infra/public", "mesh"])


def test_without_gateways_it_is_for_the_mesh_and_says_so() -> None:
    spec = virtual_service(policy(router={"type": "Istio", "istio": {"hosts": ["chat"]}}))["spec"]
    assert spec["gateways"] == ["mesh"]


def test_each_mode_has_a_rule_for_its_pods() -> None:
    spec = destination_rule(policy())["spec"]
    assert spec["host"] == "shop-fast"
    limits = spec["trafficPolicy"]
    assert limits["loadBalancer"] == {"simple": "LEAST_REQUEST"}
    assert limits["connectionPool"]["http"] == {"http1MaxPendingRequests": 100, "idleTimeout": "3s"}
    assert limits["outlierDetection"]["consecutiveGatewayErrors"] == 5
    assert list(made(policy()))[-1] == ("VirtualService", "shop-router"), "written after what it refers to"


@pytest.mark.parametrize(
    ("algorithm", "simple"),
    [("LeastConnections", "LEAST_REQUEST"), ("RoundRobin", "ROUND_ROBIN"), ("Random", "RANDOM")],
)
def test_the_load_balancing_of_the_spec_is_that_of_istio(algorithm: str, simple: str) -> None:
    found = destination_rule(policy(loadBalancing={"algorithm": algorithm, "maxQueueSize": 7}))["spec"]["trafficPolicy"]
    assert found["loadBalancer"] == {"simple": simple}
    assert found["connectionPool"]["http"]["http1MaxPendingRequests"] == 7


@given(
    st.text("abz09!#$%&'*+-.^_`|~", min_size=1, max_size=12),
    st.sampled_from(["{}", "x=1; {}", "{}; x=1", "x=1;{};y=2", "x=1; {} ; y=2"]),
)
def test_a_cookie_of_any_name_is_found_and_set(name: str, around: str) -> None:
    found = rules(policy(stickySession={"cookie": name}))
    (expression,) = [value for _, value in headers(found[1])]
    assert re.fullmatch(expression, around.format(f"{name}=creative"))
    assert not re.fullmatch(expression, around.format(f"{name}=creatives"))
    as_envoy_reads_it = cookies(found[-1])[0].replace("%%", "\0")
    assert "%" not in as_envoy_reads_it
    assert as_envoy_reads_it.replace("\0", "%").startswith(f"{name}=balanced; ")


def test_there_is_none_where_the_cluster_has_no_such_kinds_or_they_could_not_honour_the_spec() -> None:
    assert IstioRouter(installed=lambda: False, clock=CLOCK).objects(policy(), {}) == ()
    assert ROUTER.objects(policy(strategy="RoundRobin"), {}) == ()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"strategy": "RoundRobin"}, "spec.strategy"),
        ({"stickySession": {"header": "x-user"}}, "spec.stickySession.header"),
        ({"strategy": "UserPreference", "userPreference": {"header": "Authority"}}, "spec.userPreference.header"),
        ({"router": mesh(hosts=["chat.example.com", "*.example.com"])}, "spec.router.istio.hosts"),
        ({"router": mesh(hosts=["*", "chat"])}, "spec.router.istio.hosts"),
        ({"loadBalancing": {"healthCheck": {"path": "/up"}}}, "spec.loadBalancing.healthCheck.path"),
        ({"loadBalancing": {"healthCheck": {"interval": "5s"}}}, "spec.loadBalancing.healthCheck.interval"),
        ({"modes": [{**mode("fast", 100), "healthCheck": {"port": 1}}]}, "spec.modes[0].healthCheck"),
        ({"router": {**mesh(), "envoy": {"trustedHops": 1}}}, "spec.router.envoy.trustedHops"),
        ({"router": {**mesh(), "envoy": {"replicas": 3}}}, "spec.router.envoy"),
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
        ({"router": {"type": "Envoy"}}, "spec.router.type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_istio_cannot_do_is_named(spec: dict[str, Any], field: str) -> None:
    (found,) = ROUTER.unsupported(policy(**spec))
    assert found.field == field


def test_what_is_left_at_its_default_is_honoured() -> None:
    assert ROUTER.unsupported(policy()) == ()
    assert ROUTER.unsupported(policy(router=mesh(hosts=["*.example.com", "chat-example.com", "example.com"]))) == ()
    sixteen = [mode(f"m{n}", 85 if n == 0 else 1) for n in range(16)]
    assert ROUTER.unsupported(policy(strategy="UserPreference", modes=sixteen)) == ()
    assert ROUTER.unsupported(policy(strategy="UserPreference", circuitBreaker=BREAKER)) == ()


LIVE = owned(policy(), virtual_service(policy()))


def _last(live: Manifest) -> Manifest:
    last: Manifest = live["spec"]["http"][-1]
    return last


EDITS: dict[str, Callable[[Manifest], object]] = {
    "a weight": lambda live: _last(live)["route"][0].update(weight=1),
    "a destination": lambda live: _last(live)["route"].append({"destination": {"host": "mine"}}),
    "the order of rules": lambda live: live["spec"]["http"].reverse(),
    "a rule": lambda live: live["spec"]["http"].append(_last(live)),
    "a timeout": lambda live: _last(live).update(timeout="1s"),
    "a fault": lambda live: _last(live).update(fault={"abort": {"httpStatus": 500, "percentage": {"value": 100}}}),
    "a header": lambda live: _last(live)["route"][0]["headers"]["response"]["set"].update({"x-mine": "1"}),
    "a match": lambda live: live["spec"]["http"][0]["match"][0].update(uri={"prefix": "/mine"}),
    "a host": lambda live: live["spec"]["hosts"].append("mine.example.com"),
    "a gateway": lambda live: live["spec"].update(gateways=["mine"]),
}


@pytest.mark.parametrize("change", EDITS)
def test_whatever_somebody_changes_in_it_is_a_difference(change: str) -> None:
    edited = copy.deepcopy(LIVE)
    EDITS[change](edited)
    assert edited != LIVE
    assert needs_apply(LIVE, edited)


def test_what_the_api_server_adds_outside_the_spec_is_none() -> None:
    meta = LIVE["metadata"] | {"uid": "1", "generation": 2}
    assert not needs_apply(LIVE, {**copy.deepcopy(LIVE), "metadata": meta, "status": {"conditions": []}})


@pytest.mark.parametrize("part", ["loadBalancer", "connectionPool", "outlierDetection"])
def test_a_part_of_a_destination_rule_that_somebody_takes_away_is_a_difference(part: str) -> None:
    wanted = owned(policy(), destination_rule(policy()))
    live = copy.deepcopy(wanted)
    assert not needs_apply(wanted, live)
    del live["spec"]["trafficPolicy"][part]
    assert needs_apply(wanted, live)
