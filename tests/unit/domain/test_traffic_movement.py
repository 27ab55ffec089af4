"""Circuit breakers and phases in a decision: what is routed, written and said."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, condition, edited, manifest, observed, programming, reasons, router, settled

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import Plan
from accord.domain.traffic.breaker import Reading, question_of
from accord.domain.traffic.decide import decide
from accord.domain.traffic.failures import Failures
from accord.domain.traffic.observed import Counted, Measurement, Tally
from accord.domain.traffic.routing import RoutingIntent, routing_intent

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
BREAKER = {"mode": "creative", "recovery": "Ramp", "shiftTo": [{"mode": "balanced", "weight": 100}]}
PHASE = {"name": "launch", "duration": "48h", "weights": [{"mode": "fast", "weight": 100}]}


def watched(**fields: Any) -> Manifest:
    return settled(manifest(circuitBreaker={**BREAKER, **fields}, strategy="UserPreference"), NOW - MINUTE)


def heard(policy: Manifest, failures: float, now: datetime, requests: float | None = 5.0) -> Failures:
    spec = TrafficPolicy.model_validate(policy).spec
    return Failures(
        "Measured", now, {b.mode: Reading(now, "Known", question_of(b), failures, requests) for b in spec.breakers}
    )


def pass_over(
    policy: Manifest, now: datetime = NOW, failures: Failures | None = None, measurement: Measurement | None = None
) -> tuple[Manifest, list[Plan]]:
    """Passes until nothing is written; the proxies answer at once."""
    plans = []
    for _ in range(5):
        view = router(programming(at=now - HOUR), policy=policy, now=now)
        facts = replace(observed(policy, router=view, measurement=measurement), failures=failures)
        plan = decide(facts, now)
        plans.append(plan)
        if plan.status is None or plan.status == policy.get("status"):
            return policy, plans
        policy = {**policy, "status": plan.status}
    raise AssertionError("the status never comes to rest")


def routed(policy: Manifest) -> RoutingIntent:
    intent = routing_intent(TrafficPolicy.model_validate(policy), accepted=True)
    assert intent is not None
    return intent


def opened(policy: Manifest | None = None) -> Manifest:
    policy = policy or watched()
    return pass_over(policy, NOW, heard(policy, 3, NOW))[0]


def told(plans: list[Plan]) -> list[str]:
    return [reason for plan in plans for reason in reasons(plan)]


def test_failures_move_the_share_and_pause_the_mode() -> None:
    policy = watched()
    after, plans = pass_over(policy, NOW, heard(policy, 3, NOW, requests=3))
    intent = routed(after)
    assert intent.weights == {"fast": 60, "balanced": 40}
    assert intent.paused == {"creative"}
    assert intent.cache_ttl == 5 * MINUTE
    status = after["status"]
    assert status["target"] == "60/30/10", "what the spec asks for stays the target"
    assert {m["name"]: m["effective"] for m in status["modes"]} == {"fast": 60, "balanced": 40, "creative": 0}
    assert status["inForce"]["reason"] == "CircuitOpen"
    assert status["inForce"]["until"] == "2026-03-01T12:05:00Z"
    assert status["downshift"] == {
        "active": True,
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-01T12:05:00Z",
        "reason": "mode creative: 3 failures of 3 requests within 1m",
    }
    assert "CircuitOpened" in told(plans)
    assert condition(plans[-1], "Ready")[0] == "True"
    assert condition(plans[-1], "CircuitsClosed") == (
        "False",
        "CircuitOpen",
        "mode creative had 3 failures of 3 requests within 1m; its share goes to balanced",
    )


def test_a_mode_returns_by_itself_step_by_step() -> None:
    policy, now, shares, events = opened(), NOW, [], []
    for _ in range(50):
        now += 10 * SECOND
        policy, plans = pass_over(policy, now, heard(policy, 0, now))
        events += told(plans)
        shares.append(routed(policy).weights.get("creative", 0))
    assert shares == [0] * 29 + [1] * 6 + [5] * 6 + [10] * 9
    assert events == ["CircuitHalfOpen"] * 3 + ["CircuitClosed"]
    assert routed(policy).paused == frozenset()
    assert routed(policy).cache_ttl == HOUR
    assert policy["status"]["downshift"]["active"] is False
    assert policy["status"]["circuitBreakers"][0]["downshifts"] == 1


def test_the_end_of_the_cooldown_is_when_it_is_looked_at_again() -> None:
    _, plans = pass_over(opened(), NOW + 2 * MINUTE, None)
    assert plans[-1].requeue_after == 180


@pytest.mark.parametrize("failures", [None, Failures("QueryFailed", NOW + HOUR, {}, "no answer")])
def test_without_data_an_open_circuit_stays_as_it_is_and_nothing_is_written(failures: Failures | None) -> None:
    policy = opened()
    after, plans = pass_over(policy, NOW + HOUR, failures)
    assert after["status"]["circuitBreakers"] == policy["status"]["circuitBreakers"]
    assert told(plans) == []


def test_that_failures_cannot_be_read_is_said() -> None:
    policy = watched()
    unknown = {"creative": Reading(NOW, "Unknown", "", message="no answer within 5s")}
    _, plans = pass_over(policy, NOW, Failures("QueryFailed", NOW, unknown, "no answer within 5s"))
    assert condition(plans[-1], "CircuitsClosed") == (
        "Unknown",
        "FailuresUnknown",
        "failures of mode creative are not known, so nothing changes: no answer within 5s",
    )


def test_a_suspended_policy_keeps_its_downshift_whatever_the_spec_says() -> None:
    suspended = edited(opened(), suspend=True, circuitBreaker={"mode": "creative"})
    after, _ = pass_over(suspended, NOW + HOUR, heard(suspended, 0, NOW + HOUR))
    assert routed(after).weights == {"fast": 60, "balanced": 40}
    assert routed(after).paused == {"creative"}


def test_a_breaker_that_is_removed_gives_the_share_back_at_once() -> None:
    removed = edited(opened())
    del removed["spec"]["circuitBreaker"]
    assert routed(removed).weights == {"fast": 60, "balanced": 30, "creative": 10}
    after, plans = pass_over(removed, NOW + MINUTE)
    assert after["status"]["circuitBreakers"] == []
    assert after["status"]["downshift"] == {"active": False}
    assert condition(plans[-1], "CircuitsClosed") == ("", "", "")


def test_a_deviation_by_an_open_circuit_says_so() -> None:
    counts = {"fast": 60_000.0, "balanced": 40_000.0, "creative": 0.0}
    policy = opened(watched())
    policy = edited(policy, monitoring={"alertDeviation": 5})
    at = NOW + 4 * MINUTE
    _, plans = pass_over(policy, at, None, Measurement("Measured", at, counts))
    found = condition(plans[-1], "WithinTarget")
    assert found[:2] == ("Unknown", "Settling") or found[1] == "CircuitOpen"


def test_a_phase_routes_by_its_own_weights_and_is_in_progress_until_the_last_one() -> None:
    policy = settled(manifest(phases=[PHASE]), NOW)
    assert routed(policy).weights == {"fast": 100}
    status = policy["status"]
    assert status["phase"] == {
        "name": "launch",
        "state": "Running",
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-03T12:00:00Z",
        "completed": [],
    }
    assert status["target"] == "100/0/0"
    assert (status["inForce"]["reason"], status["inForce"]["until"]) == ("Phase", "2026-03-03T12:00:00Z")
    later, plans = pass_over(policy, NOW + 47 * HOUR)
    assert condition(plans[-1], "Reconciling")[:2] == ("True", "PhaseRunning")
    assert plans[-1].requeue_after == 3600
    after, plans = pass_over(later, NOW + 48 * HOUR)
    assert routed(after).weights == {"fast": 60, "balanced": 30, "creative": 10}
    assert condition(plans[-1], "Ready")[0] == "True"
    assert condition(plans[-1], "PhasesCompleted")[0] == "True"
    assert "PhasesCompleted" in told(plans)


def test_every_replica_routes_a_new_phase_before_the_leader_wrote_it() -> None:
    assert routed(edited(settled(), phases=[PHASE])).weights == {"fast": 100}


def measured(at: datetime, fast: float, errors: int = 0) -> Measurement:
    rest = (1 - fast) * 100_000
    tallies = {"fast": Tally(100_000, answered=100_000, errors=errors)}
    return Measurement("Measured", at, {"fast": fast * 100_000, "balanced": rest}, proxies=Counted("Known", tallies))


@pytest.mark.parametrize(
    ("gate", "measurement", "passes"),
    [
        ({"withinTarget": True}, None, False),
        ({"withinTarget": True}, measured(NOW + 49 * HOUR, fast=0.5), False),
        ({"withinTarget": True}, measured(NOW + 49 * HOUR, fast=1.0), True),
        ({"withinTarget": True}, measured(NOW + 40 * HOUR, fast=1.0), False),
        ({"maxErrorRate": 1}, None, False),
        ({"maxErrorRate": 1}, measured(NOW + 49 * HOUR, fast=1.0, errors=2000), False),
        ({"maxErrorRate": 1}, measured(NOW + 49 * HOUR, fast=1.0, errors=500), True),
        ({"circuitClosed": True}, None, True),
    ],
)
def test_a_gate_keeps_a_phase_until_it_is_known_to_hold(
    gate: dict[str, Any], measurement: Measurement | None, passes: bool
) -> None:
    policy = settled(manifest(phases=[{**PHASE, "gate": gate}]), NOW)
    after, plans = pass_over(policy, NOW + 49 * HOUR, None, measurement)
    assert (after["status"]["phase"]["state"] == "Completed") is passes
    if not passes:
        assert condition(plans[-1], "Ready")[:2] == ("False", "PhaseWaiting")
        assert condition(plans[-1], "Stalled") == ("", "", "")


def test_a_gate_of_a_circuit_waits_for_the_breaker() -> None:
    policy = manifest(phases=[{**PHASE, "gate": {"circuitClosed": True}}], circuitBreaker=BREAKER)
    policy = opened(settled(policy, NOW - 49 * HOUR))
    assert policy["status"]["phase"]["message"] == "a circuit breaker is not closed"


def test_a_breaker_works_on_the_weights_of_a_phase() -> None:
    phase = {**PHASE, "weights": [{"mode": "creative", "weight": 100}]}
    policy = opened(settled(manifest(phases=[phase], circuitBreaker=BREAKER), NOW - MINUTE))
    assert routed(policy).weights == {"balanced": 100}
    assert policy["status"]["target"] == "0/0/100"
