"""Schedules of a spec, at its milestones. The curves themselves are held against the SDK's in tests/unit/trainer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.api.v1alpha1.trainingrun import EntropySchedule, TrainingRunSpec
from accord.domain.training.schedule import milestone_step, milestones, value_at


def test_the_defaults_at_each_quarter() -> None:
    found = milestones(TrainingRunSpec(template={}))
    assert [each.percent for each in found] == [0, 25, 50, 75, 100]
    assert [each.step for each in found] == [0, 2500, 5000, 7500, 10_000]
    assert [each.entropy_coef for each in found] == pytest.approx([0.02, 0.01625, 0.0125, 0.00875, 0.005])
    assert [each.learning_rate for each in found] == pytest.approx([3e-4, 2.70711e-4, 2e-4, 1.29289e-4, 1e-4], rel=1e-5)


def test_milestones_are_quarters_of_the_run_not_of_the_decay() -> None:
    spec = TrainingRunSpec.model_validate(
        {"template": {}, "totalSteps": 20_000, "schedules": {"entropyCoef": {"decaySteps": 10_000}}}
    )
    assert [each.entropy_coef for each in milestones(spec)] == [0.02, 0.0125, 0.005, 0.005, 0.005]


@given(st.integers(min_value=1, max_value=10**12), st.sampled_from([0, 25, 50, 75, 100]))
def test_a_milestone_is_the_first_step_with_that_part_done(total: int, percent: int) -> None:
    step = milestone_step(total, percent)
    assert step * 100 >= total * percent
    assert step == 0 or (step - 1) * 100 < total * percent
    assert step <= total


def test_a_strategy_from_a_newer_crd_is_refused() -> None:
    schedule = EntropySchedule.model_construct(initial=1.0, final=0.0, decay_steps=10, decay_strategy="Exponential")
    with pytest.raises(ValueError, match="'Exponential' is unknown: use Linear, Cosine or Constant"):
        value_at(schedule, 5)
