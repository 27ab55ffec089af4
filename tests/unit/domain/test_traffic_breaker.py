"""The circuit breaker of one mode, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW

from accord.api.v1alpha1.trafficpolicy import CircuitBreaker, CircuitBreakerStatus
from accord.domain.traffic import breaker as breakers
from accord.domain.traffic.breaker import Reading, State, advance, question_of, recall, record, verdict

INTERVAL = timedelta(seconds=15)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def spec(**fields: Any) -> CircuitBreaker:
    return CircuitBreaker.model_validate({"mode": "creative", **fields})


def reading(
    failures: float = 0.0, requests: float | None = None, at: datetime = NOW, of: CircuitBreaker | None = None
) -> Reading:
    return Reading(at, "Known", question_of(of or spec()), failures, requests)


def closed(since: datetime = NOW - timedelta(hours=1)) -> State:
    return State("Closed", since)


def opened(since: datetime = NOW, openings: int = 1, of: CircuitBreaker | None = None) -> State:
    cooldown = breakers.cooldown_of(of or spec(), openings)
    return State("Open", since, opened=since, openings=openings, cooldown=cooldown, failures=3, why="3 failures")


def half_open(step: int = 100, since: datetime = NOW) -> State:
    return replace(opened(since - timedelta(minutes=5)), phase="HalfOpen", since=since, step=step)


def after(state: State | None, read: Reading | None, now: datetime = NOW, of: CircuitBreaker | None = None) -> State:
    return advance(of or spec(), state, read, now, interval=INTERVAL)


def test_a_new_breaker_is_closed_whatever_is_read() -> None:
    assert after(None, reading(failures=9)) == State("Closed", NOW)


def test_three_failures_open_the_circuit_for_the_cooldown() -> None:
    state = after(closed(), reading(failures=3, requests=3))
    assert (state.phase, state.share, state.since, state.until) == ("Open", 0, NOW, NOW + 5 * MINUTE)
    assert (state.failures, state.requests, state.why) == (3, 3, "3 failures of 3 requests within 1m")


def test_failures_without_a_number_of_requests_say_so() -> None:
    assert after(closed(), reading(failures=2.9999999)).why == "3 failures within 1m"
    assert after(closed(), reading(1, of=spec(failures=1)), of=spec(failures=1)).why == "1 failure within 1m"


@pytest.mark.parametrize(
    ("fields", "failures", "requests", "share", "found"),
    [
        ({}, 3, None, 100, "Failing"),
        ({}, 3, 30_000, 100, "Failing"),
        ({}, 2.5, 100, 100, "Healthy"),
        ({}, 0, None, 100, "Healthy"),
        ({}, 0, 0, 100, None),
        ({}, 0, 0.4, 100, None),
        ({}, 3, 0, 100, "Failing"),
        ({"failures": 30}, 3, 100, 10, "Failing"),
        ({"failures": 30}, 2, 100, 10, "Healthy"),
        ({"failures": 3}, 1, 100, 10, "Failing"),
        ({"failures": 3}, 0.5, 100, 10, "Healthy"),
        ({"minimumRequests": 100}, 3, 99, 100, None),
        ({"minimumRequests": 100}, 3, 100, 100, "Failing"),
        ({"minimumRequests": 100}, 3, 10, 10, "Failing"),
        ({"minimumRequests": 100}, 3, None, 100, None),
        ({"minimumRequests": 100}, 2, None, 100, "Healthy"),
        ({"minimumRequests": 100}, 0, 1, 100, "Healthy"),
        ({"failureRate": 5}, 3, 100, 100, "Healthy"),
        ({"failureRate": 5}, 5, 100, 100, "Failing"),
        ({"failureRate": 5}, 3, 3, 100, "Failing"),
        ({"failureRate": 5}, 3, None, 100, None),
        ({"failureRate": 5}, 3, 0, 100, None),
        ({"failureRate": 5, "minimumRequests": 10}, 3, 9, 100, None),
    ],
)
def test_what_a_count_proves(
    fields: dict[str, Any], failures: float, requests: float | None, share: int, found: str | None
) -> None:
    assert verdict(spec(**fields), reading(failures, requests), share) == found


@pytest.mark.parametrize(
    "unusable",
    [
        None,
        replace(reading(failures=9), outcome="Unknown"),
        replace(reading(failures=9), outcome="Absent"),
        replace(reading(failures=9), at=NOW - timedelta(seconds=61)),
        replace(reading(failures=9), at=NOW + timedelta(seconds=2)),
        replace(reading(failures=9), question="creative 5m"),
    ],
    ids=["none", "failed", "absent", "late", "from the future", "of another window"],
)
@pytest.mark.parametrize("former", [closed(), half_open(10, NOW - 5 * MINUTE), half_open(100, NOW - 5 * MINUTE)])
def test_what_is_not_known_moves_nothing(former: State, unusable: Reading | None) -> None:
    assert after(former, unusable, of=spec(recovery="Ramp")) == former


def test_a_cooldown_does_not_end_while_the_signal_fails() -> None:
    overdue = opened(NOW - timedelta(hours=1))
    assert after(overdue, None) == overdue
    assert after(overdue, replace(reading(), outcome="Unknown")) == overdue


def test_a_cooldown_ends_where_a_mode_without_traffic_counts_nothing() -> None:
    state = after(opened(NOW - 5 * MINUTE), replace(reading(), outcome="Absent"))
    assert (state.phase, state.share, state.since) == ("HalfOpen", 100, NOW)


def test_an_open_circuit_stays_open_for_its_cooldown() -> None:
    state = opened(NOW - 5 * MINUTE + SECOND)
    assert after(state, reading()) == state
    assert after(state, reading(failures=9)) == state


def test_a_ramp_goes_up_by_one_step_for_each_healthy_window() -> None:
    of = spec(recovery="Ramp")
    state, now, shares = opened(NOW, of=of), NOW, []
    for _ in range(60):
        now += timedelta(seconds=10)
        state = after(state, reading(0, 5, now, of), now, of)
        shares.append(state.share)
    assert shares == [0] * 29 + [10] * 6 + [50] * 6 + [100] * 19
    assert (state.phase, state.since) == ("Closed", NOW + 8 * MINUTE)


def test_a_recovery_needs_a_whole_window_of_its_own() -> None:
    state = half_open()
    early = NOW + MINUTE - SECOND
    assert after(state, reading(0, 5, early), early) == state
    assert after(state, reading(0, 5, NOW + MINUTE), NOW + MINUTE).phase == "Closed"


def test_failures_from_before_the_circuit_opened_do_not_open_it_again() -> None:
    of = spec(cooldown="10s")
    opening = opened(NOW, of=of)
    state = after(opening, reading(3, 3, NOW + 10 * SECOND, of), NOW + 10 * SECOND, of)
    assert state.phase == "HalfOpen"
    assert after(state, reading(3, 3, NOW + 20 * SECOND, of), NOW + 20 * SECOND, of) == state
    again = after(state, reading(3, 3, NOW + MINUTE, of), NOW + MINUTE, of)
    assert again.phase == "Open"


def test_each_failed_recovery_doubles_the_cooldown_up_to_its_limit() -> None:
    state, now, cooldowns = after(closed(), reading(failures=3)), NOW, []
    for _ in range(6):
        assert state.cooldown is not None
        cooldowns.append(state.cooldown / MINUTE)
        now = state.since + state.cooldown
        state = after(state, reading(0, 0, now), now)
        assert state.phase == "HalfOpen"
        now += 10 * SECOND
        state = after(state, reading(3, 3, now), now)
    assert cooldowns == [5, 10, 20, 40, 40, 40]


def test_the_cooldown_is_doubled_if_a_mode_fails_soon_after_it_recovered() -> None:
    recovered = replace(half_open(), phase="Closed", since=NOW - 4 * MINUTE)
    assert after(recovered, reading(failures=3)).cooldown == 10 * MINUTE
    assert after(replace(recovered, since=NOW - 5 * MINUTE), reading(failures=3)).cooldown == 5 * MINUTE


def test_no_traffic_ends_no_step() -> None:
    state = half_open(10)
    now = NOW + timedelta(minutes=9)
    assert after(state, reading(0, 0, now, spec()), now, spec(recovery="Ramp")) == state


def test_a_mode_without_weight_recovers_at_once() -> None:
    of = spec(recovery="Ramp")
    state = advance(of, opened(NOW - 5 * MINUTE), reading(), NOW, interval=INTERVAL, weight=0)
    assert (state.phase, state.share) == ("HalfOpen", 100)
    state = advance(of, half_open(10), None, NOW, interval=INTERVAL, weight=0)
    assert state.share == 100


def test_an_edited_cooldown_counts_from_when_the_circuit_opened() -> None:
    state = after(opened(NOW), None, NOW + MINUTE, spec(cooldown="2m"))
    assert (state.phase, state.until) == ("Open", NOW + 2 * MINUTE)
    short = spec(cooldown="30s")
    assert after(state, reading(at=NOW + MINUTE, of=short), NOW + MINUTE, short).phase == "HalfOpen"


def test_an_edited_recovery_goes_on_from_the_step_that_it_has() -> None:
    state = after(half_open(10, NOW - 10 * SECOND), None, NOW, spec(recovery="Immediate"))
    assert (state.share, state.since) == (100, NOW)
    assert after(half_open(100), None, NOW, spec(recovery="Ramp")).share == 100


def test_a_clock_that_was_ahead_keeps_no_circuit_open() -> None:
    ahead = opened(NOW + timedelta(days=365))
    state = after(ahead, None)
    assert (state.since, state.opened, state.until) == (NOW, NOW, NOW + 5 * MINUTE)


def test_clocks_of_two_replicas_may_differ_a_little() -> None:
    state = opened(NOW + 30 * SECOND)
    assert after(state, None) == state


@pytest.mark.parametrize(
    "state", [closed(), opened(), half_open(10), half_open(100), after(closed(), reading(3, 4)), after(None, None)]
)
def test_the_status_holds_all_of_a_state(state: State) -> None:
    stored = record("creative", state).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert recall(CircuitBreakerStatus.model_validate(stored)) == state


def test_the_clock_is_looked_at_when_it_may_change_something() -> None:
    def look(state: State, now: datetime) -> float | None:
        return breakers.look_again(state, now, window=MINUTE, interval=INTERVAL)

    assert look(closed(), NOW) is None
    assert look(opened(), NOW) == 300
    assert look(opened(), NOW + timedelta(hours=1)) == 15
    assert look(half_open(), NOW) == 60
    assert look(half_open(), NOW + timedelta(seconds=58)) == 15


@pytest.mark.parametrize(
    ("window", "monitoring", "interval"), [("1m", "60s", 15), ("1h", "60s", 60), ("1s", "60s", 1), ("1h", "1s", 1)]
)
def test_a_window_is_read_a_few_times(window: str, monitoring: str, interval: float) -> None:
    given = spec(window=window).window, spec(window=monitoring).window
    assert breakers.interval_of(*given).total_seconds() == interval


def test_the_longest_cooldown_has_a_default() -> None:
    assert spec().longest_cooldown == timedelta(minutes=40)
    assert spec(cooldown="20h").longest_cooldown == timedelta(hours=24)
    assert spec(maxCooldown="6m").longest_cooldown == timedelta(minutes=6)
