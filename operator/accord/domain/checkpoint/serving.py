"""What is served: one step towards it, chosen from what is recorded and what is there.

Two lists of checks, for what is to be done and for what is to be said where nothing is.
"""

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
from accord.domain.checks import judged


def advance(assessment: Assessment) -> Move:
    """The next step. A rollback goes before a promotion, and what is begun is brought to its end."""
    return judged(
        assessment,
        (
            _watching,
            _adopting,
            _rolling_back,
            _awaiting_approval,
            faults.begin,
            _promote_on,
            promotions.promote,
        ),
        _at_rest,
    )


def _at_rest(assessment: Assessment) -> Move:
    """Nothing is to be written. Whether a person should know of something is said all the same."""
    return judged(
        assessment,
        (
            _hindered,
            _rollback_failed,
            _unservable,
            _unworkable,
            _kept,
            _set_back,
            _no_checkpoint,
            _waiting,
        ),
        _served,
    )


def _watching(assessment: Assessment) -> Move | None:
    if assessment.policy.spec.serving is not None:
        return None
    return Move("Ready", "Watching", "checkpoints are kept and checked; nothing is served")


def _adopting(assessment: Assessment) -> Move | None:
    """What was there before is the first thing to go back to."""
    if assessment.status.serving is not None:
        return None
    blocked = obstacle(assessment)
    found = switching.adopt(assessment)
    if blocked is not None or found is None:
        return Move("Stalled", *(blocked or ("DeploymentNotFound", "")))
    return Move("Reconciling", "Adopting", "recording what is currently served", {"serving": found})


def _rolling_back(assessment: Assessment) -> Move | None:
    rollback = assessment.status.rollback
    if rollback is None or rollback.phase == "AwaitingApproval":
        return None
    return rollbacks.proceed(assessment, rollback)


def _awaiting_approval(assessment: Assessment) -> Move | None:
    """A rollback waits for a person; a promotion that is under way does not wait for that."""
    if assessment.status.rollback is None:
        return None
    waiting = rollbacks.proceed(assessment, assessment.status.rollback)
    if waiting.status:
        return waiting
    under_way = _promote_on(assessment)
    return waiting if under_way is None or under_way.state == "Ready" else under_way


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


def _hindered(assessment: Assessment) -> Move | None:
    """There is a fault, and something keeps it from being answered."""
    hindrance = faults.hindrance(assessment)
    if hindrance is None:
        return None
    if hindrance.reason != "CoolingDown":
        return Move("Stalled", *hindrance)
    return Move("Ready", *hindrance, look_again=faults.cooling(assessment))


def _rollback_failed(assessment: Assessment) -> Move | None:
    failed = _failed_rollback(assessment)
    return None if failed is None else Move("Stalled", "RollbackFailed", failed)


def _unservable(assessment: Assessment) -> Move | None:
    """What `follow` asks for can never be served."""
    target = promotions.wanted(assessment)
    return Move("Stalled", *target) if target is not None and not isinstance(target, Checkpoint) else None


def _unworkable(assessment: Assessment) -> Move | None:
    """A volume made from it, or from the next one, could not be served."""
    problem = impossible(assessment, _target(assessment))
    return None if problem is None else Move("Stalled", *problem)


def _set_back(assessment: Assessment) -> Move | None:
    target = _target(assessment)
    if target is None or not promotions.is_set_back(assessment, target):
        return None
    return switching.retry_later(assessment)


def _no_checkpoint(assessment: Assessment) -> Move | None:
    serving = assessment.status.serving
    if _target(assessment) is not None or (serving is not None and serving.step is not None):
        return None
    return Move("Ready", "NoCheckpoint", "no checkpoint yet; the Deployment keeps its volume")


def _waiting(assessment: Assessment) -> Move | None:
    left, target = promotions.seconds_left(assessment), _target(assessment)
    if left is None or target is None:
        return None
    message = f"{assessment.what_is_served} is served; step {target.step} follows after spec.serving.minInterval"
    return Move("Ready", "Waiting", message, look_again=left)


def _served(assessment: Assessment) -> Move:
    return Move("Ready", "Serving", f"{assessment.what_is_served} is served")


def _target(assessment: Assessment) -> Checkpoint | None:
    """The checkpoint that `follow` asks for, where there is one that may be served."""
    target = promotions.wanted(assessment)
    return target if isinstance(target, Checkpoint) else None


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
