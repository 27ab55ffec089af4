"""Phases of a rollout, walked by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, manifest

from accord.api.v1alpha1.trafficpolicy import PhaseStatus, RolloutPhase, TrafficPolicy
from accord.domain.traffic import phases
from accord.domain.traffic.phases import Position, Signals, advance

HOUR = timedelta(hours=1)
NOTHING = Signals()
WELL = Signals(within_target=True, circuits_closed=True, error_rate=0.1)


def phase(name: str, hours: int = 48, **fields: Any) -> RolloutPhase:
    shares = [{"mode": "fast", "weight": 90}, {"mode": "creative", "weight": 10}]
    return RolloutPhase.model_validate({"name": name, "duration": f"{hours}h", "weights": shares, **fields})


TWO = [phase("first"), phase("second", 24)]


def walk(given: list[RolloutPhase], hours: int, signals: Signals = WELL) -> list[str | None]:
    """Names of the phases, hour by hour."""
    position, names = None, []
    for hour in range(hours):
        position = advance(given, position, signals, NOW + hour * HOUR)
        assert position is not None
        names.append(position.name)
    return names


def test_phases_follow_each_other_by_the_clock_and_the_weights_of_the_modes_come_last() -> None:
    assert walk(TWO, 80) == ["first"] * 48 + ["second"] * 24 + [None] * 8


def test_without_phases_there_is_no_position() -> None:
    assert advance([], Position("first", NOW), WELL, NOW) is None


def test_each_phase_has_weights_of_its_own() -> None:
    policy = TrafficPolicy.model_validate(manifest(phases=[TWO[0].model_dump(mode="json", by_alias=True)]))
    for position in (None, Position("first", NOW), Position("gone", NOW)):
        assert phases.weights(policy.spec, position) == {"fast": 90, "balanced": 0, "creative": 10}
    for position in (Position(None, NOW, ("first",)), Position("gone", NOW, ("first",))):
        assert phases.weights(policy.spec, position) == {"fast": 60, "balanced": 30, "creative": 10}


def test_a_pause_lasts_until_it_is_taken_away() -> None:
    paused = [phase("first", 1, pause=True), phase("second")]
    position = advance(paused, Position("first", NOW), WELL, NOW + HOUR)
    assert position == Position("first", NOW, paused=True)
    assert phases.record(paused, position).state == "Paused"
    going = [phase("first", 1), paused[1]]
    assert advance(going, position, WELL, NOW + 5 * HOUR) == Position("second", NOW + 5 * HOUR, ("first",))


@pytest.mark.parametrize(
    ("gate", "signals", "waiting"),
    [
        ({}, NOTHING, ""),
        ({"withinTarget": True}, NOTHING, "whether traffic is within its targets is not known"),
        ({"withinTarget": True}, Signals(within_target=False), "traffic is off its targets"),
        ({"withinTarget": True}, Signals(within_target=True), ""),
        ({"circuitClosed": True}, NOTHING, "the state of the circuit breakers is not known"),
        ({"circuitClosed": True}, Signals(circuits_closed=False), "a circuit breaker is not closed"),
        ({"circuitClosed": True}, Signals(circuits_closed=True), ""),
        ({"maxErrorRate": 0}, NOTHING, "the error rate is not known"),
        ({"maxErrorRate": 0.5}, Signals(error_rate=0.6), "the error rate exceeds 0.5%"),
        ({"maxErrorRate": 0.5}, Signals(error_rate=float("nan")), "the error rate exceeds 0.5%"),
        ({"maxErrorRate": 0}, Signals(error_rate=0.0), ""),
        (
            {"withinTarget": True, "circuitClosed": True, "maxErrorRate": 1},
            Signals(circuits_closed=True),
            "whether traffic is within its targets is not known; the error rate is not known",
        ),
    ],
)
def test_a_gate_holds_only_what_is_known(gate: dict[str, Any], signals: Signals, waiting: str) -> None:
    gated = [phase("first", 1, gate=gate)]
    position = advance(gated, Position("first", NOW), signals, NOW + HOUR)
    assert position is not None
    assert (position.name, position.waiting) == (("first", waiting) if waiting else (None, ""))
    assert phases.record(gated, position).state == ("Waiting" if waiting else "Completed")


def test_lost_data_waits_however_long_and_goes_on_when_it_is_back() -> None:
    gated = [phase("first", 1, gate={"withinTarget": True})]
    position: Position | None = Position("first", NOW)
    for hour in range(1, 100):
        position = advance(gated, position, NOTHING, NOW + hour * HOUR)
    assert position is not None
    assert position.name == "first"
    assert advance(gated, position, WELL, NOW + 100 * HOUR) == Position(None, NOW + 100 * HOUR, ("first",))


def test_phases_that_ended_while_nobody_looked_are_not_skipped() -> None:
    late = NOW + 1000 * HOUR
    position = advance(TWO, Position("first", NOW), WELL, late)
    assert position == Position("second", late, ("first",))
    assert advance(TWO, position, WELL, late) == position


def test_a_phase_that_left_the_spec_is_left() -> None:
    assert advance([TWO[1]], Position("first", NOW - HOUR), NOTHING, NOW) == Position("second", NOW)
    done = advance([phase("other")], Position("first", NOW, ("other",)), NOTHING, NOW)
    assert done == Position(None, NOW, ("other",))


def test_only_phases_of_a_new_name_are_walked_after_the_last_one() -> None:
    over = Position(None, NOW - HOUR, ("first", "second"))
    assert advance(TWO, over, WELL, NOW) == over
    assert advance([*TWO, phase("third")], over, WELL, NOW) == Position("third", NOW, ("first", "second"))


def test_what_the_last_phase_left_behind_is_not_walked() -> None:
    inserted = [phase("before"), *TWO]
    position = advance(inserted, Position("second", NOW, ("first",)), WELL, NOW + 24 * HOUR)
    assert position == Position(None, NOW + 24 * HOUR, ("before", "first", "second"))


def test_an_edited_duration_counts_from_when_the_phase_began() -> None:
    begun = Position("first", NOW)
    assert advance([phase("first", 1)], begun, WELL, NOW + HOUR) == Position(None, NOW + HOUR, ("first",))
    assert advance([phase("first", 90)], begun, WELL, NOW + 48 * HOUR) == begun


def test_a_clock_that_was_ahead_keeps_no_phase() -> None:
    assert advance(TWO, Position("first", NOW + 9000 * HOUR), WELL, NOW) == Position("first", NOW)


@pytest.mark.parametrize(
    "position",
    [
        Position("first", NOW),
        Position("second", NOW, ("first",)),
        Position("first", NOW, paused=True),
        Position("first", NOW, waiting="the error rate is not known"),
        Position(None, NOW, ("first", "second")),
    ],
)
def test_the_status_holds_all_of_a_position(position: Position) -> None:
    stored = phases.record(TWO, position).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert phases.recall(PhaseStatus.model_validate(stored)) == position


def test_what_is_next_and_when() -> None:
    def told(position: Position) -> tuple[str | None, datetime | None]:
        return phases.following(TWO, position), phases.until(TWO, position)

    assert told(Position("first", NOW)) == ("second", NOW + 48 * HOUR)
    assert told(Position("second", NOW, ("first",))) == (None, NOW + 24 * HOUR)
    assert told(Position(None, NOW, ("first", "second"))) == (None, None)
