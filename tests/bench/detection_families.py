"""Synthetic trainings: what healthy ones report, and faults planted in them. One value a step, held between samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

STEPS = 10_000
LONGER = 14_000
"""Steps of a staircase with a fault: updates of 1,000 steps leave room for eight of them before it, and six after."""
Values = np.ndarray


@dataclass(frozen=True)
class Run:
    """One training. NaN in `loss` or `reward` is reported; a series that is None is not."""

    loss: Values | None
    reward: Values | None
    samples: str
    """What a sample is: `steps`, or the steps of an update, or `episodes`."""
    fault: int | None = None
    """Step from which on it goes wrong."""
    update: int = 0
    """Steps of an update, on a staircase."""


Rng = np.random.Generator
_STEP = np.arange(STEPS)


def _steps_of(run: Run) -> Values:
    values = run.loss if run.reward is None else run.reward
    return np.arange(STEPS if values is None else len(values))


def _rising(rng: Rng, low: float, high: float, noise: float) -> Values:
    """Reward that is learnt: along a line, or fast first."""
    done = _STEP / STEPS
    shape = done if rng.random() < 0.5 else 1 - np.exp(-4 * done)
    return low + (high - low) * shape + rng.normal(0, noise, STEPS)


def positive(rng: Rng) -> Run:
    """Rewards 5 to 8, a loss that decays."""
    loss = 0.5 + 2 * np.exp(-3 * _STEP / STEPS) + rng.normal(0, 0.15, STEPS)
    return Run(loss, _rising(rng, 5, 8, rng.uniform(0.3, 1.2)), "steps")


def negative(rng: Rng) -> Run:
    """Rewards -20 to -8, a loss around zero."""
    return Run(rng.normal(0, 0.1, STEPS), _rising(rng, -20, -8, rng.uniform(1, 3)), "steps")


def crossing(rng: Rng) -> Run:
    """Rewards -1 to 2, a loss that crosses zero on its way down."""
    loss = 0.3 - 0.5 * _STEP / STEPS + rng.normal(0, 0.1, STEPS)
    return Run(loss, _rising(rng, -1, 2, rng.uniform(0.3, 1)), "steps")


def near_zero(rng: Rng) -> Run:
    """Rewards and losses of chance around almost nothing."""
    return Run(rng.normal(0.01, 0.05, STEPS), _rising(rng, 0, 0.1, rng.uniform(0.1, 0.5)), "steps")


def tailed(rng: Rng) -> Run:
    """Rewards with outliers (Student's t, 3 degrees of freedom) and a loss with a skew."""
    reward = _rising(rng, 3, 6, 0) + rng.standard_t(3, STEPS) * rng.uniform(0.3, 0.8)
    return Run(rng.lognormal(0, rng.uniform(0.2, 0.6), STEPS), reward, "steps")


def _staircase(rng: Rng, trend: float, steps: int, update: int | None = None) -> Run:
    update = update or int(rng.choice([100, 200, 250, 500, 1000]))
    count = steps // update
    level = rng.uniform(0.2, 20) * (1 + (trend - 1) * np.arange(count) / count)
    noise = rng.uniform(0.1, 0.4)
    if rng.random() < 0.5:
        values = level * np.maximum(1 + noise * rng.normal(size=count), 0.05)
    else:
        values = level * rng.lognormal(-noise * noise / 2, noise, count)
    return Run(np.repeat(values, update), None, f"{update}", update=update)


def staircase_flat(rng: Rng, steps: int = STEPS) -> Run:
    """A loss value an update, noise 10 to 40 %."""
    return _staircase(rng, 1, steps)


def staircase_falling(rng: Rng, steps: int = STEPS) -> Run:
    """The same, falling to a fifth or a half."""
    return _staircase(rng, rng.uniform(0.2, 0.5), steps)


def staircase_rising(rng: Rng, steps: int = STEPS) -> Run:
    """The same, rising to the double or fourfold."""
    return _staircase(rng, rng.uniform(2, 4), steps)


def episodic(rng: Rng) -> Run:
    """Returns with heavy tails (lognormal, sigma 0.4 to 0.8), rising, episodes of 15 to 80 steps; a staircase loss."""
    mean = rng.uniform(15, 80)
    lengths = np.maximum(rng.geometric(1 / mean, STEPS), 5)
    ends = np.cumsum(lengths)
    ends = ends[ends < STEPS]
    level = 20 * (1 + rng.uniform(0, 4) * ends / STEPS)
    returns = level * rng.lognormal(0, rng.uniform(0.4, 0.8), len(ends))
    reward = np.full(STEPS, np.inf)
    reward[ends] = returns
    return Run(_staircase(rng, rng.uniform(0.5, 2), STEPS, 500).loss, _held(reward), "episodes", update=500)


def _held(sparse: Values) -> Values:
    """Values where they are finite, repeated until the next; before the first one, negative infinity for none."""
    index = np.maximum.accumulate(np.where(np.isfinite(sparse), np.arange(len(sparse)), -1))
    return np.where(index < 0, -np.inf, sparse[np.maximum(index, 0)])


FAMILIES: Mapping[str, Callable[..., Run]] = {
    "a value a step, rising positive": positive,
    "a value a step, rising negative": negative,
    "a value a step, crossing zero": crossing,
    "a value a step, near zero": near_zero,
    "a value a step, heavy tails": tailed,
    "staircase, flat": staircase_flat,
    "staircase, falling": staircase_falling,
    "staircase, rising": staircase_rising,
    "episodes, heavy tails": episodic,
}
"""Made by chance; staircases of as many steps as wanted."""


def _spread(values: Values, fault: int) -> float:
    before = values[max(fault - 1000, 0) : fault]
    before = before[np.isfinite(before)]
    return float(np.std(before - np.poly1d(np.polyfit(np.arange(len(before)), before, 1))(np.arange(len(before)))))


def _harm(run: Run, rng: Rng, fault: int, weight: Values) -> Run:
    """Loss up, reward down, by `weight` (0 to 1 over time) of a fault that leaves no doubt to the eye.

    Positive levels are multiplied: rewards by 0.1 to 0.3, losses by 4 to 10. Others are moved by 4 to 8 standard
    deviations of a value.
    """
    loss, reward = run.loss, run.reward
    if reward is not None:
        finite = np.where(np.isfinite(reward), reward, 0)
        before = finite[fault - 1000 : fault]
        if np.mean(before) > 2 * _spread(reward, fault) or run.samples == "episodes":
            reward = np.where(np.isfinite(reward), finite * (1 - weight * (1 - rng.uniform(0.1, 0.3))), reward)
        else:
            reward = reward - weight * rng.uniform(4, 8) * _spread(reward, fault)
    elif loss is not None:
        loss = loss * (1 + weight * (rng.uniform(4, 10) - 1))
    return Run(loss, reward, run.samples, fault, run.update)


def jump(run: Run, rng: Rng) -> Run:
    """All at once."""
    fault = _when(run, rng)
    return _harm(run, rng, fault, (fault <= _steps_of(run)).astype(float))


def ramp(run: Run, rng: Rng) -> Run:
    """Within 300 steps, on a staircase three updates."""
    fault = _when(run, rng)
    length = 3 * run.update if run.reward is None else 300
    weight = np.clip((_steps_of(run) - fault) / length, 0, 1)
    return _harm(run, rng, fault, _by_sample(weight, run))


def drift(run: Run, rng: Rng) -> Run:
    """Within 3,000 steps."""
    fault = min(_when(run, rng), 5500)
    weight = np.clip((_steps_of(run) - fault) / 3000, 0, 1)
    return _harm(run, rng, fault, _by_sample(weight, run))


def not_finite(run: Run, rng: Rng) -> Run:
    """The loss is NaN from then on."""
    fault = _when(run, rng)
    loss = np.zeros(len(_steps_of(run))) if run.loss is None else run.loss.copy()
    loss[fault:] = np.nan
    return Run(loss, run.reward, run.samples, fault, run.update)


def _by_sample(weight: Values, run: Run) -> Values:
    """All steps for which a value is held share its weight."""
    series = run.loss if run.reward is None else run.reward
    if series is None or run.samples == "steps":
        return weight
    first = np.concatenate([[True], series[1:] != series[:-1]])
    return weight[np.maximum.accumulate(np.where(first, _steps_of(run), 0))]


def _when(run: Run, rng: Rng) -> int:
    fault = int(rng.integers(4000, 7000))
    if run.update and run.reward is None:
        fault = max(fault, 8 * run.update)
        fault -= fault % run.update
    return fault


FAULTS: Mapping[str, Callable[[Run, Rng], Run]] = {
    "jump": jump,
    "ramp": ramp,
    "slow drift": drift,
    "NaN": not_finite,
}
