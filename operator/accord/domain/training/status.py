"""The status of a TrainingRun: a rendering of the assessment and of what was said about it."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import Condition, LocalObjectReference
from accord.api.v1alpha1.trainingrun import TrainingRunStatus
from accord.domain.conditions import timestamp
from accord.domain.training import schedule_compliance
from accord.domain.training.assessment import Assessment, is_finished
from accord.domain.training.resources import claim_name
from accord.domain.training.restart import record
from accord.domain.training.retuning import Advice
from accord.domain.training.verdict import Verdict


def full(assessment: Assessment, verdict: Verdict, advice: Advice, conditions: list[Manifest]) -> TrainingRunStatus:
    """Everything as of now."""
    run, before = assessment.run, assessment.run.status
    starts = assessment.course == "Start" and verdict.reason == "Starting"
    attempt = assessment.attempt + 1 if starts else assessment.attempt
    end = assessment.end
    completion = before.completion_time
    if end is not None:
        completion = timestamp(end.at or assessment.now)
    start = before.start_time
    if (
        start is None
        and verdict.phase != "Pending"
        and assessment.job is not None
        and assessment.job.started is not None
    ):
        start = timestamp(assessment.job.started)
    return before.model_copy(
        update={
            "observed_generation": run.metadata.generation,
            "conditions": [Condition.model_validate(condition) for condition in conditions],
            "phase": verdict.phase,
            "attempt": attempt or None,
            "job_ref": LocalObjectReference(name=assessment.workload.key(run, attempt).name) if attempt else None,
            "inputs": _inputs(assessment, starts=starts),
            "claim_name": claim_name(run),
            "start_time": start,
            "completion_time": completion,
            "failed_pods": assessment.failed_pods,
            "suggestions": list(advice.suggestions),
            "ratings": advice.window,
            "restart": record(assessment.restart, assessment.next_from, attempt, None)
            if starts
            else assessment.restart,
            **schedule_compliance.fields(assessment, verdict),
        }
    )


def render(status: TrainingRunStatus) -> Manifest:
    """As the API server stores it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _inputs(assessment: Assessment, *, starts: bool) -> str | None:
    if starts:
        return assessment.inputs
    if assessment.job is not None and not is_finished(assessment.run):
        return assessment.job.inputs
    return assessment.run.status.inputs
