"""Events: what changed from the recorded status to the next one, once, in sentences for a person."""

from __future__ import annotations

from collections.abc import Iterator

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicyStatus, RollbackRecord
from accord.domain.checkpoint.detection.signals import SUSPECTED
from accord.domain.conditions import find
from accord.domain.plan import Event

_UNREMARKABLE = frozenset({"AwaitingApproval", "RollbackFailed"})
"""Reasons of `Stalled` that have events of their own."""


def transitions(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> tuple[Event, ...]:
    """Everything that happened between two statuses of one policy."""
    return (
        *_rollbacks(before, after),
        *_served(before, after),
        *_switches(before, after),
        *_put_back(before, after),
        *_snapshots(before, after),
        *_health(before, after),
        *_stalled(before, after),
    )


def _rollbacks(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Event]:
    old, new = before.rollback, after.rollback
    if new is not None and (old is None or old.id != new.id):
        if new.phase == "AwaitingApproval":
            yield Event("Warning", "RollbackAwaitsApproval", f"{new.message}; would roll back to step {new.to_step}")
        else:
            yield Event("Warning", "RollbackStarted", f"{new.message}; {_way(new)}")
    if old is not None and new is not None and old.id == new.id and old.phase != new.phase:
        if new.phase == "Reverting":
            why = after.switch.message if after.switch is not None else None
            yield Event("Warning", "RollbackReverting", why or "the target could not be served")
        elif new.phase == "Retrying":
            why = after.setback.message if after.setback is not None else "the target was not served"
            yield Event("Warning", "RollbackRetrying", f"retrying the rollback: {why}")
        elif old.phase == "AwaitingApproval":
            yield Event("Normal", "RollbackApproved", _way(new))
    known = {record.id: record.phase for record in before.history}
    for record in after.history:
        if known.get(record.id) != record.phase:
            note = record.message or _way(record)
            yield Event("Warning" if record.phase == "Failed" else "Normal", f"Rollback{record.phase}", note)


def _way(record: RollbackRecord) -> str:
    if record.from_step is None or record.to_step is None or record.from_step <= record.to_step:
        # What is served is older than the target, or no checkpoint at all.
        return f"the target is step {record.to_step}"
    return f"from step {record.from_step} back to step {record.to_step}"


def _served(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Event]:
    old, new = before.serving, after.serving
    if new is None or old is None or (old.step, old.attempt, old.claim_name) == (new.step, new.attempt, new.claim_name):
        return
    if before.switch is not None and before.switch.why == "Promotion" and after.switch is None:
        yield Event("Normal", "Promoted", f"step {new.step} is served")


def _switches(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Event]:
    old, new = before.switch, after.switch
    ready = find(after.conditions, "Ready")
    waits = new.waiting if new is not None else None
    if waits is not None and ready is not None and (old is None or old.waiting != waits):
        yield Event("Warning", ready.reason, ready.message)
    if old is None or new is None or old.why != "Promotion" or new.why != "Revert":
        return
    if ready is not None and ready.reason == "Held":
        yield Event("Warning", "PromotionWithdrawn", ready.message)
        return
    why = f": {ready.message}" if ready is not None else ""
    what = "could not be served" if new.failed_step is not None else "could not be served yet, retrying"
    yield Event("Warning", "PromotionFailed", f"step {old.step} {what}{why}")


def _put_back(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Event]:
    if after.put_back and after.put_back != before.put_back:
        ready = find(after.conditions, "Ready")
        yield Event(
            "Warning", "PutBack", ready.message if ready is not None else "the change to the Deployment was reverted"
        )


def _snapshots(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Event]:
    old, new = before.snapshot_failure, after.snapshot_failure
    if new is not None and (old is None or (old.step, old.attempt, old.count) != (new.step, new.attempt, new.count)):
        yield Event("Warning", "SnapshotFailed", f"gave up the snapshot of step {new.step}: {new.message}")
    was, said = find(before.conditions, "Snapshotted"), find(after.conditions, "Snapshotted")
    if said is not None and said.reason == "SnapshotSlow" and (was is None or was.reason != said.reason):
        yield Event("Warning", said.reason, said.message)


def _health(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Event]:
    old, new = find(before.conditions, "Healthy"), find(after.conditions, "Healthy")
    if new is None or (old is not None and old.reason == new.reason):
        return
    if new.status == "False" or new.reason in SUSPECTED.values():
        yield Event("Warning", new.reason, new.message)


def _stalled(before: CheckpointPolicyStatus, after: CheckpointPolicyStatus) -> Iterator[Event]:
    old, new = find(before.conditions, "Stalled"), find(after.conditions, "Stalled")
    if new is not None and new.reason not in _UNREMARKABLE and (old is None or old.reason != new.reason):
        yield Event("Warning", new.reason, new.message)
