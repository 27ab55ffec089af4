"""Which checkpoints may go. Only those that could be restored count; what is served or may be needed never goes."""

from __future__ import annotations

from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.plan import ObjectKey

LISTED = 400
"""`maxItems` of `status.checkpoints`."""


def outdated(assessment: Assessment) -> tuple[ObjectKey, ...]:
    """What is to be deleted. Nothing while a rollback is under way; one that waits for a person may wait for long."""
    record = assessment.status.rollback
    if record is not None and record.phase != "AwaitingApproval":
        return ()
    kept = assessment.policy.spec.retention.max
    needed = _needed(assessment)
    good = [checkpoint for checkpoint in assessment.checkpoints if checkpoint.is_good]
    # What went wrong is kept for whoever looks into it, just as long.
    quarantined = [c for c in assessment.checkpoints if c.ready and c.quarantined and not c.deleting]
    surplus = [c for c in (*good[kept:], *quarantined[kept:]) if _key(c) not in needed]
    keys = (assessment.store.discard(assessment.observed, checkpoint) for checkpoint in surplus)
    return tuple(key for key in keys if key is not None)


def listed(assessment: Assessment) -> list[Checkpoint]:
    """What the status shows, newest first. A store without objects has its memory there, so the same rule holds."""
    gone = {key.name for key in outdated(assessment)}
    shown = [checkpoint for checkpoint in assessment.checkpoints if checkpoint.snapshot not in gone]
    if assessment.policy.spec.method == "SubPath":
        needed, kept = _needed(assessment), assessment.policy.spec.retention.max
        shown = [c for number, c in enumerate(shown) if number < kept or _key(c) in needed]
    return shown[:LISTED]


def _needed(assessment: Assessment) -> set[tuple[str, int, int]]:
    """The best, what is served or about to be, and those that a rollback could go back to."""
    status, best = assessment.status, assessment.best
    good = [checkpoint for checkpoint in assessment.checkpoints if checkpoint.is_good]
    # Two more than `steps`: the newest may be from after the onset of a fault that is not confirmed yet.
    needed = [*good[: assessment.policy.spec.rollback.steps + 2], *([best] if best is not None else [])]
    in_use = [
        (record.step, record.attempt, record.training)
        for record in (status.serving, status.switch)
        if record is not None
    ]
    if status.rollback is not None:
        in_use.append((status.rollback.to_step, status.rollback.to_attempt, status.rollback.to_training))
    if status.switch is not None:
        in_use.append((status.switch.failed_step, status.switch.failed_attempt, status.switch.failed_training))
    needed += [c for c in assessment.checkpoints if any(c.is_named(*each) for each in in_use)]
    return set(map(_key, needed))


def _key(checkpoint: Checkpoint) -> tuple[str, int, int]:
    return checkpoint.training, checkpoint.step, checkpoint.attempt
