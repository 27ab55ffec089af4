"""The charts of a TrainingRun, over its steps: what was reported, beside what the schedules say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.dashboard.curves import Curves, Series
from accord.cli.status import wording
from accord.domain.training.retuning import effective
from accord.domain.training.schedule import value_at

_PARTS = 60
"""Of a schedule's curve."""
_TITLES: tuple[tuple[Series, str], ...] = (
    ("reward", "Reward"),
    ("loss", "Loss"),
    ("entropy_coef", "Entropy coefficient"),
    ("learning_rate", "Learning rate"),
)
Points = list[list[float]]


def of(run: TrainingRun, curves: Curves | None) -> list[dict[str, Any]]:
    """Four of them."""
    return [_chart(run, name, title, curves) for name, title in _TITLES]


def _chart(run: TrainingRun, name: Series, title: str, curves: Curves | None) -> dict[str, Any]:
    total, value = run.spec.total_steps, getattr(run.status, name)
    schedule = _schedule(run, name, total)
    attempts = [] if curves is None else [(each.label, each.points.get(name, ())) for each in curves.attempts]
    attempts = [(label, points) for label, points in attempts if points]
    scheduled = None
    if schedule and run.status.step is not None:
        scheduled = wording.figure(_value_at(run, name, run.status.step))
    return {
        "id": name,
        "title": title,
        "total": total,
        "value": None if value is None else wording.figure(value),
        "scheduled": scheduled,
        "schedule": schedule,
        "lines": [
            {"label": label, "current": index == len(attempts) - 1, "points": [list(point) for point in points]}
            for index, (label, points) in enumerate(attempts)
        ],
        "dots": list(_dots(run, name)),
        "said": _said(title, value, scheduled, run),
    }


def _value_at(run: TrainingRun, name: Series, step: float) -> float:
    schedules = effective(run).spec.schedules
    return value_at(schedules.entropy_coef if name == "entropy_coef" else schedules.learning_rate, step)


def _schedule(run: TrainingRun, name: Series, total: int) -> Points:
    """Empty for what has none, and for a strategy that this version does not know."""
    if name not in ("entropy_coef", "learning_rate"):
        return []
    steps = [total * index / _PARTS for index in range(_PARTS + 1)]
    try:
        return [[step, _value_at(run, name, step)] for step in steps]
    except ValueError:
        return []


def _dots(run: TrainingRun, name: Series) -> Iterator[Sequence[float]]:
    """What the status says: the value at each milestone, and now. Of the loss milestones say nothing."""
    for each in run.status.milestones:
        value = getattr(each, name, None)
        if value is not None:
            yield [each.step, value]
    now = getattr(run.status, name)
    if now is not None and run.status.step is not None:
        yield [run.status.step, now]


def _said(title: str, value: float | None, scheduled: str | None, run: TrainingRun) -> str:
    """The chart in a sentence, for who cannot see it."""
    if value is None:
        return f"{title}: not reported"
    beside = f", schedule {scheduled}" if scheduled is not None else ""
    return f"{title} at step {run.status.step} of {run.spec.total_steps}: {wording.figure(value)}{beside}"
