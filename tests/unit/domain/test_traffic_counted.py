"""Whose counters the measured shares come from, and what the proxies' own say besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, condition, manifest, observed, programming, router, settled
from tests.unit.domain.test_traffic_judgement import DIRECT, after, alerts, judged, shown

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import Plan
from accord.domain.samples import Answer
from accord.domain.traffic import distribution
from accord.domain.traffic.decide import decide
from accord.domain.traffic.observed import Counted, Measurement, Sight, Tally

SILENT = Measurement("NoMetric", NOW, {}, "no series counts requests")
ON_TARGET = {"fast": 5_980, "balanced": 3_010, "creative": 1_010}


def proxies(requests: Mapping[str, int], **more: Any) -> Counted:
    return Counted("Known", {mode: Tally(number, number) for mode, number in requests.items()}, **more)


def counted_by(plan: Plan) -> str | None:
    assert plan.status is not None
    found: str | None = plan.status.get("countedBy")
    return found


def uncounted(requests: Mapping[str, int], outcome: Any = "NoMetric", **more: Any) -> Measurement:
    return replace(SILENT, outcome=outcome, proxies=proxies(requests, **more))


@pytest.mark.parametrize("outcome", ["NoMetric", "NoTraffic", "NoEndpoint"])
def test_where_the_service_counts_nothing_the_proxies_do(outcome: Any) -> None:
    plan = judged(settled(), uncounted(ON_TARGET, outcome))
    assert condition(plan, "WithinTarget") == (
        "True",
        "WithinTarget",
        "every mode is within 10 points of its target; counted by the proxies, not by the service: "
        "no series counts requests",
    )
    assert (shown(plan, "actual"), counted_by(plan)) == ([59.8, 30.1, 10.1], "Proxies")
    assert plan.status is not None
    assert plan.status["actual"] == "59.8/30.1/10.1"
    assert plan.status["lastReport"] == "2026-03-01T12:00:00Z"


def test_a_deviation_that_only_the_proxies_count_alerts() -> None:
    plan = judged(settled(manifest(**DIRECT)), uncounted({"fast": 400, "balanced": 350, "creative": 250}))
    assert (alerts(plan), condition(plan, "WithinTarget")[:2]) == ({"fast", "creative"}, ("False", "Deviation"))


def test_what_the_service_counts_comes_first() -> None:
    plan = judged(settled(), replace(Measurement("Measured", NOW, ON_TARGET), proxies=proxies({"fast": 9})))
    assert (counted_by(plan), shown(plan, "actual")) == ("Service", [59.8, 30.1, 10.1])
    assert condition(plan, "WithinTarget")[2] == "every mode is within 10 points of its target"


def test_requests_that_go_past_the_router_are_named() -> None:
    stray = Measurement("Measured", NOW, {"fast": 600, "balanced": 300, "creative": 1_500})
    policy = settled(manifest(**DIRECT))
    past = condition(judged(policy, replace(stray, proxies=proxies(ON_TARGET))), "WithinTarget")
    assert past[:2] == ("False", "Deviation")
    assert past[2].endswith(
        "; the proxies split requests as specified, so some bypass the router or are counted incorrectly"
    )
    agree = proxies({"fast": 600, "balanced": 300, "creative": 1_500})
    for other in (agree, Counted(), Counted("Pending")):
        assert "bypass the router" not in condition(judged(policy, replace(stray, proxies=other)), "WithinTarget")[2]


@pytest.mark.parametrize("outcome", ["QueryFailed", "Stale"])
def test_a_prometheus_that_fails_is_not_stood_in_for(outcome: Any) -> None:
    plan = judged(settled(), uncounted(ON_TARGET, outcome))
    assert condition(plan, "WithinTarget") == ("Unknown", outcome, "no series counts requests")
    assert (shown(plan, "actual"), counted_by(plan)) == ([None] * 3, None)


@pytest.mark.parametrize(("outcome", "reason"), [("NoMetric", "NoMetric"), ("NoEndpoint", "QueryFailed")])
def test_proxies_that_do_not_tell_leave_it_unknown(outcome: Any, reason: str) -> None:
    plan = judged(settled(), replace(SILENT, outcome=outcome))
    assert condition(plan, "WithinTarget") == ("Unknown", reason, "no series counts requests")
    assert (shown(plan, "requests"), counted_by(plan)) == ([None] * 3, None)


def test_a_new_leader_keeps_what_is_written_until_the_proxies_were_asked_twice() -> None:
    policy = settled(manifest(**DIRECT))
    policy = after(policy, judged(policy, uncounted(ON_TARGET)))
    again = judged(policy, replace(SILENT, proxies=Counted("Pending")), NOW + timedelta(seconds=5))
    assert again.status == policy["status"]


def test_no_request_is_no_traffic() -> None:
    plan = judged(settled(), uncounted({"fast": 0, "balanced": 0, "creative": 0}))
    assert condition(plan, "WithinTarget")[:2] == ("Unknown", "NoTraffic")
    assert condition(plan, "WithinTarget")[2].startswith("the proxies forwarded no requests within 5m; ")


def test_while_pods_are_tried_without_checks_nobody_knows_which_mode_answers() -> None:
    plan = judged(settled(), uncounted(ON_TARGET, unattributed=200))
    assert condition(plan, "WithinTarget")[:2] == ("Unknown", "Unattributed")
    assert counted_by(judged(settled(), uncounted(ON_TARGET, unattributed=20))) == "Proxies", "a moment long ago"


def test_requests_of_modes_that_are_routed_no_more_do_not_count() -> None:
    plan = judged(settled(), uncounted({**ON_TARGET, "former": 9_000}))
    assert shown(plan, "actual") == [59.8, 30.1, 10.1]


def seen(policy: Manifest, **tallies: Tally) -> Plan:
    return judged(policy, Measurement("Measured", NOW, ON_TARGET, proxies=Counted("Known", tallies)))


def test_what_the_proxies_count_is_in_the_status_and_small_changes_write_nothing() -> None:
    policy = settled()
    first = seen(policy, fast=Tally(1_000, 1_000, 20, 5), balanced=Tally(500, 500), creative=Tally(0))
    assert shown(first, "requests") == [1_000, 500, 0]
    assert shown(first, "errors") == [2.0, 0.0, 0.0]
    assert shown(first, "retries") == [0.5, 0.0, 0.0]
    policy = after(policy, first)
    little = seen(policy, fast=Tally(1_080, 1_000, 24, 9), balanced=Tally(460, 400), creative=Tally(0))
    assert little.status == policy["status"]
    much = seen(policy, fast=Tally(2_000, 2_000, 400, 5), balanced=Tally(500, 500, 1), creative=Tally(1))
    assert shown(much, "requests") == [2_000, 500, 1]
    assert shown(much, "errors") == [20.0, 0.2, 0.0], "from none to some is news"


def test_rates_that_are_not_known_any_more_are_not_shown() -> None:
    policy = after(settled(), seen(settled(), fast=Tally(1_000, 1_000, 20, 5)))
    kept = decide(observed(policy), NOW)
    assert shown(kept, "errors")[0] == 2.0, "not asked yet"
    gone = judged(policy, Measurement("Measured", NOW, ON_TARGET))
    assert shown(gone, "errors") == [None, None, None]


def test_ejected_pods_are_in_the_status_and_remembered() -> None:
    sights = {"fast": Sight(2, 2, 0), "balanced": Sight(1, 1, 1)}
    view = router(programming(sights=sights))
    policy = settled()
    policy = after(policy, decide(observed(policy, router=view), NOW))
    assert [mode.get("ejectedPods") for mode in policy["status"]["modes"]] == [2, 0, None]
    assert {each["type"]: each["reason"] for each in policy["status"]["conditions"]}["ModesAvailable"] == "PodsEjected"
    blind = router(programming(looked=False))
    again = decide(observed(policy, router=blind), NOW)
    assert condition(again, "ModesAvailable")[1] == "PodsEjected"


def test_a_prometheus_that_is_not_configured_is_told_from_one_that_fails() -> None:
    policy = TrafficPolicy.model_validate(manifest())
    absent = distribution.interpret(policy, Answer(failure="UnknownEndpoint", message="there is no endpoint"), NOW)
    assert (absent.outcome, absent.message) == ("NoEndpoint", "there is no endpoint")
    assert distribution.interpret(policy, Answer(failure="Timeout", message="m"), NOW).outcome == "QueryFailed"
