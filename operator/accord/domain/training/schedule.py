"""How a hyperparameter moves from its initial to its final value while training proceeds.

Trainers compute the same curves with `accord_trainer.sdk.schedules`. Neither package imports the other, so a test
compares both bit by bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from accord.api.v1alpha1.trainingrun import EntropySchedule, LearningRateSchedule, TrainingRunSpec

QUARTERS = (0, 25, 50, 75, 100)
"""Percent of the run at which milestones are."""


class Milestone(NamedTuple):
    """What the schedules say at a quarter of the run."""

    percent: int
    step: int
    entropy_coef: float
    learning_rate: float


def value_at(schedule: EntropySchedule | LearningRateSchedule, step: float) -> float:
    """What a schedule says at a training step.

    With progress p = step / decaySteps, clamped to [0, 1]:

    - `Linear`: initial + (final - initial) * p
    - `Cosine`: final + (initial - final) * (1 + cos(pi * p)) / 2, one half-period without restarts (Loshchilov and
      Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5)
    - `Constant`: initial, always

    Both ends are met exactly and no value lies outside them. ValueError for an unknown strategy: the CRD refuses it,
    but a newer CRD may know more than this operator.
    """
    initial, final, strategy = schedule.initial, schedule.final, schedule.decay_strategy
    if strategy not in ("Linear", "Cosine", "Constant"):
        raise ValueError(f"decayStrategy {strategy!r} is unknown: use Linear, Cosine or Constant")
    progress = step / schedule.decay_steps
    if progress <= 0 or strategy == "Constant":
        return initial
    if progress >= 1:
        return final
    if strategy == "Linear":
        value = initial + (final - initial) * progress
    else:
        value = final + (initial - final) * ((1 + math.cos(math.pi * progress)) / 2)
    # Rounding may step over an end by one unit in the last place.
    return min(max(value, min(initial, final)), max(initial, final))


def milestone_step(total_steps: int, percent: int) -> int:
    """The first step at which that part of the run is done."""
    return -(-total_steps * percent // 100)


def milestones(spec: TrainingRunSpec) -> tuple[Milestone, ...]:
    """What the schedules say at each quarter of the run."""
    return tuple(at(spec, percent) for percent in QUARTERS)


def at(spec: TrainingRunSpec, percent: int) -> Milestone:
    """What the schedules say when that part of the run is done."""
    step = milestone_step(spec.total_steps, percent)
    return Milestone(
        percent,
        step,
        value_at(spec.schedules.entropy_coef, step),
        value_at(spec.schedules.learning_rate, step),
    )
