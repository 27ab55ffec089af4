"""A rollback that is under way, from its record to its end.

    AwaitingApproval → Restoring → Switching → RollingOut → Restarting → Done
                                                    ↓
                                                Reverting → Failed

A phase is left only when the cluster shows that its work is done, and the work of a phase can be done any number of
times. It counts once the target serves, before the training is restarted: what was written last tells what comes next.
"""

from __future__ import annotations

from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import RollbackRecord, Switch
from accord.domain.checkpoint import names, switching
from accord.domain.checkpoint.kept import Checkpoint
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.pointing import run_patch
from accord.domain.checkpoint.situation import Situation
from accord.domain.conditions import timestamp
from accord.domain.training.names import (
    RESTART_ATTEMPT_ANNOTATION,
    RESTART_FROM_ANNOTATION,
    STOP_ATTEMPT_ANNOTATION,
)

HISTORY = 10


def proceed(situation: Situation, record: RollbackRecord) -> Move:
    """The next step."""
    if record.phase == "AwaitingApproval":
        return _await_approval(situation, record)
    if record.phase == "Restoring":
        return _prepare(situation, record)
    if record.phase in ("Switching", "RollingOut", "Reverting"):
        return _switch(situation, record)
    return _restart(situation, record)


def target_of(situation: Situation, record: RollbackRecord) -> Checkpoint | None:
    """The checkpoint to go back to. A person may name one of an earlier training."""
    training = None if record.signal == "Manual" else situation.training
    return situation.find(record.to_step, record.to_attempt, training=training)


def doomed(situation: Situation, record: RollbackRecord) -> tuple[Checkpoint, ...]:
    """Checkpoints that are newer than the target: they may hold the fault."""
    target = target_of(situation, record)
    if target is None or record.phase == "AwaitingApproval":
        return ()
    return tuple(c for c in situation.checkpoints if c.order > target.order and not c.deleting)


def _await_approval(situation: Situation, record: RollbackRecord) -> Move:
    annotations = situation.policy.metadata.annotations
    if annotations.get(names.APPROVED_ANNOTATION) == record.id:
        return _record(record.model_copy(update={"phase": "Restoring"}), "RollingBack", "the rollback was approved")
    if annotations.get(names.REJECTED_ANNOTATION) == record.id:
        return _end(situation, record, "Rejected", "a person decided against the rollback")
    if record.attempt != situation.attempt:
        return _end(situation, record, "Rejected", f"attempt {record.attempt} has ended meanwhile")
    meta = situation.policy.metadata
    message = (
        f"{record.message}. To go back to step {record.to_step}: accord approve {meta.name} -n {meta.namespace}, or "
        f"kubectl annotate cp {meta.name} -n {meta.namespace} {names.APPROVED_ANNOTATION}={record.id}; to stay: "
        f"{names.REJECTED_ANNOTATION}, or --reject"
    )
    return Move("Stalled", "AwaitingApproval", message)


def _prepare(situation: Situation, record: RollbackRecord) -> Move:
    """Quarantine what is newer, then make the claim; the switch is recorded when both are there."""
    target = target_of(situation, record)
    if target is None or not target.is_good:
        return _end(situation, record, "Failed", f"the checkpoint of step {record.to_step} is gone or unusable")
    marks = [
        situation.store.quarantine(situation.observed, checkpoint, record.id, target.identity)
        for checkpoint in doomed(situation, record)
        if not checkpoint.quarantined
    ]
    manifests = tuple(mark for mark in marks if mark is not None)
    if manifests:
        return Move("Reconciling", "RollingBack", "newer checkpoints are being quarantined", apply=manifests)
    moved = record.model_copy(update={"phase": "Switching"})
    serving = situation.status.serving
    if serving is not None and _may_stay(situation, record, target):
        switch = switching.stay(situation, serving)
        return Move("Reconciling", "RollingBack", "what is served may stay", {"rollback": moved, "switch": switch})
    place = situation.store.place(situation.observed, target)
    restored = switching.restore(situation, *target.identity, place, f"step {target.step} is being restored")
    if restored is not None:
        return restored
    switch = switching.begin(situation, "Rollback", target, place)
    return Move("Reconciling", "RollingBack", f"back to step {target.step}", {"rollback": moved, "switch": switch})


def _may_stay(situation: Situation, record: RollbackRecord, target: Checkpoint) -> bool:
    """Whether what is served is no newer than the target anyhow: a rollback must not bring serving forward."""
    serving = situation.status.serving
    if serving is None or record.signal == "Manual":
        return False
    if serving.step is None:
        follow = situation.policy.spec.serving
        return follow is not None and follow.follow == "Manual"
    current = situation.find(serving.step, serving.attempt)
    return current is not None and current.is_good and current.order <= target.order


