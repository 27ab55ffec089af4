"""What follows from the measured progress: numbers for the status, and whether the trainer keeps to its schedules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from accord.api.v1alpha1.trainingrun import (
    EntropySchedule,
    LearningRateSchedule,
    Milestone,
    TrainingRunSpec,
    TrainingRunStatus,
)
from accord.domain import age
from accord.domain.conditions import Wanted, find, parse_timestamp, timestamp
from accord.domain.training.assessment import Assessment
from accord.domain.training.progress import Progress
from accord.domain.training.schedule import QUARTERS, milestone_step, value_at
from accord.domain.training.verdict import Verdict

METRICS_DUE = timedelta(minutes=3)
"""Two scrapes a minute apart, and a trainer that loads its model first. Also how long they may be gone again, before
`Ready` says so."""
_UNWATCHED = ("NoMetrics", "Stale", "NoEndpoint", "QueryFailed")
"""Reasons for which nothing is known of a training that runs."""
_UPDATES = 2
"""A trainer sets its coefficients once an update, some at its begin: the value may be that of so many updates ago."""
_SLACK = 1e-3
"""Part of the way from initial to final that rounding may take."""
_BAR = 10


def current(assessment: Assessment) -> Progress | None:
    """What was measured of the newest attempt, unless it is from another time: before this replica led, say."""
    measured, run = assessment.observed.progress, assessment.run
    if measured is None or measured.attempt != assessment.attempt:
        return None
    outdated = age.is_old(measured.at, run.spec.monitoring.interval, assessment.now)
    # Of a finished run nothing newer will come.
    return None if outdated and run.status.completion_time is None else measured


def conditions(assessment: Assessment, verdict: Verdict) -> tuple[tuple[Wanted, ...], float | None]:
    """`MetricsAvailable` and `OnSchedule`, and after how many seconds a first one will be missed."""
    available, left = _available(assessment, verdict)
    return (available, _on_schedule(assessment)), left


def unwatched(assessment: Assessment, verdict: Verdict, conditions: Iterable[Wanted]) -> tuple[Verdict, float | None]:
    """The verdict, unless the run trains and nobody sees how: then nothing can be protected, and `Ready` is not True.

    The second part is after how many seconds that will be so, should it stay as it is. A Prometheus that stops to
    answer neither says so nor takes it back; one that has not answered since the attempt began is as good as none.
    """
    available = next(each for each in conditions if each.type == "MetricsAvailable")
    if verdict.state != "Ready" or verdict.phase != "Running" or available.reason not in _UNWATCHED:
        return verdict, None
    told = find(assessment.run.status.conditions, "Ready")
    if not _is_unwatched(assessment):
        if available.reason == "QueryFailed" and _is_seen(assessment):
            return verdict, None
        left = (_unseen_since(assessment, available) + METRICS_DUE - assessment.now).total_seconds()
        if left > 0:
            return verdict, left
    elif available.reason == "QueryFailed" and told is not None and told.reason in ("NoMetrics", "Stale"):
        return Verdict("Running", "Stalled", told.reason, told.message), None
    attempt = f"attempt {assessment.attempt}"
    message = f"{attempt} trains without metrics, so its checkpoints cannot be checked: {available.message}"
    return Verdict("Running", "Stalled", available.reason, message), None


def _is_seen(assessment: Assessment) -> bool:
    """Whether the metrics of this attempt were ever read. Earlier versions did not record that."""
    status = assessment.run.status
    if status.measured_attempt is None:
        return status.step is not None
    return status.measured_attempt == assessment.attempt


def _unseen_since(assessment: Assessment, available: Wanted) -> datetime:
    """From when on metrics are due that are not there."""
    if available.reason == "QueryFailed":
        return _runs_since(assessment)
    if available.reason != "Stale":
        # It has been waited for, or there is nothing to wait for.
        return assessment.now - METRICS_DUE
    told = find(assessment.run.status.conditions, "MetricsAvailable")
    gone = told is not None and told.status == "False"
    return parse_timestamp(told.last_transition_time) if told is not None and gone else assessment.now


def fields(assessment: Assessment, verdict: Verdict) -> dict[str, Any]:
    """Fields of the status that a measurement moves. What is not reported keeps its last value."""
    measured, run, before = current(assessment), assessment.run, assessment.run.status
    moved: dict[str, Any] = {}
    if measured is not None and measured.outcome == "Measured":
        moved["measured_attempt"] = measured.attempt
    if measured is not None and measured.step is not None:
        done = min(measured.step / run.spec.total_steps, 1.0)
        reported = {
            "step": measured.step,
            "progress": round(100 * done, 1),
            "progress_bar": bar(done),
            "entropy_coef": _short(measured.entropy_coef),
            "learning_rate": _short(measured.learning_rate),
            "loss": _short(measured.loss),
            "reward": _short(measured.reward),
            "checkpoint_step": measured.checkpoint_step,
        }
        moved |= {name: value for name, value in reported.items() if value is not None}
        moved["milestones"] = _milestones(assessment, measured)
    if verdict.phase != "Running":
        moved["estimated_completion"] = None
    elif measured is not None:
        moved["estimated_completion"] = _end(measured, run.spec.total_steps, before)
    return moved


def bar(done: float) -> str:
    """A part of 1 as a picture: `█████░░░░░ 50%`. Only what is done fills it."""
    full = int(done * _BAR)
    return f"{'█' * full}{'░' * (_BAR - full)} {int(100 * done)}%"


def _available(assessment: Assessment, verdict: Verdict) -> tuple[Wanted, float | None]:
    type_ = "MetricsAvailable"
    measured = current(assessment)
    if measured is not None and measured.outcome == "Measured":
        return Wanted(type_, "True", "Measured", "the run's metrics are read from Prometheus"), None
    told = find(assessment.run.status.conditions, type_)
    if verdict.phase != "Running":
        # What was never seen is awaited anew when the next pod runs.
        if told is not None and told.reason not in ("Awaited", "NoMetrics", "NoEndpoint"):
            return Wanted(type_, told.status, told.reason, told.message), None
        return Wanted(type_, "Unknown", "NotRunning", "not training"), None
    if measured is None:
        if told is not None and told.reason not in ("NotRunning", "NotImplemented"):
            return Wanted(type_, told.status, told.reason, told.message), None
        return Wanted(type_, "Unknown", "Awaited", "no metrics of the run yet"), None
    if measured.outcome == "QueryFailed":
        return Wanted(type_, "Unknown", "QueryFailed", measured.message), None
    if measured.outcome in ("Stale", "NoEndpoint"):
        return Wanted(type_, "False", measured.outcome, measured.message), None
    left = (_runs_since(assessment) + METRICS_DUE - assessment.now).total_seconds()
    if left > 0 and not _is_unwatched(assessment):
        return Wanted(type_, "Unknown", "Awaited", "no metrics of the run yet"), left
    return Wanted(type_, "False", "NoMetrics", measured.message), None


def _is_unwatched(assessment: Assessment) -> bool:
    """Whether `Ready` has said so already."""
    told = find(assessment.run.status.conditions, "Ready")
    return told is not None and told.status == "False" and told.reason in _UNWATCHED


def _runs_since(assessment: Assessment) -> datetime:
    """When `Ready` became True, which it is while a pod runs."""
    told = find(assessment.run.status.conditions, "Ready")
    if told is None or told.status != "True":
        return assessment.now
    return parse_timestamp(told.last_transition_time)


def _on_schedule(assessment: Assessment) -> Wanted:
    type_ = "OnSchedule"
    measured, spec = current(assessment), assessment.run.spec
    told = find(assessment.run.status.conditions, type_)
    if measured is None or measured.step is None or assessment.is_changed:
        if told is not None:
            return Wanted(type_, told.status, told.reason, told.message)
        return Wanted(type_, "Unknown", "NotMeasured", "no metrics of the run yet")
    reach = margin(spec)
    compared = (
        ("entropyCoef", "PPO_ENTROPY_COEF", spec.schedules.entropy_coef, measured.entropy_coef),
        ("learningRate", "PPO_LEARNING_RATE", spec.schedules.learning_rate, measured.learning_rate),
    )
    silent = [field for field, _, _, value in compared if value is None]
    off = [
        f"{field} deviates from spec.schedules.{field} (check that the trainer reads {variable}_INITIAL etc.)"
        for field, variable, wanted, value in compared
        if value is not None and not follows(wanted, measured.step, value, reach)
    ]
    if off:
        return Wanted(type_, "False", "OffSchedule", "; ".join(off))
    if silent:
        return Wanted(type_, "Unknown", "NotReported", f"the trainer does not report {' and '.join(silent)}")
    return Wanted(type_, "True", "OnSchedule", "entropyCoef and learningRate follow their schedules")


def margin(spec: TrainingRunSpec) -> int:
    """How many steps old a reported value may be."""
    return _UPDATES * spec.ppo.update_frequency


def follows(wanted: EntropySchedule | LearningRateSchedule, step: int, value: float, margin: int) -> bool:
    """Whether a value is one that the schedule has within `margin` steps of `step`. Schedules are monotone."""
    ends = value_at(wanted, step - margin), value_at(wanted, step + margin)
    slack = _SLACK * abs(wanted.initial - wanted.final) + 1e-6 * max(abs(wanted.initial), abs(wanted.final))
    return min(ends) - slack <= value <= max(ends) + slack


def _milestones(assessment: Assessment, measured: Progress) -> list[Milestone]:
    """Those seen before, and the quarters that this step is past."""
    seen = {milestone.percent: milestone for milestone in assessment.run.status.milestones}
    step = measured.step or 0
    for percent in QUARTERS:
        if percent not in seen and step >= milestone_step(assessment.run.spec.total_steps, percent):
            seen[percent] = Milestone(
                percent=percent,
                step=step,
                reached_at=timestamp(measured.at),
                entropy_coef=_short(measured.entropy_coef),
                learning_rate=_short(measured.learning_rate),
                reward=_short(measured.reward),
            )
    return [seen[percent] for percent in sorted(seen)]


def _end(measured: Progress, total: int, before: TrainingRunStatus) -> str | None:
    """The last step at the present speed; kept while it moves by less than a tenth of what is left."""
    if measured.outcome != "Measured" or measured.step is None or not measured.speed or measured.speed <= 0:
        return None
    left = max(total - measured.step, 0) / measured.speed
    try:
        expected = measured.at + timedelta(seconds=left)
    except OverflowError:
        return None
    if before.estimated_completion is not None:
        shift = abs((parse_timestamp(before.estimated_completion) - expected).total_seconds())
        if shift < left / 10:
            return before.estimated_completion
    return timestamp(expected)


def _short(value: float | None) -> float | None:
    """Six digits: more are noise in a table."""
    return None if value is None else float(f"{value:.6g}")
