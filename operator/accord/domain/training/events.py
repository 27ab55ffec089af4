"""Events: what changed from the recorded status to the next one, once, in sentences for a person."""

from __future__ import annotations

from collections.abc import Iterator

from accord.api.v1alpha1.trainingrun import TrainingRunStatus
from accord.domain.conditions import find
from accord.domain.plan import Event
from accord.domain.training.restart import Restart
from accord.domain.training.retuning import in_words

_QUIET = frozenset({"Starting", "Running", "Retrying", "Suspending", "Queued", "Waiting", "Ending", "Completing"})
"""Reasons of `Ready` that are the ordinary course of things."""
_TOLD_BY_METRICS = ("NoMetrics", "Stale", "NoEndpoint")
"""Reasons that `MetricsAvailable` has brought up before."""
_NORMAL = frozenset({"Succeeded", "Suspended", "Restarting"})


def transitions(
    before: TrainingRunStatus, after: TrainingRunStatus, queue: str | None = None, kind: str = "Job"
) -> tuple[Event, ...]:
    """Everything that happened between two statuses of one run. `queue` is the one that the newest attempt is in, and
    `kind` that of its object.
    """
    return (
        *_attempts(before, after, queue, kind),
        *_rollbacks(before, after),
        *_milestones(before, after),
        *_pods(before, after),
        *_readiness(before, after, queue),
        *_acceptance(before, after),
        *_measurement(before, after),
        *_suggestions(before, after),
    )


def _attempts(before: TrainingRunStatus, after: TrainingRunStatus, queue: str | None, kind: str) -> Iterator[Event]:
    """In a queue an attempt is made, and starts whenever it is let."""
    attempt = after.attempt or 0
    how = f" and resumes from {_origin(after)}" if attempt > 1 else ""
    if attempt > (before.attempt or 0) and after.job_ref is not None:
        name = after.job_ref.name
        if queue is None:
            yield Event("Normal", "AttemptStarted", f"attempt {attempt} starts as {kind} {name}{how}")
        else:
            yield Event("Normal", "AttemptQueued", f"attempt {attempt} waits in queue {queue} as {kind} {name}")
    elif queue is not None and before.phase != "Running" and after.phase == "Running":
        yield Event("Normal", "AttemptStarted", f"attempt {attempt}, admitted by queue {queue}, is running{how}")


def _origin(after: TrainingRunStatus) -> str:
    unsaved = after.restart is not None and after.restart.saved_in_attempt is None
    return Restart.of(after.restart).resume_from if after.restart and unsaved else "the newest checkpoint"


def _rollbacks(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Event]:
    done = after.restart
    if done is not None and (before.restart is None or Restart.of(before.restart) != Restart.of(done)):
        words = (
            f"attempt {done.ended_attempt} was rolled back; attempt {done.attempt} resumes from "
            f"{Restart.of(done).resume_from}"
        )
        yield Event("Normal", "RestartedFromCheckpoint", words)
    old, new = find(before.conditions, "RolledBack"), find(after.conditions, "RolledBack")
    if new is None or (old is not None and (old.reason, old.message) == (new.reason, new.message)):
        return
    if new.status == "False":
        yield Event("Warning", f"Rollback{new.reason}", new.message)


def _milestones(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Event]:
    seen = {milestone.percent for milestone in before.milestones} | {0}
    for milestone in after.milestones:
        if milestone.percent not in seen:
            reward = "" if milestone.reward is None else f", mean reward {milestone.reward:g}"
            yield Event("Normal", "Milestone", f"{milestone.percent} % done at step {milestone.step}{reward}")


def _pods(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Event]:
    failed = after.failed_pods or 0
    if failed > (before.failed_pods or 0) and after.phase != "Failed":
        ready = find(after.conditions, "Ready")
        why = f": {ready.message}" if ready is not None and ready.reason == "Retrying" else ""
        yield Event("Warning", "PodFailed", f"{failed} pods have failed so far{why}")


def _readiness(before: TrainingRunStatus, after: TrainingRunStatus, queue: str | None) -> Iterator[Event]:
    old, new = find(before.conditions, "Ready"), find(after.conditions, "Ready")
    was_stalled = find(before.conditions, "Stalled") is not None
    is_stalled = find(after.conditions, "Stalled") is not None
    if new is None or (old is not None and old.reason == new.reason and was_stalled == is_stalled):
        return
    at_rest = ("Suspended", "StoppedByRollback", "AwaitingApproval", "AwaitingRollback")
    if old is not None and old.reason in at_rest and new.reason not in at_rest:
        when = "" if queue is None else f" when queue {queue} admits it"
        yield Event("Normal", "Resumed", f"no longer suspended: training resumes{when}")
    if new.reason not in (*_QUIET, *_TOLD_BY_METRICS):
        yield Event("Normal" if new.reason in _NORMAL else "Warning", new.reason, new.message)


def _acceptance(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Event]:
    old, new = find(before.conditions, "Accepted"), find(after.conditions, "Accepted")
    if new is None or (old is not None and (old.reason, old.message) == (new.reason, new.message)):
        return
    if new.reason in ("Adjusted", "AlreadyFinished"):
        yield Event("Warning", new.reason, new.message)


def _measurement(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Event]:
    for type_ in ("MetricsAvailable", "OnSchedule"):
        old, new = find(before.conditions, type_), find(after.conditions, type_)
        if new is not None and new.status == "False" and (old is None or old.reason != new.reason):
            yield Event("Warning", new.reason, new.message)


def _suggestions(before: TrainingRunStatus, after: TrainingRunStatus) -> Iterator[Event]:
    known = {(each.rule, each.suggested, each.applied_in_attempt) for each in before.suggestions}
    for each in after.suggestions:
        if (each.rule, each.suggested, each.applied_in_attempt) in known:
            continue
        if each.applied_in_attempt is None:
            yield Event("Normal", "RetuningSuggested", f"{in_words(each)}; apply with {each.patch}")
        else:
            yield Event("Normal", "RetuningApplied", in_words(each))