def _switch(situation: Situation, record: RollbackRecord) -> Move:
    switch = situation.status.switch
    if switch is None:
        # Only a person can have taken it away.
        return _record(record.model_copy(update={"phase": "Restoring"}), "RollingBack", "the switch is begun anew")
    if switch.why == "Revert":
        return _revert(situation, record, switch)
    outcome, move = switching.proceed(situation, switch)
    if outcome == "Available":
        return _count(situation, record, switch)
    if outcome == "Broken":
        changed = {
            "rollback": record.model_copy(update={"phase": "Reverting", "message": move.message}),
            "switch": switching.revert(situation, switch),
        }
        return Move("Reconciling", "Reverting", f"{move.message}; what was served before is put back", changed)
    seen = move.status.get("switch")
    if isinstance(seen, Switch) and seen.patched_at is not None and record.phase == "Switching":
        moved = {**move.status, "rollback": record.model_copy(update={"phase": "RollingOut"})}
        return Move(move.state, move.reason, move.message, moved, look_again=move.look_again)
    return move


def _count(situation: Situation, record: RollbackRecord, switch: Switch) -> Move:
    done = record.model_copy(update={"phase": "Restarting", "completed_at": timestamp(situation.now)})
    changed = {
        "rollback": done,
        "switch": None,
        "serving": switching.served(switch, situation.now),
        "rollbacks": situation.rollbacks + 1,
    }
    return Move("Reconciling", "RolledBack", f"step {switch.step} is served", changed)


def _revert(situation: Situation, record: RollbackRecord, switch: Switch) -> Move:
    marking = mark_failed(situation, switch)
    if marking is not None:
        return marking
    outcome, move = switching.proceed(situation, switch)
    if outcome == "Moving":
        return move
    after = "" if outcome == "Available" else f"; and then {move.message}"
    ended = _end(situation, record, "Failed", f"{record.message}; what was served before was put back{after}")
    return Move(ended.state, ended.reason, ended.message, {**ended.status, "switch": None})


def mark_failed(situation: Situation, switch: Switch) -> Move | None:
    """Quarantine the checkpoint that serving pods did not start with; None where that is done."""
    failed = situation.find(switch.failed_step, switch.failed_attempt)
    if failed is None or failed.quarantined:
        return None
    mark = situation.store.quarantine(situation.observed, failed, names.FAILED_TO_SERVE, None)
    return (
        None if mark is None else Move("Reconciling", "Reverting", f"step {failed.step} is quarantined", apply=(mark,))
    )


def _restart(situation: Situation, record: RollbackRecord) -> Move:
    """Tell the training, and close the record when that is to be seen."""
    run, action = situation.observed.run, situation.policy.spec.rollback.training
    serving = situation.status.serving
    what = f"step {serving.step}" if serving is not None and serving.step else "what was served before any checkpoint"
    begin = f"{record.message}: {what} is served"
    if run is None or run.attempt is None or action == "Ignore":
        return _end(situation, record, "Done", f"{begin}; the training is not touched")
    if run.finished:
        return _end(situation, record, "Done", f"{begin}; the training had finished, only serving went back")
    # Another attempt may have begun meanwhile, and from a checkpoint that is quarantined now.
    # Also where it stops: released by a person, it must not go on from what went wrong.
    marks = {RESTART_FROM_ANNOTATION: str(record.to_step), RESTART_ATTEMPT_ANNOTATION: str(run.attempt)}
    if action == "Stop":
        if run.marked(STOP_ATTEMPT_ANNOTATION) >= (record.attempt or 0):
            return _end(situation, record, "Done", f"{begin}; the training is stopped")
        marks[STOP_ATTEMPT_ANNOTATION] = str(run.attempt)
        words = "the training is being stopped"
    else:
        since = run.annotations.get(RESTART_FROM_ANNOTATION) == str(record.to_step)
        if since and run.marked(RESTART_ATTEMPT_ANNOTATION) >= (record.attempt or 0):
            return _end(situation, record, "Done", f"{begin}; the training goes on from step {record.to_step}")
        words = f"the training is being restarted from step {record.to_step}"
    patch = (run_patch(situation.policy.metadata.namespace, run, marks),)
    return Move("Reconciling", "Restarting", words, patch=patch)


def _record(record: RollbackRecord, reason: str, message: str) -> Move:
    return Move("Reconciling", reason, message, {"rollback": record})


def _end(
    situation: Situation, record: RollbackRecord, phase: Literal["Done", "Failed", "Rejected"], message: str
) -> Move:
    """Move the record to the history."""
    ended = record.model_copy(
        update={
            "phase": phase,
            "message": message,
            "completed_at": record.completed_at or timestamp(situation.now),
        }
    )
    history = [ended, *(former for former in situation.status.history if former.id != ended.id)][:HISTORY]
    return Move("Reconciling", f"Rollback{phase}", message, {"rollback": None, "history": history})
