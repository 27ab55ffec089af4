"""A rollback that is under way, from its record to its end.

    AwaitingApproval → Restoring → Switching → RollingOut → Restarting → Done
                           ↑                        ↓
                        Retrying ←────────────  Reverting → Failed

A phase is left only when the cluster shows that its work is done, and the work of a phase can be done any number of
times. Only when the target serves, newer checkpoints are quarantined; then it counts, before the training is restarted:
what was written last tells what comes next. What was not the target's fault is tried again until it serves.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicyStatus, RollbackRecord, Switch
from accord.domain.checkpoint import names, switching
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.patches import impossible, run_patch
from accord.domain.conditions import timestamp
from accord.domain.training.names import (
    RESTART_ATTEMPT_ANNOTATION,
    RESTART_FROM_ANNOTATION,
    STOP_ATTEMPT_ANNOTATION,
)

HISTORY = 10
_AT_ONCE = timedelta(minutes=1)
"""What takes longer is worth a pause of the training, whatever it is that takes so long."""


def proceed(assessment: Assessment, record: RollbackRecord) -> Move:
    """The next step."""
    if record.phase == "AwaitingApproval":
        return _await_approval(assessment, record)
    if record.phase == "Restoring":
        return _prepare(assessment, record)
    if record.phase in ("Switching", "RollingOut", "Reverting"):
        return _switch(assessment, record)
    if record.phase == "Retrying":
        return _retry(assessment, record)
    return _restart(assessment, record)


def noted(assessment: Assessment, move: Move, after: CheckpointPolicyStatus) -> CheckpointPolicyStatus:
    """The status after this move, with the time from which on the rollback waits. That is never taken back: what
    waited once is tried again, and a training that starts in between would only be stopped again.
    """
    record = after.rollback
    if record is None or record.waiting_since is not None or record.signal == "Manual":
        return after
    if record.phase in ("AwaitingApproval", "Restarting") or assessment.policy.spec.suspend:
        return after
    hindered = move.state == "Stalled" or record.phase in ("Reverting", "Retrying")
    pods_wait = after.switch is not None and after.switch.waiting is not None
    if not hindered and not pods_wait and assessment.seconds_until(record.started_at, _AT_ONCE) > 0:
        return after
    waiting = record.model_copy(update={"waiting_since": timestamp(assessment.now)})
    return after.model_copy(update={"rollback": waiting})


def target_of(assessment: Assessment, record: RollbackRecord) -> Checkpoint | None:
    """The checkpoint to go back to. A person may name one of an earlier training."""
    if record.signal != "Manual":
        return assessment.find(record.to_step, record.to_attempt, training=names.training_of(record.id))
    named = [c for c in assessment.checkpoints if c.is_named(record.to_step, record.to_attempt, record.to_training)]
    return next((c for c in named if c.is_good), next(iter(named), None))


def doomed(assessment: Assessment, record: RollbackRecord) -> tuple[Checkpoint, ...]:
    """Checkpoints that are newer than the target: they may hold the fault."""
    target = target_of(assessment, record)
    if target is None or record.phase == "AwaitingApproval":
        return ()
    return tuple(c for c in assessment.checkpoints if c.order > target.order and not c.deleting)


def _await_approval(assessment: Assessment, record: RollbackRecord) -> Move:
    annotations = assessment.policy.metadata.annotations
    if not _is_of(assessment, record):
        return _end(assessment, record, "Rejected", "the training that went wrong has been replaced by another one")
    if annotations.get(names.APPROVED_ANNOTATION) == record.id:
        return _record(record.model_copy(update={"phase": "Restoring"}), "RollingBack", "rollback approved")
    if annotations.get(names.REJECTED_ANNOTATION) == record.id:
        return _end(assessment, record, "Rejected", "rollback rejected")
    if record.attempt != assessment.attempt:
        return _end(assessment, record, "Rejected", f"attempt {record.attempt} has ended in the meantime")
    meta = assessment.policy.metadata
    paused = "; the training is paused until then" if _is_paused(assessment) else ""
    message = (
        f"{record.message}{paused}. To roll back to step {record.to_step}: accord approve {meta.name} -n "
        f"{meta.namespace}, or annotation {names.APPROVED_ANNOTATION}={record.id}; to reject it: the same with "
        f"--reject, or {names.REJECTED_ANNOTATION}={record.id}"
    )
    return Move("Stalled", "AwaitingApproval", message)


def _is_of(assessment: Assessment, record: RollbackRecord) -> bool:
    """Whether the rollback is of the training that goes on now, and not of an earlier one of that name."""
    return names.training_of(record.id) == assessment.training


def _is_paused(assessment: Assessment) -> bool:
    """Whether the run rests for this policy, as `training.pauses` has it."""
    run, spec = assessment.observed.run, assessment.policy.spec.rollback
    return run is not None and not run.finished and spec.while_waiting == "Pause" and spec.training != "Ignore"


def _prepare(assessment: Assessment, record: RollbackRecord) -> Move:
    """Make the claim; the switch is recorded when it is there."""
    target = target_of(assessment, record)
    if target is None or not target.is_good:
        older = _newest_before(assessment, record)
        if older is not None:
            update = {"to_step": older.step, "to_attempt": older.attempt, "to_training": older.training}
            words = f"checkpoint of step {record.to_step} is missing or unusable; trying step {older.step}"
            return _record(record.model_copy(update=update), "RollingBack", words)
        return _end(assessment, record, "Failed", f"checkpoint of step {record.to_step} is missing or unusable")
    withdrawn = _withdrawn(assessment, record)
    if withdrawn is not None:
        return _end(assessment, record, "Rejected", withdrawn)
    moved = record.model_copy(update={"phase": "Switching"})
    serving = assessment.status.serving
    if serving is not None and _may_stay(assessment, record, target):
        switch = switching.stay(assessment, serving)
        return Move("Reconciling", "RollingBack", "serving does not change", {"rollback": moved, "switch": switch})
    unworkable = impossible(assessment, target)
    if unworkable is not None:
        return Move("Stalled", *unworkable)
    place = assessment.store.place(assessment.observed, target)
    restored = switching.restore(assessment, *target.identity, place, f"restoring step {target.step}")
    if restored is not None:
        return restored
    switch = switching.begin(assessment, "Rollback", target, place)
    return Move(
        "Reconciling", "RollingBack", f"rolling back to step {target.step}", {"rollback": moved, "switch": switch}
    )


def _may_stay(assessment: Assessment, record: RollbackRecord, target: Checkpoint) -> bool:
    """Whether what is served is no newer than the target anyhow: a rollback must not bring serving forward."""
    serving = assessment.status.serving
    if serving is None or record.signal == "Manual":
        return False
    if serving.step is None:
        follow = assessment.policy.spec.serving
        return follow is not None and follow.follow == "Manual"
    current = assessment.served
    return current is not None and current.is_good and current.order <= target.order


def _switch(assessment: Assessment, record: RollbackRecord) -> Move:
    switch = assessment.status.switch
    if switch is None:
        # Only a person can have taken it away.
        return _record(record.model_copy(update={"phase": "Restoring"}), "RollingBack", "restarting the rollout")
    if switch.why == "Revert":
        return _revert(assessment, record, switch)
    outcome, move = switching.proceed(assessment, switch)
    if outcome == "Available":
        return _quarantine(assessment, record) or _count(assessment, record, switch)
    withdrawn = _withdrawn(assessment, record)
    if outcome != "Moving" or withdrawn is not None:
        why = withdrawn or move.message
        changed: dict[str, Any] = {
            "rollback": record.model_copy(update={"phase": "Reverting"}),
            "switch": switching.revert(assessment, switch, why, blamed=outcome == "Broken"),
        }
        if outcome in ("Hindered", "Unready"):
            changed["setback"] = switching.set_back(assessment, switch, outcome, move)
        return Move("Reconciling", "Reverting", f"{why}; reverting serving", changed)
    seen = move.status.get("switch")
    if isinstance(seen, Switch) and seen.patched_at is not None and record.phase == "Switching":
        moved = {**move.status, "rollback": record.model_copy(update={"phase": "RollingOut"})}
        return Move(move.state, move.reason, move.message, moved, look_again=move.look_again)
    return move


def _quarantine(assessment: Assessment, record: RollbackRecord) -> Move | None:
    """Mark what is newer than the target; None where that is done.

    Not before the target serves: a rollback that fails, or waits, must take no good checkpoint away. Until then the
    record itself keeps anything newer from being promoted.
    """
    target = target_of(assessment, record)
    marks = [
        assessment.store.quarantine(assessment.observed, checkpoint, record.id, target.identity if target else None)
        for checkpoint in doomed(assessment, record)
        if not checkpoint.quarantined
    ]
    manifests = tuple(mark for mark in marks if mark is not None)
    if not manifests:
        return None
    return Move("Reconciling", "RollingBack", "quarantining newer checkpoints", apply=manifests)


def _count(assessment: Assessment, record: RollbackRecord, switch: Switch) -> Move:
    done = record.model_copy(update={"phase": "Restarting", "completed_at": timestamp(assessment.now)})
    changed = {
        "rollback": done,
        "switch": None,
        "serving": switching.served(switch, assessment.now),
        "rollbacks": assessment.rollbacks + 1,
        "setback": None,
    }
    return Move("Reconciling", "RolledBack", f"step {switch.step} is served", changed)


def _revert(assessment: Assessment, record: RollbackRecord, switch: Switch) -> Move:
    outcome, move = switching.proceed(assessment, switch)
    if outcome == "Moving":
        return move
    withdrawn = _withdrawn(assessment, record)
    if withdrawn is not None:
        return _without_switch(_end(assessment, record, "Rejected", withdrawn))
    if switch.failed_step is None or outcome != "Available":
        changed: dict[str, Any] = {"rollback": record.model_copy(update={"phase": "Retrying"}), "switch": None}
        if outcome != "Available":
            changed["setback"] = switching.acquit(assessment, switch, move)
        return Move("Reconciling", "Retrying", f"{switch.message}; retrying", changed)
    marking = mark_failed(assessment, switch)
    if marking is not None:
        return marking
    older = _older(assessment, record)
    if older is not None:
        words = f"{switch.message}; trying step {older.step}"
        update = {
            "phase": "Restoring",
            "to_step": older.step,
            "to_attempt": older.attempt,
            "to_training": older.training,
        }
        changed = {"rollback": record.model_copy(update=update), "switch": None}
        return Move("Reconciling", "RollingBack", words, changed)
    return _without_switch(_end(assessment, record, "Failed", f"{switch.message}; serving was reverted"))


def _without_switch(move: Move) -> Move:
    return Move(move.state, move.reason, move.message, {**move.status, "switch": None})


def _newest_before(assessment: Assessment, record: RollbackRecord) -> Checkpoint | None:
    """Another target where the one of the record is gone: the newest from before the onset."""
    if record.signal == "Manual":
        return None
    own = (c for c in assessment.checkpoints if c.training == assessment.training and c.is_good)
    return next((c for c in own if c.step < (record.onset or 0)), None)


def _older(assessment: Assessment, record: RollbackRecord) -> Checkpoint | None:
    """The next one to try after a target that did not start: the fault is there still. Only a person may name one
    that nothing takes the place of.
    """
    failed = target_of(assessment, record)
    if failed is None or record.signal == "Manual":
        return None
    own = (c for c in assessment.checkpoints if c.training == assessment.training and c.is_good)
    return next((c for c in own if c.order < failed.order), None)


def _retry(assessment: Assessment, record: RollbackRecord) -> Move:
    """What was served before is served again. The fault has not gone away by that: the rollback is tried again, at
    longer and longer intervals, until it succeeds or a person stops it.
    """
    withdrawn = _withdrawn(assessment, record)
    if withdrawn is not None:
        return _end(assessment, record, "Rejected", withdrawn)
    kept = switching.keep(assessment)
    if kept is not None:
        return kept
    if switching.seconds_to_retry(assessment) <= 0:
        again = record.model_copy(update={"phase": "Restoring"})
        return _record(again, "RollingBack", f"retrying the rollback to step {record.to_step}")
    waits = switching.retry_later(assessment)
    meta = assessment.policy.metadata
    message = (
        f"{waits.message}. To roll back to another step, set spec.rollbackTo; to cancel: accord approve {meta.name} "
        f"-n {meta.namespace} --reject, or annotation {names.REJECTED_ANNOTATION}={record.id}"
    )
    return Move(waits.state, waits.reason, message, look_again=waits.look_again)


def _withdrawn(assessment: Assessment, record: RollbackRecord) -> str | None:
    """Why a rollback that has not been carried through is not wanted any more; None where it is."""
    asked = assessment.policy.spec.rollback_to
    if assessment.policy.metadata.annotations.get(names.REJECTED_ANNOTATION) == record.id:
        return "rollback rejected"
    if asked is not None and asked != assessment.status.handled_rollback_to:
        return f"spec.rollbackTo is now {asked}"
    return None


def mark_failed(assessment: Assessment, switch: Switch) -> Move | None:
    """Quarantine the checkpoint that serving pods did not start with; None where that is done."""
    failed = assessment.find(switch.failed_step, switch.failed_attempt, training=switch.failed_training)
    if failed is None or failed.quarantined:
        return None
    mark = assessment.store.quarantine(assessment.observed, failed, names.FAILED_TO_SERVE, None)
    return (
        None if mark is None else Move("Reconciling", "Reverting", f"step {failed.step} is quarantined", apply=(mark,))
    )


def _restart(assessment: Assessment, record: RollbackRecord) -> Move:
    """Tell the training, and close the record when that is to be seen."""
    run, action = assessment.observed.run, assessment.policy.spec.rollback.training
    serving = assessment.status.serving
    what = f"step {serving.step}" if serving is not None and serving.step else "the original volume"
    begin = f"{record.message}: {what} is served"
    if run is None or run.attempt is None or action == "Ignore":
        return _end(assessment, record, "Done", f"{begin}; training continues unchanged")
    target = target_of(assessment, record)
    if not _is_of(assessment, record) or (target is not None and target.training != assessment.training):
        # Its volume may hold another checkpoint of that step, or none.
        return _end(
            assessment, record, "Done", f"{begin}; that step is of an earlier training, so this one is not changed"
        )
    if run.finished:
        return _end(assessment, record, "Done", f"{begin}; training had finished, so only serving was rolled back")
    # Another attempt may have begun meanwhile, and from a checkpoint that is quarantined now.
    # Also where it stops: released by a person, it must not go on from what went wrong.
    marks = {RESTART_FROM_ANNOTATION: str(record.to_step), RESTART_ATTEMPT_ANNOTATION: str(run.attempt)}
    if action == "Stop":
        if run.marked(STOP_ATTEMPT_ANNOTATION) >= (record.attempt or 0):
            return _end(assessment, record, "Done", f"{begin}; training stopped")
        marks[STOP_ATTEMPT_ANNOTATION] = str(run.attempt)
        words = "stopping the training"
    else:
        since = run.annotations.get(RESTART_FROM_ANNOTATION) == str(record.to_step)
        if since and run.marked(RESTART_ATTEMPT_ANNOTATION) >= (record.attempt or 0):
            return _end(assessment, record, "Done", f"{begin}; training resumes from step {record.to_step}")
        words = f"restarting the training from step {record.to_step}"
    patch = (run_patch(assessment.policy.metadata.namespace, run, marks),)
    return Move("Reconciling", "Restarting", words, patch=patch)


def _record(record: RollbackRecord, reason: str, message: str) -> Move:
    return Move("Reconciling", reason, message, {"rollback": record})


def _end(
    assessment: Assessment, record: RollbackRecord, phase: Literal["Done", "Failed", "Rejected"], message: str
) -> Move:
    """Move the record to the history."""
    ended = record.model_copy(
        update={
            "phase": phase,
            "message": message,
            "completed_at": record.completed_at or timestamp(assessment.now),
        }
    )
    history = [ended, *(former for former in assessment.status.history if former.id != ended.id)][:HISTORY]
    changed = {"rollback": None, "history": history, "setback": None}
    return Move("Reconciling", f"Rollback{phase}", message, changed)
