"""What is served: one step towards it, chosen from what is recorded and what is there."""

from __future__ import annotations

from typing import Any

from accord.api.v1alpha1.checkpointpolicy import Switch
from accord.domain.checkpoint import faults, promotions, rollbacks, switching
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.names import training_of
from accord.domain.checkpoint.patches import impossible, obstacle, points_at
from accord.domain.checkpoint.store import Place, Problem


def advance(assessment: Assessment) -> Move:
    """The next step. A rollback goes before a promotion, and what is begun is brought to its end."""
    status, serving = assessment.status, assessment.policy.spec.serving
    if serving is None:
        return Move("Ready", "Watching", "checkpoints are kept and checked; nothing is served")
    if status.serving is None:
        return _adopt(assessment)
    if status.rollback is not None and status.rollback.phase != "AwaitingApproval":
        return rollbacks.proceed(assessment, status.rollback)
    if status.rollback is not None:
        waiting = rollbacks.proceed(assessment, status.rollback)
        if waiting.status:
            return waiting
        under_way = _promote_on(assessment)
        return waiting if under_way is None or under_way.state == "Ready" else under_way
    begun = faults.begin(assessment)
    if begun is not None:
        return begun
    under_way = _promote_on(assessment)
    if under_way is not None:
        return under_way
    return promotions.promote(assessment) or _at_rest(assessment)


def _adopt(assessment: Assessment) -> Move:
    """What was there before is the first thing to go back to."""
    blocked = obstacle(assessment)
    found = switching.adopt(assessment)
    if blocked is not None or found is None:
        return Move("Stalled", *(blocked or ("DeploymentNotFound", "")))
    return Move("Reconciling", "Adopting", "recording what is currently served", {"serving": found})


def _promote_on(assessment: Assessment) -> Move | None:
    """Carry on a promotion or the way back from one, or put back what somebody has changed."""
    switch = assessment.status.switch
    if switch is None:
        return switching.keep(assessment)
    if switch.why == "Promotion" and (problem := promotions.held(assessment)) is not None:
        return _withdrawn(assessment, switch, problem)
    chosen = promotions.chosen_instead(assessment, switch)
    if chosen is not None:
        return chosen
    outcome, move = switching.proceed(assessment, switch)
    if outcome == "Moving":
        return move
    if switch.why == "Revert":
        return _returned(assessment, switch, outcome, move)
    if outcome == "Available":
        return _arrived(assessment, switch)
    changed: dict[str, Any] = {"switch": switching.revert(assessment, switch, move.message, blamed=outcome == "Broken")}
    if outcome != "Broken":
        changed["setback"] = switching.set_back(assessment, switch, outcome, move)
    return Move("Reconciling", "Reverting", f"{move.message}; reverting serving", changed)


def _withdrawn(assessment: Assessment, switch: Switch, problem: Problem) -> Move:
    """A check has found something while a promotion waits: for room, a quota, a volume. It would go on when that is
    there, however long after. The checkpoint is blamed for nothing: after a check that passes it is promoted anew.
    """
    deployment, place = assessment.observed.deployment, Place(switch.claim_name, switch.sub_path)
    # The record says that the Deployment was changed only in the pass after the one that did it.
    touched = switch.patched_at is not None or (
        deployment is not None and points_at(assessment, deployment, place, switch.step)
    )
    former = switching.revert(assessment, switch, problem.message, blamed=False) if touched else None
    message = f"{problem.message}; promotion of step {switch.step} is withdrawn"
    return Move("Reconciling", problem.reason, message, {"switch": former})


def _arrived(assessment: Assessment, switch: Switch) -> Move:
    changed = {"switch": None, "serving": switching.served(switch, assessment.now), "setback": None}
    return Move("Reconciling", "Promoted", f"step {switch.step} is served", changed)


def _returned(assessment: Assessment, switch: Switch, outcome: switching.Outcome, move: Move) -> Move:
    """The end of the way back. There is nothing else to go back to; the Deployment itself says what is wrong."""
    if outcome == "Available":
        words = "serving was reverted"
        return rollbacks.mark_failed(assessment, switch) or Move("Reconciling", "Promoted", words, {"switch": None})
    changed = {"switch": None, "setback": switching.acquit(assessment, switch, move)}
    return Move("Reconciling", move.reason, move.message, changed)


def _at_rest(assessment: Assessment) -> Move:
    """Nothing is to be written. Whether a person should know of something is said all the same."""
    hindrance = faults.hindrance(assessment)
    if hindrance is not None and hindrance.reason != "CoolingDown":
        return Move("Stalled", *hindrance)
    if hindrance is not None:
        return Move("Ready", *hindrance, look_again=faults.cooling(assessment))
    failed = _failed_rollback(assessment)
    if failed is not None:
        return Move("Stalled", "RollbackFailed", failed)
    target, serving = promotions.wanted(assessment), assessment.status.serving
    if target is not None and not isinstance(target, Checkpoint):
        return Move("Stalled", *target)
    unworkable = impossible(assessment, target)
    if unworkable is not None:
        return Move("Stalled", *unworkable)
    kept = _kept(assessment)
    if kept is not None:
        return kept
    if isinstance(target, Checkpoint) and promotions.is_set_back(assessment, target):
        return switching.retry_later(assessment)
    step = serving.step if serving is not None else None
    if target is None and step is None:
        return Move("Ready", "NoCheckpoint", "no checkpoint yet; the Deployment keeps its volume")
    left = promotions.seconds_left(assessment)
    if left is not None and target is not None:
        message = f"{assessment.what_is_served} is served; step {target.step} follows after spec.serving.minInterval"
        return Move("Ready", "Waiting", message, look_again=left)
    return Move("Ready", "Serving", f"{assessment.what_is_served} is served")


def _kept(assessment: Assessment) -> Move | None:
    """What is served stays, although there is a checkpoint to be promoted."""
    kept = promotions.kept(assessment)
    if kept is None:
        return None
    # A check that says the same as one that is too old by now is told to nobody.
    checked = assessment.policy.spec.detection.interval.total_seconds()
    return Move("Ready", *kept, look_again=checked if kept == promotions.unknown(assessment) else None)


def _failed_rollback(assessment: Assessment) -> str | None:
    """The newest rollback failed, and the training that it was about goes on as it was."""
    newest = next(iter(assessment.status.history), None)
    if newest is None or newest.phase != "Failed" or newest.attempt != assessment.attempt:
        return None
    if training_of(newest.id) != assessment.training:
        return None
    return f"{newest.message}. Set spec.rollbackTo to another step, or fix the training"
