"""What Prometheus is asked, and what is made of anything that it may answer."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, manifest

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.samples import Answer, Sample
from accord.domain.traffic.distribution import interpret, query

CLOCK_SKEW = timedelta(hours=3)
"""Prometheus may live in another time: ages are taken by its own clock."""
EVALUATED = NOW + CLOCK_SKEW


def policy(**monitoring: Any) -> TrafficPolicy:
    return TrafficPolicy.model_validate(manifest(monitoring=monitoring))


def counted(mode: str | None, value: float, **labels: str) -> Sample:
    return Sample({**({"mode": mode} if mode else {}), **labels}, value, EVALUATED)


def answer(counts: dict[str, float], ages: dict[str, float] | None = None) -> Answer:
    ages = dict.fromkeys(counts, 5.0) if ages is None else ages
    requests = [counted(mode, value, accord="requests") for mode, value in counts.items()]
    sampled = [counted(mode, EVALUATED.timestamp() - age, accord="sampled") for mode, age in ages.items()]
    return Answer((*requests, *sampled))


def test_our_query_asks_for_counts_and_for_their_age() -> None:
    router = f"{manifest()['metadata']['name']}-router-[a-z0-9]+-[a-z0-9]+"
    series = f'http_requests_total{{namespace="demo",mode=~"balanced|creative|fast",pod!~"{router}"}}'
    assert query(policy(window="1h30m")) == (
        f'label_replace(sum by (mode) (increase({series}[1h30m])), "accord", "requests", "", "")'
        f' or label_replace(max by (mode) (timestamp({series})), "accord", "sampled", "", "")'
    )


def test_a_users_query_is_filled_in_once_and_its_own_dollars_stay() -> None:
    text = 'sum by (mode) (rate(x{ns="$namespace",m=~"${modes}$"}[$window])) or label_replace(y, "a", "$1", "b", "$w")'
    assert query(policy(query=text)) == (
        'sum by (mode) (rate(x{ns="demo",m=~"balanced|creative|fast$"}[5m])) or label_replace(y, "a", "$1", "b", "$w")'
    )


def test_names_cannot_break_out_of_the_query() -> None:
    """The CRD refuses such names; should it not, they are quoted all the same."""
    hostile = policy()
    hostile = hostile.model_copy(update={"metadata": hostile.metadata.model_copy(update={"namespace": 'a"} or x{b="'})})
    assert 'namespace="a\\"} or x{b=\\""' in query(hostile)


def test_modes_on_their_way_out_are_counted() -> None:
    status = {"modes": [{"name": "old", "target": 0, "effective": 0}]}
    leaving = TrafficPolicy.model_validate(manifest(status=status))
    assert 'mode=~"balanced|creative|fast|old"' in query(leaving)


@pytest.mark.parametrize(
    ("given", "outcome", "part"),
    [
        (answer({"fast": 60, "balanced": 30, "creative": 10}), "Measured", ""),
        (answer({"fast": 60, "other": 30}), "Measured", ""),
        (Answer(), "NoMetric", "no series http_requests_total counts requests of these modes in namespace demo"),
        (answer({}, {"fast": 5}), "NoMetric", "the window must span at least two scrapes"),
        (answer({"fast": 0, "balanced": 0}), "NoTraffic", "no requests within 5m"),
        (answer({"fast": 0.4, "balanced": 0.5}), "NoTraffic", ""),
        (Answer(failure="Timeout", message="no answer within 5s"), "QueryFailed", "no answer within 5s"),
        (Answer(failure="Refused"), "QueryFailed", "the query failed: Refused"),
        (answer({"fast": math.nan}), "QueryFailed", "for mode fast that is not a number"),
        (answer({"fast": math.inf}), "QueryFailed", "for mode fast that is not a number"),
        (answer({"fast": -1}), "QueryFailed", "negative"),
        (Answer((counted("fast", 1), counted("fast", 2))), "QueryFailed", "more than one series for mode fast"),
        (Answer((counted("fast", 1), counted(None, 2))), "QueryFailed", "without the label mode"),
        (answer({"fast": 60}, {"fast": 89}), "Measured", ""),
        (answer({"fast": 60, "balanced": 1}, {"fast": 5, "balanced": 500}), "Stale", "samples of balanced are older"),
        (answer({"fast": 60, "balanced": 1}, {"fast": 5}), "Measured", ""),
        (answer({"fast": 60}, {"fast": math.nan}), "Stale", "fast"),
        (answer({"fast": 60}, {}), "Stale", "are no longer scraped"),
        (answer({"fast": 60}, {"other": 5}), "Stale", "are no longer scraped"),
    ],
)
def test_every_answer_is_an_outcome(given: Answer, outcome: str, part: str) -> None:
    measurement = interpret(policy(interval="30s"), given, NOW)
    assert (measurement.outcome, measurement.at) == (outcome, NOW)
    assert part in measurement.message


def test_unknown_modes_are_not_counted() -> None:
    assert interpret(policy(), answer({"fast": 60, "other": 30}), NOW).requests == {"fast": 60}


def test_long_intervals_make_patience() -> None:
    assert interpret(policy(interval="5m"), answer({"fast": 60}, {"fast": 599}), NOW).outcome == "Measured"


def test_a_users_query_knows_no_ages() -> None:
    own = policy(query="sum by (mode) (x)")
    assert interpret(own, Answer((counted("fast", 60),)), NOW).outcome == "Measured"
    assert interpret(own, Answer(), NOW).message == "the query returned no series"
