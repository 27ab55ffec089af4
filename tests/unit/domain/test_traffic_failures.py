"""What Prometheus is asked about failures, and what is made of anything that it may answer."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, manifest

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.questions import Custom, Shared
from accord.domain.samples import Answer, Sample
from accord.domain.traffic import failures
from accord.domain.traffic.failures import ask, interpret, schedule

EVALUATED = NOW + timedelta(hours=3)
"""Prometheus may live in another time: ages are taken by its own clock."""
CREATIVE = {"mode": "creative"}


def policy(*further: dict[str, Any], breaker: dict[str, Any] | None = None, **metadata: Any) -> TrafficPolicy:
    given = manifest(circuitBreaker={**CREATIVE, **(breaker or {})}, circuitBreakers=list(further))
    given["metadata"] |= metadata
    return TrafficPolicy.model_validate(given)


def sample(part: str, value: float, **labels: str) -> Sample:
    return Sample({"accord": part, "namespace": "demo", "mode": "creative", **labels}, value, EVALUATED)


def newest(age: float = 5.0) -> Sample:
    return sample("sampled 1m", EVALUATED.timestamp() - age)


def counted(failed: float, requests: float | None = None) -> Answer:
    more = () if requests is None else (sample("requests 1m", requests),)
    return Answer((sample("failures 1m", failed), newest(), *more))


def test_our_query_asks_for_failures_requests_and_ages() -> None:
    labels = 'namespace="demo",mode="creative",pod!~"shop-router-[a-z0-9]+-[a-z0-9]+"'
    asked = ask(policy(), NOW)
    assert asked.promql == (
        f'label_replace(sum by (namespace, mode) (increase(llm_failures_total{{{labels}}}[1m])), "accord", '
        f'"failures 1m", "", "") or label_replace(sum by (namespace, mode) (increase(http_requests_total{{{labels}}}'
        f'[1m])), "accord", "requests 1m", "", "") or label_replace(max by (namespace, mode) '
        f'(timestamp(llm_failures_total{{{labels}}})), "accord", "sampled 1m", "", "")'
    )


def test_policies_with_the_same_windows_are_asked_about_together() -> None:
    here, there = ask(policy(), NOW), ask(policy(name="other", namespace="prod"), NOW)
    assert isinstance(here, Shared)
    assert isinstance(there, Shared)
    assert here.template == there.template
    promql = here.template.promql([here.scope, there.scope])
    assert 'namespace=~"demo|prod",mode="creative",pod!~"(other-router|shop-router)-' in promql
    both = Answer((sample("failures 1m", 3), sample("failures 1m", 7, namespace="prod"), sample("x", 1, mode="fast")))
    parts = here.template.parts(both, [here.scope, there.scope])
    assert [[each.value for each in parts[scope].samples] for scope in (here.scope, there.scope)] == [[3], [7]]


def test_several_breakers_of_a_policy_are_one_question() -> None:
    two = policy({"mode": "balanced", "window": "5m"})
    asked = ask(two, NOW)
    assert isinstance(asked, Shared)
    assert asked.promql.count("increase(llm_failures_total") == 2
    assert 'mode="balanced",pod!~"shop-router-[a-z0-9]+-[a-z0-9]+"}[5m]' in asked.promql
    answer = Answer((*counted(3, 4).samples, sample("failures 5m", 1, mode="balanced")))
    read = interpret(two, Answer((*answer.samples, sample("sampled 5m", EVALUATED.timestamp(), mode="balanced"))), NOW)
    assert {mode: (each.failures, each.requests) for mode, each in read.modes.items()} == {
        "creative": (3, 4),
        "balanced": (1, None),
    }


def test_a_users_query_is_filled_in_and_asked_with_the_requests() -> None:
    own = policy(breaker={"query": 'sum(increase(x{ns="$namespace",m="${mode}",d="$1"}[$window])) # ours'})
    asked = ask(own, NOW)
    assert isinstance(asked, Custom)
    assert asked.promql.startswith(
        'label_replace(label_replace((\nsum(increase(x{ns="demo",m="creative",d="$1"}[1m])) # ours\n), "accord", '
        '"failures 1m", "", ""), "accord_mode", "creative", "", "") or label_replace(sum by (namespace, mode) '
        "(increase(http_requests_total{"
    )
    assert "llm_failures_total" not in asked.promql


def test_a_users_query_beside_one_of_ours() -> None:
    mixed = policy({"mode": "balanced"}, breaker={"query": "sum(x)"})
    asked = ask(mixed, NOW)
    assert isinstance(asked, Custom)
    assert asked.promql.count("llm_failures_total") == 2
    own = Sample({"accord": "failures 1m", "accord_mode": "creative", "mode": "balanced"}, 2, EVALUATED)
    answer = Answer(
        (own, sample("failures 1m", 5, mode="balanced"), sample("sampled 1m", EVALUATED.timestamp(), mode="balanced"))
    )
    read = interpret(mixed, answer, NOW)
    assert {mode: each.failures for mode, each in read.modes.items()} == {"creative": 2, "balanced": 5}


def test_names_cannot_break_out_of_the_query() -> None:
    hostile = policy(namespace='a"} or x{b="')
    assert 'namespace="a\\"} or x{b=\\""' in ask(hostile, NOW).promql


@pytest.mark.parametrize(
    ("answer", "outcome", "part"),
    [
        (counted(3, 10), "Known", ""),
        (counted(0, 10), "Known", ""),
        (counted(3), "Known", ""),
        (Answer((sample("requests 1m", 10),)), "Known", ""),
        (Answer(), "Absent", "no series llm_failures_total counts failures of mode creative in namespace demo"),
        (Answer((newest(),)), "Absent", "no series"),
        (Answer((sample("failures 5m", 3), newest())), "Absent", "no series"),
        (Answer(failure="Timeout", message="no answer within 5s"), "Unknown", "no answer within 5s"),
        (Answer(failure="Refused"), "Unknown", "the query failed: Refused"),
        (counted(math.nan), "Unknown", "not a number of failures"),
        (counted(math.inf), "Unknown", "not a number of failures"),
        (counted(-1), "Unknown", "not a number of failures"),
        (Answer((sample("failures 1m", 1), sample("failures 1m", 2, pod="b"))), "Unknown", "more than one series"),
        (Answer((sample("failures 1m", 3), newest(149))), "Known", ""),
        (Answer((sample("failures 1m", 3), newest(151))), "Unknown", "older than 2m30s"),
        (Answer((sample("failures 1m", 3), newest(math.nan))), "Unknown", "older"),
        (Answer((sample("failures 1m", 3),)), "Unknown", "no longer scraped"),
    ],
)
def test_every_answer_is_a_reading(answer: Answer, outcome: str, part: str) -> None:
    read = interpret(policy(), answer, NOW)
    reading = read.modes["creative"]
    assert (reading.outcome, reading.at, read.at) == (outcome, NOW, NOW)
    assert part in reading.message
    assert read.outcome == ("QueryFailed" if answer.failure else "Measured")


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (counted(0, 12_345), 1),
        (counted(0, 0.4), 0),
        (counted(2, 12_345), 12_345),
        (counted(2, math.nan), None),
        (counted(0), None),
    ],
)
def test_without_failures_only_whether_there_are_requests_is_news(answer: Answer, requests: float | None) -> None:
    assert interpret(policy(), answer, NOW).modes["creative"].requests == requests


def test_a_users_query_without_series_is_not_taken_for_no_failures() -> None:
    own = policy(breaker={"query": "sum(x)"})
    read = interpret(own, Answer((sample("requests 1m", 10),)), NOW).modes["creative"]
    assert (read.outcome, read.message) == ("Absent", "the query for mode creative returned no series")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(policy(), 15), (policy({"mode": "balanced", "window": "8s"}), 2), (policy(breaker={"window": "1h"}), 60)],
)
def test_the_shortest_window_sets_the_pace(given: TrafficPolicy, seconds: float) -> None:
    assert schedule(given, NOW) == timedelta(seconds=seconds)


def test_nothing_is_asked_without_a_breaker() -> None:
    assert schedule(TrafficPolicy.model_validate(manifest()), datetime.min) is None
    assert failures.QUESTION.shape == "vector"
