"""Whether a rollback is to begin: a person named a step, or a check failed that no rollback has answered yet."""

from __future__ import annotations

from datetime import timedelta

from accord.api.v1alpha1.checkpointpolicy import RollbackRecord
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.names import training_of
from accord.domain.checkpoint.reading import Reading
from accord.domain.checkpoint.store import Problem
from accord.domain.checkpoint.targets import choose
from accord.domain.conditions import parse_timestamp, timestamp

_ON_ITS_WAY = timedelta(minutes=1)
"""Longer than any query takes."""


def begin(assessment: Assessment) -> Move | None:
    """Record a rollback; nothing else is done in this pass. None where there is no reason for one."""
    asked = _asked(assessment)
    if asked is not None:
        step = assessment.policy.spec.rollback_to
        return Move("Reconciling", "RollingBack", asked.message or "", {"rollback": asked, "handled_rollback_to": step})
    record = _answer(assessment)
    if record is None:
        return None
    return Move("Reconciling", "RollingBack", record.message or "", {"rollback": record})


def hindrance(assessment: Assessment) -> Problem | None:
    """Why a rollback that there is a reason for does not begin."""
    spec, reading = assessment.policy.spec, assessment.reading
    if spec.rollback_to is not None and spec.rollback_to != assessment.status.handled_rollback_to:
        if _named(assessment) is None:
            return Problem(
                "NoSuchCheckpoint",
                f"spec.rollbackTo: no usable checkpoint of step {spec.rollback_to}; see status.checkpoints",
            )
        return None
    if reading is None or not _is_news(assessment, reading) or spec.serving is None or not spec.rollback.enabled:
        return None
    if cooling(assessment) > 0:
        return Problem("CoolingDown", f"in cooldown after the last rollback: {reading.message}")
    if _target(assessment, reading) is None:
        return Problem(
            "NoTarget",
            f"no checkpoint to roll back to: no verified one is {spec.rollback.steps} back and older than step "
            f"{reading.onset}. {reading.message}",
        )
    return None


def cooling(assessment: Assessment) -> float:
    """Seconds until there may be another rollback."""
    ended = [
        r.completed_at
        for r in assessment.status.history
        if training_of(r.id) == assessment.training and r.phase in ("Done", "Failed")
    ]
    return max((assessment.seconds_until(at, assessment.policy.spec.rollback.cooldown) for at in ended), default=0.0)


def _asked(assessment: Assessment) -> RollbackRecord | None:
    """A person named a step. It waits for nobody's approval, and for no cooldown."""
    spec, status = assessment.policy.spec, assessment.status
    if spec.rollback_to is None or spec.rollback_to == status.handled_rollback_to:
        return None
    target = _named(assessment)
    if target is None:
        return None
    served = status.serving
    return RollbackRecord(
        id=f"{assessment.training}-to-{spec.rollback_to}-g{assessment.policy.metadata.generation}",
        phase="Restoring",
        attempt=assessment.attempt,
        confirmed_step=max((c.step for c in assessment.checkpoints if c.training == assessment.training), default=None),
        from_step=served.step if served is not None else None,
        to_step=target.step,
        to_attempt=target.attempt,
        to_training=target.training,
        signal="Manual",
        started_at=timestamp(assessment.now),
        message=f"spec.rollbackTo is {target.step}",
    )


def _named(assessment: Assessment) -> Checkpoint | None:
    step = assessment.policy.spec.rollback_to
    return next((c for c in assessment.checkpoints if c.step == step and c.is_good), None)


def _answer(assessment: Assessment) -> RollbackRecord | None:
    """The answer to a check that failed."""
    spec, status, reading = assessment.policy.spec, assessment.status, assessment.reading
    if reading is None or spec.serving is None or not spec.rollback.enabled or not _is_news(assessment, reading):
        return None
    if cooling(assessment) > 0 or reading.signal is None:
        return None
    earlier = _unfinished(assessment, reading)
    target = _target(assessment, reading)
    if target is None:
        return None
    spent = assessment.rollbacks >= spec.rollback.max
    waits = spent or spec.rollback.approval == "Manual"
    why = f"rollbacks of this training so far: {assessment.rollbacks}; " if spent else ""
    served = status.serving
    return RollbackRecord(
        id=(earlier.rollback if earlier is not None else None)
        or f"{assessment.training}-a{assessment.attempt}-{reading.onset}",
        phase="AwaitingApproval" if waits else "Restoring",
        attempt=assessment.attempt,
        onset=reading.onset,
        confirmed_step=reading.step,
        from_step=served.step if served is not None else None,
        to_step=target.step,
        to_attempt=target.attempt,
        to_training=target.training,
        signal=reading.signal,
        baseline=reading.baseline,
        recent=reading.recent,
        started_at=timestamp(assessment.now),
        message=why + reading.message,
    )


def _is_news(assessment: Assessment, reading: Reading) -> bool:
    """Whether it is a fault that nobody has dealt with.

    Where the training restarts or stops there is one rollback for each attempt: whatever is measured of an attempt that
    was given up is the same fault.
    """
    if reading.outcome != "Fail" or reading.onset is None:
        return False
    for record in assessment.status.history:
        if training_of(record.id) != assessment.training or record.attempt != assessment.attempt:
            continue
        # A person's rollback is no answer to a fault that shows later in the same attempt.
        if (_ends_attempt(assessment) and record.signal != "Manual") or not _is_later(record, reading):
            return False
    return True


def _is_later(record: RollbackRecord, reading: Reading) -> bool:
    """Whether a fault of a training that simply goes on began after the one of `record`."""
    if (reading.onset or 0) > (record.confirmed_step or 0):
        return True
    # What was before the end of a rollback is judged no more; only a check that was on its way then did not know.
    ended = record.completed_at if record.phase in ("Done", "Rejected") else None
    return ended is not None and reading.at > parse_timestamp(ended) + _ON_ITS_WAY


def _ends_attempt(assessment: Assessment) -> bool:
    run = assessment.observed.run
    return run is not None and (run.finished or assessment.policy.spec.rollback.training != "Ignore")


def _target(assessment: Assessment, reading: Reading) -> Checkpoint | None:
    """Where to go back to. A rollback that an earlier policy of this name has begun is carried on."""
    earlier = _unfinished(assessment, reading)
    if earlier is not None and earlier.target is not None:
        found = assessment.find(*earlier.target, training=assessment.training)
        if found is not None and found.is_good:
            return found
    own = [c for c in assessment.checkpoints if c.training == assessment.training and not c.deleting]
    candidates = [(c.step, c.verified and c.ready, c.quarantined) for c in own]
    step = choose(candidates, reading.onset or 0, assessment.policy.spec.rollback.steps)
    return next((c for c in own if c.step == step and c.is_good), None)


def _unfinished(assessment: Assessment, reading: Reading) -> Checkpoint | None:
    """A checkpoint that was quarantined because of the same fault, by a policy that remembers it no more."""
    known = {record.id for record in assessment.status.history}
    begin = f"{assessment.training}-a{assessment.attempt}-"
    for checkpoint in assessment.checkpoints:
        why = checkpoint.rollback or ""
        if not checkpoint.quarantined or checkpoint.target is None or not why.startswith(begin) or why in known:
            continue
        if _ends_attempt(assessment) or (reading.onset or 0) <= checkpoint.step:
            return checkpoint
    return None
