"""Bayesian online change point detection on returns: Adams and MacKay, arXiv:0710.3742 (2007).

The posterior of the run length: how many of the newest episodes are of one normal distribution, of which neither mean
nor variance is known (normal-inverse-gamma prior, Student's t as the prediction). The prior of a stretch is as broad as
all returns before it were. An alarm is the mass of all run lengths whose stretch is lower than what was before it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tests.bench.methods.recorded import Alarm, Run, Sample
from tests.bench.methods.standard import Moments

_BURN_IN = 20
"""Episodes that tell the scale, from which the first prior is made."""
_WEIGHT = 0.1
"""Episodes that the prior's mean counts as."""
_SHAPE = 1.0
"""Of the prior's variance: it is known as well as from two episodes."""
_BEFORE = 50
"""Episodes before a change that tell the level there."""
_LEAST, _MOST = 1e-9, 60
"""Run lengths that are less likely are dropped, and of the others all but so many."""
_SLACK = 20
"""Run lengths over the most, before any are dropped."""


def alarms(run: Run, *, hazard: float, least: int, drop: float, mass: float) -> Iterator[Alarm]:
    """`hazard` is the chance of a change at each episode; `least` episodes must be after one, and lower by `drop`
    standard deviations of all so far; their run lengths must have `mass`.
    """
    for at, fell in _fallen(run.returns, hazard, [(least, drop)], mass):
        if fell[0].mass >= mass:
            yield _alarm(run, at, fell[0].length)


def firsts(run: Run, settings: Sequence[Mapping[str, Any]]) -> list[Alarm | None]:
    """The first alarm with each setting. Settings of one hazard share the work."""
    found: dict[int, Alarm] = {}
    for hazard in {setting["hazard"] for setting in settings}:
        waiting: dict[_Asked, list[tuple[float, int]]] = defaultdict(list)
        for index, each in enumerate(settings):
            if each["hazard"] == hazard:
                waiting[each["least"], each["drop"]].append((each["mass"], index))
        for masses in waiting.values():
            masses.sort()
        needed = min(masses[0][0] for masses in waiting.values())
        for at, fell in _fallen(run.returns, hazard, list(waiting), needed):
            for here, masses in zip(fell, waiting.values(), strict=True):
                while masses and here.mass >= masses[0][0]:
                    found[masses.pop(0)[1]] = _alarm(run, at, here.length)
            if not any(waiting.values()):
                break
    return [found.get(index) for index in range(len(settings))]


def _alarm(run: Run, at: int, length: int) -> Alarm:
    return Alarm(run.returns[at].step, run.returns[max(at - length, 0)].step)


_Asked = tuple[int, float]
"""Least run length, and least drop."""


class _Fallen(NamedTuple):
    """Of the run lengths whose stretch is lower than before."""

    mass: float
    length: int
    """The likeliest one."""


def _fallen(
    samples: Sequence[Sample], hazard: float, asked: Sequence[_Asked], needed: float
) -> Iterator[tuple[int, list[_Fallen]]]:
    """For each episode at which at least `needed` mass fell by anything, its index and what has fallen by then."""
    values = np.array([sample.value for sample in samples])
    values -= values[0] if len(values) else 0.0
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values * values)])
    shortest = min(least for least, _ in asked)
    for at, lengths, chances in posterior(values, hazard):
        end = at + 1
        chosen = (lengths >= shortest) & (lengths < end)
        some, likely = lengths[chosen], chances[chosen]
        begin = end - some
        before = np.minimum(begin, _BEFORE)
        lower = (sums[begin] - sums[begin - before]) / before - (sums[end] - sums[begin]) / some
        if likely[lower > 0].sum() < needed:
            continue
        deviation = math.sqrt(max(squares[end] / end - (sums[end] / end) ** 2, 0.0))
        fell = []
        for least, drop in asked:
            masses = np.where((some >= least) & (lower > drop * deviation), likely, 0.0)
            fell.append(_Fallen(float(masses.sum()), int(some[masses.argmax()])))
        yield at, fell


def posterior(values: Any, hazard: float) -> Iterator[tuple[int, Any, Any]]:
    """For each value after the burn-in: its index, run lengths in episodes, and their chances, which add up to 1."""
    gammas = _gammas(len(values))
    past = Moments()
    lengths, chances, centers, widths = np.zeros(1, int), np.ones(1), np.zeros(1), np.zeros(1)
    for at, value in enumerate(values.tolist()):
        if past.count < _BURN_IN or past.deviation == 0:
            past.add(value)
            lengths, centers = np.array([past.count]), np.array([past.mean])
            widths = np.array([past.deviation**2 * (_SHAPE + (past.count - 1) / 2)])
            continue
        weights, shapes = lengths + _WEIGHT, lengths / 2 + _SHAPE
        off = (value - centers) ** 2 * weights / (weights + 1)
        # Student's t with 2 · shape degrees of freedom, up to a factor that all have.
        logs = (
            gammas[lengths]
            - np.log(widths * (weights + 1) / weights) / 2
            - (shapes + 0.5) * np.log1p(off / (2 * widths))
        )
        weighted = chances * np.exp(logs - logs.max())
        weighted /= weighted.sum()
        past.add(value)
        chances = np.append(weighted * (1 - hazard), hazard)
        centers = np.append((weights * centers + value) / (weights + 1), past.mean)
        widths = np.append(widths + off / 2, _SHAPE * past.deviation**2)
        lengths = np.append(lengths + 1, 0)
        if len(lengths) > _MOST + _SLACK:
            lengths, chances, centers, widths = _kept(lengths, chances, centers, widths)
        yield at, lengths, chances


def _kept(lengths: Any, chances: Any, *others: Any) -> tuple[Any, ...]:
    """The likeliest run lengths, in order, the newest one among them."""
    likeliest = np.sort(np.argpartition(chances, -_MOST)[-_MOST:])
    likely = likeliest[(chances[likeliest] >= _LEAST) | (likeliest == len(lengths) - 1)]
    kept = chances[likely]
    return (lengths[likely], kept / kept.sum(), *(other[likely] for other in others))


def _gammas(count: int) -> Any:
    """The part of Student's density that has gamma functions, as a logarithm, by run length."""
    shapes = [length / 2 + _SHAPE for length in range(count + 1)]
    return np.array([math.lgamma(shape + 0.5) - math.lgamma(shape) for shape in shapes])
