"""Schedules stay in bounds, fall without a bump and meet their ends, in the SDK as in the operator."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.api.v1alpha1.trainingrun import EntropySchedule
from accord.domain.training.schedule import value_at
from accord_trainer.sdk import Schedule

values = st.floats(min_value=0, max_value=10)
steps = st.integers(min_value=-1000, max_value=2_000_000)
schedules = st.builds(
    Schedule,
    initial=values,
    final=values,
    decay_steps=st.integers(min_value=1, max_value=1_000_000),
    strategy=st.sampled_from(["Linear", "Cosine", "Constant"]),
)


@given(schedules, steps)
def test_a_value_is_never_outside_both_ends(schedule: Schedule, step: int) -> None:
    low, high = sorted((schedule.initial, schedule.final))
    assert low <= schedule.value(step) <= high


@given(schedules, steps, steps)
def test_a_value_moves_towards_the_final_one_only(schedule: Schedule, one: int, other: int) -> None:
    earlier, later = schedule.value(min(one, other)), schedule.value(max(one, other))
    if schedule.initial <= schedule.final:
        assert earlier <= later
    else:
        assert earlier >= later


@given(schedules)
def test_both_ends_are_met_exactly_and_kept(schedule: Schedule) -> None:
    end = schedule.initial if schedule.strategy == "Constant" else schedule.final
    assert schedule.value(0) == schedule.value(-1) == schedule.initial
    assert schedule.value(schedule.decay_steps) == schedule.value(schedule.decay_steps + 10**9) == end


@given(schedules, steps)
def test_the_operator_computes_the_same_to_the_last_bit(schedule: Schedule, step: int) -> None:
    theirs = EntropySchedule(
        initial=schedule.initial,
        final=schedule.final,
        decay_steps=schedule.decay_steps,
        decay_strategy=schedule.strategy,
    )
    assert value_at(theirs, step) == schedule.value(step)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(0.02, 0.005, 10_000, "Linear"), [0.02, 0.01625, 0.0125, 0.00875, 0.005]),
        # 0.001 + 0.009 * (1 + cos 45°) / 2 = 0.00868198…
        (Schedule(0.01, 0.001, 10_000, "Cosine"), [0.01, 0.0086819805, 0.0055, 0.0023180195, 0.001]),
    ],
)
def test_the_presets_at_each_quarter(schedule: Schedule, expected: list[float]) -> None:
    found = [schedule.value(step) for step in (0, 2500, 5000, 7500, 10_000)]
    assert found == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 0, 10, "Exponential"), "'Exponential' is unknown: use Linear, Cosine, Constant"),
        ((1, 0, 10, "linear"), "'linear' is unknown"),
        ((1, 0, 0, "Linear"), "at least 1, not 0"),
        ((math.nan, 0, 1, "Linear"), "initial value must be a finite number"),
        ((1, math.inf, 1, "Linear"), "final value must be a finite number"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[float, float, int, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule(*arguments)  # type: ignore[arg-type]
