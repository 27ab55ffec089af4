"""The operator's own rules, by its own code: each look is judged as a check would, and the first Fail is an alarm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import groupby

from tests.bench.methods.recorded import Alarm, Row, Run

from accord.api.v1alpha1.checkpointpolicy import Detection
from accord.domain.checkpoint.detection.history import History
from accord.domain.checkpoint.detection.series import Kind, Moment, Name, Report, Segment

EVERY = 100
"""Steps between two looks."""
_KINDS: Mapping[Name, Kind] = {"loss": "updates", "reward": "episodes"}


def alarms(run: Run, *, loss_alone: bool = False, **detection: str) -> Iterator[Alarm]:
    """`detection` are fields of a policy's `spec.detection`; with `loss_alone` the run reports no return. After an
    alarm, nothing before it is judged.
    """
    policy = Detection.model_validate(detection)
    history = History(policy, _KINDS)
    for moment in moments(run):
        history.add(moment._replace(reward=None) if loss_alone else moment)
        judgement = history.judge()
        if judgement.outcome == "Fail" and judgement.onset is not None:
            yield Alarm(moment.step, judgement.onset)
            history = History(policy, _KINDS, history.sick)


def moments(run: Run, every: int = EVERY) -> Iterator[Moment]:
    """What Prometheus would show of the trainer's sums and counts, every so many steps."""
    lasts: dict[Name, int] = {"loss": 0, "reward": 0}
    for _, group in groupby(run.rows, key=lambda row: (row.step - 1) // every):
        rows = list(group)
        step = rows[-1].step
        reports = {name: _report(values, lasts[name], step) for name, values in _values(rows).items()}
        for name, report in reports.items():
            if report is not None:
                lasts[name] = step
        yield Moment(step, reports["loss"], reports["reward"])


def _values(rows: list[Row]) -> Mapping[Name, list[float]]:
    return {
        "loss": [row.loss for row in rows if row.loss is not None],
        "reward": [row.reward for row in rows if row.reward is not None],
    }


def _report(values: list[float], last: int, step: int) -> Report:
    if not values:
        return None
    if not all(map(math.isfinite, values)):
        return "NotFinite"
    return Segment(last, step, len(values), sum(values), sum(value * value for value in values), len(values))
