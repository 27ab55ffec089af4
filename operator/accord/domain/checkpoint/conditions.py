"""What is said about a policy: its conditions."""

from __future__ import annotations

from accord.api.v1alpha1.checkpointpolicy import Serving
from accord.domain.checkpoint import checks, promotions
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.patches import remark
from accord.domain.checkpoint.snapshots import Capture
from accord.domain.checkpoint.store import Problem
from accord.domain.conditions import Wanted

_UNWORKABLE = frozenset({"SnapshotsUnavailable", "VolumeNotShared", "DeploymentTaken", "NoStorageClass", "OnePodOnly"})
"""Reasons that a spec cannot be followed, whatever happens."""


def conditions(
    assessment: Assessment, move: Move, capture: Capture, refused: Problem | None, unchecked: Problem | None = None
) -> tuple[Wanted, ...]:
    """All conditions, kstatus first. `refused` is why nothing is done, `unchecked` why nothing can be protected."""
    state, reason, message = move.state, move.reason, move.message
    if refused is not None:
        state, (reason, message) = "Stalled", refused
    elif assessment.policy.spec.suspend:
        state, reason, message = "Ready", "Suspended", "spec.suspend is true: nothing changes"
    elif state == "Ready" and capture.told is not None and capture.told.status == "False" and not capture.slow:
        state, reason, message = "Stalled", capture.told.reason, capture.told.message
    elif state == "Ready" and unchecked is not None:
        state, (reason, message) = "Stalled", unchecked
    ready = Wanted("Ready", "True" if state == "Ready" else "False", reason, message)
    kstatus = (ready,) if state == "Ready" else (ready, Wanted(state, "True", reason, message))
    said = (
        _accepted(assessment, refused or _unworkable(move)),
        checks.healthy(assessment),
        _promoted(assessment, move),
        capture.told if refused is None else None,
        _rolled_back(assessment, move),
    )
    return (*kstatus, *(condition for condition in said if condition is not None))


def _unworkable(move: Move) -> Problem | None:
    return Problem(move.reason, move.message) if move.state == "Stalled" else None


def _accepted(assessment: Assessment, refused: Problem | None) -> Wanted:
    if refused is not None and refused.reason in _UNWORKABLE:
        return Wanted("Accepted", "False", *refused)
    said = remark(assessment)
    return Wanted("Accepted", "True", "Accepted", "spec accepted" if said is None else f"spec accepted; {said}")


def _promoted(assessment: Assessment, move: Move) -> Wanted | None:
    follow = assessment.policy.spec.serving
    if follow is None:
        return None
    if move.state == "Reconciling":
        return Wanted("Promoted", "False", move.reason, move.message)
    target = promotions.wanted(assessment)
    if isinstance(target, Problem):
        return Wanted("Promoted", "False", *target)
    if target is None:
        return _without_target(assessment, follow)
    if isinstance(target, Checkpoint) and promotions.is_served(assessment, target):
        return Wanted("Promoted", "True", "Served", f"{assessment.what_is_served} is served: follow {follow.follow}")
    kept = promotions.kept(assessment)
    if kept is not None:
        return Wanted("Promoted", "False", *kept)
    if move.state == "Stalled":
        return Wanted("Promoted", "False", move.reason, move.message)
    return Wanted("Promoted", "False", "Waiting", f"step {target.step} follows after spec.serving.minInterval")


def _without_target(assessment: Assessment, follow: Serving) -> Wanted:
    """Nothing is to be promoted: no checkpoint of this training, or no step that a person has named."""
    serving = assessment.status.serving
    if serving is None or serving.step is None:
        return Wanted("Promoted", "False", "NoCheckpoint", "no checkpoint yet")
    if follow.follow == "Manual":
        return Wanted("Promoted", "True", "Kept", f"{assessment.what_is_served} is served")
    words = f"{assessment.what_is_served} is served; this training has no checkpoint yet"
    return Wanted("Promoted", "False", "NoCheckpoint", words)


def _rolled_back(assessment: Assessment, move: Move) -> Wanted | None:
    """Whether a rollback is the last thing that happened to this training, with this move."""
    record = move.status.get("rollback", assessment.status.rollback)
    if record is not None:
        reason = record.phase if record.phase in ("AwaitingApproval", "Retrying") else "RollingBack"
        return Wanted("RolledBack", "False", reason, f"{record.signal}: rolling back to step {record.to_step}")
    last = next(iter(move.status.get("history", assessment.status.history)), None)
    if last is None:
        return None
    return Wanted(
        "RolledBack", "True" if last.phase == "Done" else "False", f"Rollback{last.phase}", last.message or ""
    )
