"""A snapshot of every checkpoint that the trainer commits, and what becomes of those that fail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import Setback, SnapshotFailure
from accord.domain import refusals
from accord.domain.checkpoint import names
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.reading import Saved
from accord.domain.checkpoint.views import ClaimView
from accord.domain.conditions import Wanted, timestamp
from accord.domain.plan import ObjectKey
from accord.domain.training.names import ATTEMPT_LABEL
from accord.domain.words import NO_REASON

_ERROR_PATIENCE = timedelta(minutes=1)
"""The snapshot-controller tries again by itself after an error."""
_STILL_AT_WORK = ("deadlineexceeded", "deadline exceeded", "code = aborted")
"""In the error of a driver that is still making the snapshot (gRPC codes of the CSI specification)."""
_FIRST_RETRY, _LAST_RETRY = timedelta(seconds=15), timedelta(minutes=10)


@dataclass(frozen=True)
class Capture:
    """What is to be done about snapshots."""

    apply: tuple[Manifest, ...] = ()
    delete: tuple[ObjectKey, ...] = ()
    failure: SnapshotFailure | None = None
    """For the status."""
    told: Wanted | None = None
    slow: bool = False
    """Whether what is told is a warning only: there is nothing to do but wait."""
    look_again: float | None = None


def capture(assessment: Assessment) -> Capture:
    """Make the snapshot that is missing, give up those that will not be."""
    failed = [c for c in assessment.checkpoints if _is_failed(assessment, c)]
    given_up = tuple(key for c in failed if (key := assessment.store.discard(assessment.observed, c)) is not None)
    failure = assessment.status.snapshot_failure
    for checkpoint in failed:
        failure = _count(assessment, failure, checkpoint)
    missing = _missing(assessment)
    if failure is not None and not failed and _is_over(assessment, failure, missing):
        failure = None
    wait = _retry_in(assessment, failure)
    pending = [c for c in assessment.checkpoints if not c.ready and not c.deleting and c not in failed]
    apply: tuple[Manifest, ...] = ()
    # One at a time: a driver that is slow is not made faster by more, and the newest checkpoint is still there then.
    busy = any(c.source == assessment.observed.source_name for c in pending)
    if missing is not None and not failed and not busy and wait <= 0:
        passed = passed_over(assessment) + _passed_since(assessment, missing)
        made = assessment.store.capture(assessment.observed, assessment.training, assessment.attempt, missing, passed)
        apply = (made,) if made is not None else ()
    due = [left for c in pending if (left := _left(assessment, c)) is not None]
    warned = [_until_warned(assessment, c) for c in pending]
    waits = [each for each in (*due, *warned, wait) if each > 0]
    told = _condition(assessment, failure, pending)
    slow = told is not None and told.reason == "SnapshotSlow"
    return Capture(apply, given_up, failure, told, slow, min(waits, default=None))


def _missing(assessment: Assessment) -> Saved | None:
    """The newest checkpoint that the trainer reports, where it has no snapshot. Older ones cannot be told apart in the
    volume any more.
    """
    reading, record = assessment.reading, assessment.status.rollback
    if reading is None or (record is not None and record.phase != "AwaitingApproval"):
        return None
    # A trainer that has saved nothing yet reports step 0.
    newest = max((saved for saved in reading.saved if saved.step > 0), key=lambda saved: saved.step, default=None)
    if newest is None:
        return None
    if _is_of_earlier(assessment, newest):
        return None
    for checkpoint in assessment.own:
        if checkpoint.step != newest.step:
            continue
        # A trainer that went on from a checkpoint reports it at first as its own.
        if checkpoint.attempt == assessment.attempt or checkpoint.is_good:
            return None
    return newest if assessment.observed.source_name is not None else None


def _is_of_earlier(assessment: Assessment, newest: Saved) -> bool:
    """Whether it is a checkpoint of an earlier training on that volume: a trainer that goes on from one reports it at
    first as its own. This training has saved none yet, and nothing but that step was reported.
    """
    reading, serving = assessment.reading, assessment.status.serving
    if newest.number is not None:
        # The trainer counts what it has committed itself.
        return newest.number == 0 and not assessment.own
    if assessment.own or reading is None or any(saved.step != newest.step for saved in reading.saved):
        return False
    served = serving is not None and serving.step == newest.step and assessment.served_training != assessment.training
    return served or any(checkpoint.step == newest.step for checkpoint in assessment.checkpoints)


def passed_over(assessment: Assessment) -> int:
    """How many checkpoints of this training have no snapshot, as a newer one was saved before theirs could be taken.
    The newest snapshot says it, so that nobody has to remember it.
    """
    return next((checkpoint.passed_over for checkpoint in assessment.own), 0)


def _passed_since(assessment: Assessment, newest: Saved) -> int:
    """How many were committed between the newest snapshot and this checkpoint: by the trainer's own count where it has
    one, else those that Prometheus has shown.
    """
    before, reading = next(iter(assessment.own), None), assessment.reading
    same = before is not None and before.attempt == assessment.attempt
    if newest.number is not None:
        counted = before.saves if same and before is not None else None
        # A process that was started anew counts from 0.
        since = counted if counted is not None and counted < newest.number else 0
        return max(newest.number - since - 1, 0)
    begin = before.step if same and before is not None else 0
    return sum(begin < saved.step < newest.step for saved in (reading.saved if reading is not None else ()))


def _is_over(assessment: Assessment, failure: SnapshotFailure, missing: Saved | None) -> bool:
    """Whether another training goes on now, a later checkpoint has taken its place, or it has a snapshot after all."""
    if failure.training not in (None, assessment.training):
        return True
    if missing is not None:
        return (missing.step, assessment.attempt) != (failure.step, failure.attempt)
    since = (failure.attempt, failure.step)
    return any(c.ready and (c.attempt, c.step) >= since for c in assessment.own)


def _is_failed(assessment: Assessment, checkpoint: Checkpoint) -> bool:
    left = _left(assessment, checkpoint)
    return not checkpoint.ready and not checkpoint.deleting and left is not None and left <= 0


def _left(assessment: Assessment, checkpoint: Checkpoint) -> float | None:
    """Seconds until a snapshot is given up; None while the driver reports no error. A large volume takes its time."""
    if checkpoint.error is None or any(words in checkpoint.error.lower() for words in _STILL_AT_WORK):
        return None
    return ((checkpoint.error_at or checkpoint.created) + _ERROR_PATIENCE - assessment.now).total_seconds()


def _until_warned(assessment: Assessment, checkpoint: Checkpoint) -> float:
    return (checkpoint.created + assessment.policy.spec.snapshot_warn_after - assessment.now).total_seconds()


def _count(assessment: Assessment, before: SnapshotFailure | None, checkpoint: Checkpoint) -> SnapshotFailure:
    same = before is not None and checkpoint.is_named(before.step, before.attempt, before.training)
    return SnapshotFailure(
        step=checkpoint.step,
        attempt=checkpoint.attempt,
        training=checkpoint.training,
        count=before.count + 1 if same and before is not None else 1,
        at=timestamp(assessment.now),
        message=checkpoint.error or NO_REASON,
    )


def _retry_in(assessment: Assessment, failure: SnapshotFailure | None) -> float:
    if failure is None:
        return 0.0
    delay = min(_FIRST_RETRY * 2.0 ** min(failure.count - 1, 10), _LAST_RETRY)
    return assessment.seconds_until(failure.at, delay)


def _condition(assessment: Assessment, failure: SnapshotFailure | None, pending: list[Checkpoint]) -> Wanted | None:
    if assessment.policy.spec.method != "VolumeSnapshot":
        return None
    for key, refusal in assessment.observed.refusals.items():
        if key.kind == "VolumeSnapshot":
            return Wanted("Snapshotted", "False", refusals.reason(refusal), refusals.sentence(key, refusal))
    if failure is not None:
        message = f"snapshot of step {failure.step} failed, retrying: {failure.message}"
        return Wanted("Snapshotted", "False", "SnapshotFailed", message)
    in_error = next((c for c in pending if c.error is not None), None)
    if in_error is not None:
        return Wanted("Snapshotted", "False", "SnapshotError", f"snapshot {in_error.snapshot}: {in_error.error}")
    if assessment.observed.source_name is None or assessment.observed.source_claim is None:
        name = assessment.observed.source_name
        what = (
            f"PersistentVolumeClaim {name} with the checkpoints not found"
            if name
            else "the TrainingRun has no PersistentVolumeClaim yet"
        )
        return Wanted("Snapshotted", "Unknown", "NoVolume", what)
    if not assessment.checkpoints:
        return Wanted("Snapshotted", "Unknown", "NoCheckpoint", "no checkpoint reported yet")
    slow = next((c for c in pending if _until_warned(assessment, c) <= 0), None)
    if slow is not None:
        message = (
            f"snapshot {slow.snapshot} is not ready after spec.snapshotWarnAfter. Still waiting, as the driver reports "
            "no error: check the snapshot-controller and the CSI driver"
        )
        return Wanted("Snapshotted", "False", "SnapshotSlow", message)
    if pending:
        return Wanted("Snapshotted", "True", "Pending", "snapshot in progress")
    return _all_ready(assessment)


def _all_ready(assessment: Assessment) -> Wanted:
    own = assessment.own
    if not own:
        return Wanted("Snapshotted", "Unknown", "NoCheckpoint", "this training has saved no checkpoint yet")
    passed = passed_over(assessment)
    if not passed:
        return Wanted("Snapshotted", "True", "Ready", "every reported checkpoint has a snapshot")
    message = (
        f"the newest snapshot is of step {own[0].step}; {passed} checkpoints of this training have none: a newer one "
        "was saved before theirs could be taken (one at a time, and not more often than spec.detection.interval)"
    )
    return Wanted("Snapshotted", "True", "PassedOver", message)


def unused_claims(assessment: Assessment) -> tuple[ObjectKey, ...]:
    """Claims made from snapshots that nothing needs any more: no Deployment names them, and nothing is under way."""
    status, observed = assessment.status, assessment.observed
    if status.switch is not None or status.rollback is not None or status.serving is None:
        return ()
    if observed.deployment is None or not observed.deployment.is_rolled_out:
        return ()
    return tuple(
        ObjectKey("v1", "PersistentVolumeClaim", assessment.policy.metadata.namespace, claim.name)
        for claim in observed.claims.values()
        if claim.name != status.serving.claim_name
        and claim.name not in observed.mounted
        and not claim.deleting
        and names.STEP_LABEL in claim.labels
        # A volume that takes long to be made may be there at the next try.
        and not _is_tried_again(status.setback, claim)
    )


def _is_tried_again(setback: Setback | None, claim: ClaimView) -> bool:
    """Whether the claim holds what was set back."""
    if setback is None or setback.training not in (None, claim.labels.get(names.TRAINING_LABEL)):
        return False
    return (claim.number(names.STEP_LABEL), claim.number(ATTEMPT_LABEL)) == (setback.step, setback.attempt)
