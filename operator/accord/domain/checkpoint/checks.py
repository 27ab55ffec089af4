"""What is shown of the last check: the verdict with its figures, and the condition `Healthy`.

Figures alone are no news: while a check says the same as before they are renewed every few minutes, or each check of
each policy would be a write.
"""

from __future__ import annotations

from datetime import timedelta

from accord.api.v1alpha1.checkpointpolicy import Verdict
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.reading import Reading
from accord.domain.conditions import Status, Wanted, find, parse_timestamp, timestamp

_REFRESHED = timedelta(minutes=5)


def verdict(assessment: Assessment) -> Verdict | None:
    """The last check, for the status."""
    reading = assessment.reading
    before = None if assessment.is_new_training else assessment.status.detection
    if reading is None:
        return before
    now = Verdict(
        outcome="Inconclusive" if reading.outcome == "QueryFailed" else reading.outcome,
        signal=reading.signal,
        rule=reading.rule,
        # What was judged once stays so while nothing is read.
        step=before.step if reading.step is None and before is not None else reading.step,
        baseline=_rounded(reading.baseline),
        recent=_rounded(reading.recent),
        limit=_rounded(reading.limit),
        share=_rounded(reading.share),
        samples=reading.samples,
        message=reading.message or None,
        at=timestamp(reading.at),
    )
    told = find(assessment.status.conditions, "Healthy")
    if before is None or told is None or (told.status, told.reason) != (_status(reading), _reason(reading)):
        return now
    if now.model_dump(exclude={"at"}) == before.model_dump(exclude={"at"}):
        return before
    fresh = before.at is not None and reading.at - parse_timestamp(before.at) < _REFRESHED
    return before if fresh else now


def healthy(assessment: Assessment) -> Wanted:
    """The condition. Without a check, what was said last stays: a run that has ended is checked no more."""
    reading = assessment.reading
    if reading is not None:
        shown = verdict(assessment)
        message = shown.message if shown is not None else None
        return Wanted("Healthy", _status(reading), _reason(reading), message or "")
    told = find(assessment.status.conditions, "Healthy")
    if told is not None and not _is_new_attempt(assessment) and not assessment.is_new_training:
        return Wanted("Healthy", told.status, told.reason, told.message)
    return Wanted("Healthy", "Unknown", "NotChecked", "training not checked yet")


def _status(reading: Reading) -> Status:
    if reading.outcome == "Pass":
        return "True"
    return "False" if reading.outcome == "Fail" else "Unknown"


def _reason(reading: Reading) -> str:
    if reading.reason:
        return reading.reason
    return {"Pass": "Healthy", "Fail": reading.signal or "Fail", "QueryFailed": "QueryFailed"}.get(
        reading.outcome, "InsufficientData"
    )


def _is_new_attempt(assessment: Assessment) -> bool:
    last = next(iter(assessment.status.history), None)
    return last is not None and last.attempt is not None and last.attempt < assessment.attempt


def _rounded(value: float | None) -> float | None:
    """Six digits: more say nothing, and change with every sample."""
    return None if value is None else float(f"{value:.6g}")
