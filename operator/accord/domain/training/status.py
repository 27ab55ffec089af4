"""The status of a TrainingRun: a rendering of the situation and of what was said about it."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import Condition, LocalObjectReference
from accord.api.v1alpha1.trainingrun import TrainingRunStatus
from accord.domain.conditions import timestamp
from accord.domain.training import metering, names
from accord.domain.training.resources import claim_name
from accord.domain.training.restart import record
from accord.domain.training.retuning import Advice
from accord.domain.training.situation import Situation, is_finished
from accord.domain.training.verdicts import Verdict


def full(situation: Situation, verdict: Verdict, advice: Advice, conditions: list[Manifest]) -> TrainingRunStatus:
    """Everything as of now."""
    run, before = situation.run, situation.run.status
    starts = situation.course == "Start" and verdict.reason == "Starting"
    attempt = situation.attempt + 1 if starts else situation.attempt
    end = situation.end
    completion = before.completion_time
    if end is not None:
        completion = timestamp(end.at or situation.now)
    start = before.start_time
    if start is None and verdict.phase != "Pending" and situation.job is not None and situation.job.started is not None:
        start = timestamp(situation.job.started)
    return before.model_copy(
        update={
            "observed_generation": run.metadata.generation,
            "conditions": [Condition.model_validate(condition) for condition in conditions],
            "phase": verdict.phase,
            "attempt": attempt or None,
            "job_ref": LocalObjectReference(name=names.job(run.metadata.name, attempt)) if attempt else None,
            "inputs": _inputs(situation, starts=starts),
            "claim_name": claim_name(run),
            "start_time": start,
            "completion_time": completion,
            "failed_pods": situation.failed_pods,
            "suggestions": list(advice.suggestions),
            "ratings": advice.window,
            "restart": record(situation.restart, situation.next_from, attempt, None) if starts else situation.restart,
            **metering.fields(situation, verdict),
        }
    )


def render(status: TrainingRunStatus) -> Manifest:
    """As the API server stores it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _inputs(situation: Situation, *, starts: bool) -> str | None:
    if starts:
        return situation.inputs
    if situation.job is not None and not is_finished(situation.run):
        return situation.job.inputs
    return situation.run.status.inputs
