"""Whether a training goes on that cannot be checked: then none of its checkpoints is protected, and it is not Ready.

What is missing is waited for a while: a trainer loads its model first, and Prometheus scrapes once a minute. A
Prometheus that stops to answer changes nothing; one that has never answered is as good as none.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from accord.domain.checkpoint import holds
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.reading import UNANSWERED, Reading
from accord.domain.checkpoint.store import Problem
from accord.domain.conditions import find, parse_timestamp

DUE = timedelta(minutes=3)
"""How long something may be missing; as long as for a TrainingRun."""
REASONS = UNANSWERED | {"NoMetrics", "Stale"}
"""Reasons of a reading that says nothing of the training."""


def unchecked(assessment: Assessment) -> tuple[Problem | None, float | None]:
    """Why the training cannot be checked, or after how many seconds that will be said, should it stay as it is."""
    reading, run = assessment.reading, assessment.observed.run
    told = find(assessment.status.conditions, "Ready")
    said = told if told is not None and told.status == "False" and told.reason in REASONS else None
    if (run is not None and not run.trains) or not holds.is_watched(assessment.policy.spec.detection):
        return None, None
    if reading is None:
        # It was not checked yet since this replica leads, or this attempt began.
        return (None if said is None else Problem(said.reason, said.message)), None
    if reading.reason not in REASONS or _may_be_over(assessment, reading):
        return None, None
    problem = Problem(
        reading.reason, f"the training cannot be checked, so its checkpoints are not protected: {reading.message}"
    )
    if reading.reason == "NoEndpoint":
        return problem, None
    if reading.reason == "QueryFailed" and said is not None and said.reason in ("NoMetrics", "Stale"):
        return Problem(said.reason, said.message), None
    if said is None:
        if reading.reason == "QueryFailed" and _is_seen(assessment):
            return None, None
        left = (_since(assessment, reading) + DUE - assessment.now).total_seconds()
        if left > 0:
            return None, left
    return problem, None


def _may_be_over(assessment: Assessment, reading: Reading) -> bool:
    """Nobody says of a training that is no TrainingRun whether it goes on."""
    return assessment.observed.run is None and reading.reason != "NoEndpoint" and _is_seen(assessment)


def _is_seen(assessment: Assessment) -> bool:
    """Whether a check of this training has ever read something."""
    before = assessment.status.detection
    judged = before is not None and before.step is not None
    return bool(assessment.own) or (judged and not assessment.is_new_training)


def _since(assessment: Assessment, reading: Reading) -> datetime:
    """Since when checks say this of a training that goes on."""
    told, before = find(assessment.status.conditions, "Healthy"), assessment.status.detection
    at = before.at if before is not None and told is not None and told.reason == reading.reason else None
    since = parse_timestamp(at) if at is not None else assessment.now
    run = assessment.observed.run
    began = run.trains_since if run is not None else None
    return since if began is None else max(since, began)
