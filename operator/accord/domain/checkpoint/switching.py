"""From one checkpoint to another: the claim, the Deployment's field, the rollout. Promotion and rollback alike.

The switch is in the status before anything is touched, and what is served changes in the status only when its pods are
available. So each pass can tell from the cluster what is still to be done, and where to go back to.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import Served, Switch
from accord.domain.checkpoint.kept import Checkpoint
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.names import STEP_LABEL
from accord.domain.checkpoint.pointing import deployment_patch, obstacle, points_at
from accord.domain.checkpoint.situation import PUT_BACK_LIMIT, TRUCE, Situation, conflict
from accord.domain.checkpoint.store import Place
from accord.domain.checkpoint.views import DeploymentView
from accord.domain.conditions import timestamp
from accord.domain.training.names import ATTEMPT_LABEL

Outcome = Literal["Moving", "Available", "Broken"]
_LOOK_AGAIN = 5.0
"""Seconds between passes while something is awaited, should its event be lost."""


def begin(situation: Situation, why: Literal["Promotion", "Rollback"], target: Checkpoint, place: Place) -> Switch:
    """The record of a switch that is to begin."""
    return Switch(
        why=why,
        step=target.step,
        attempt=target.attempt,
        claim_name=place.claim_name,
        sub_path=place.sub_path,
        since=timestamp(situation.now),
    )


def stay(situation: Situation, serving: Served) -> Switch:
    """The record of a rollback after which the same is served: the same steps, but nothing changes."""
    return Switch(
        why="Rollback",
        step=serving.step,
        attempt=serving.attempt,
        claim_name=serving.claim_name or "",
        sub_path=serving.sub_path,
        since=timestamp(situation.now),
    )


def revert(situation: Situation, switch: Switch) -> Switch:
    """The record of the way back from a switch whose pods did not become available."""
    former = situation.status.serving or Served()
    return Switch(
        why="Revert",
        step=former.step,
        attempt=former.attempt,
        claim_name=former.claim_name or switch.claim_name,
        sub_path=former.sub_path,
        since=timestamp(situation.now),
        failed_step=switch.step,
        failed_attempt=switch.attempt,
    )


def served(switch: Switch, now: datetime) -> Served:
    """What is served once the switch is done."""
    return Served(
        step=switch.step,
        attempt=switch.attempt,
        claim_name=switch.claim_name,
        sub_path=switch.sub_path,
        since=timestamp(now),
    )


def proceed(situation: Situation, switch: Switch) -> tuple[Outcome, Move]:
    """The next step of a switch that is under way. With Available and Broken the move only says how it ended."""
    deployment = situation.observed.deployment
    blocked = obstacle(situation)
    if blocked is not None or deployment is None:
        return "Moving", Move("Stalled", *(blocked or ("DeploymentNotFound", "")))
    words = _words(switch)
    place = Place(switch.claim_name, switch.sub_path)
    restored = restore(situation, switch.step, switch.attempt, place, f"{words}: its claim is being made")
    if restored is not None:
        return "Moving", restored
    if not points_at(situation, deployment, place, switch.step):
        return "Moving", point(
            situation, deployment, place, switch.step, again=switch.patched_at is not None, words=words
        )
    if switch.patched_at is None:
        seen = switch.model_copy(update={"patched_at": timestamp(situation.now)})
        message = f"{words}: {deployment.progress}"
        return "Moving", Move("Reconciling", "RollingOut", message, {"switch": seen}, look_again=_LOOK_AGAIN)
    if deployment.is_rolled_out:
        return "Available", Move("Reconciling", "Available", words)
    left = situation.seconds_until(switch.patched_at, deployment.deadline)
    unbound = situation.observed.claims.get(switch.claim_name)
    hint = f"; claim {unbound.name} is not bound yet" if unbound is not None and not unbound.bound else ""
    if deployment.stuck is not None or left <= 0:
        why = deployment.stuck or "the pods were not available in time"
        return "Broken", Move("Reconciling", "RolloutFailed", f"{words} failed: {why}{hint}")
    message = f"{words}: {deployment.progress}{hint}"
    return "Moving", Move("Reconciling", "RollingOut", message, look_again=min(left, _LOOK_AGAIN))


def keep(situation: Situation) -> Move | None:
    """Nothing is under way: put back what somebody has changed. None where all is as it was recorded."""
    serving, deployment = situation.status.serving, situation.observed.deployment
    blocked = obstacle(situation)
    if blocked is not None:
        return Move("Stalled", *blocked)
    if deployment is None or serving is None or situation.policy.spec.serving is None:
        return None
    adopted = adopt(situation)
    if serving.step is None:
        # Nothing of ours yet: what is there is the user's choice, and may change.
        same = adopted is None or (adopted.claim_name, adopted.sub_path) == (serving.claim_name, serving.sub_path)
        return None if same else Move("Reconciling", "Adopting", "takes down what is served", {"serving": adopted})
    place = Place(serving.claim_name or "", serving.sub_path)
    words = f"serving of step {serving.step}"
    restored = restore(situation, serving.step, serving.attempt, place, f"{words}: its claim is gone and is made anew")
    if restored is not None:
        return restored
    if points_at(situation, deployment, place, serving.step):
        return None
    return point(situation, deployment, place, serving.step, again=True, words=words)


def adopt(situation: Situation) -> Served | None:
    """What the Deployment serves, as far as the cluster tells: its claim's labels say which checkpoint it holds."""
    serving, deployment = situation.policy.spec.serving, situation.observed.deployment
    if serving is None or deployment is None:
        return None
    mounted = deployment.mounted(serving.volume)
    if situation.policy.spec.method == "SubPath":
        known = (
            next((c for c in situation.checkpoints if c.step == deployment.step), None) if mounted.sub_path else None
        )
        step = deployment.step if mounted.sub_path else None
        return Served(
            step=step or None,
            attempt=known.attempt if known is not None else None,
            claim_name=mounted.claim_name,
            sub_path=mounted.sub_path,
            since=timestamp(situation.now),
        )
    claim = situation.observed.claims.get(mounted.claim_name or "")
    return Served(
        step=claim.number(STEP_LABEL) if claim is not None else None,
        attempt=claim.number(ATTEMPT_LABEL) if claim is not None else None,
        claim_name=mounted.claim_name,
        since=timestamp(situation.now),
    )


def restore(situation: Situation, step: int | None, attempt: int | None, place: Place, words: str) -> Move | None:
    """Make the claim where it is not there; None where nothing is to be made."""
    if place.sub_path is not None:
        return None
    live = situation.observed.claims.get(place.claim_name)
    if live is not None and not live.deleting:
        return None
    for checkpoint in situation.checkpoints:
        wanted = situation.store.place(situation.observed, checkpoint)
        if checkpoint.identity != (step, attempt) or wanted.claim_name != place.claim_name or wanted.manifest is None:
            continue
        if live is not None or not checkpoint.ready:
            # It must go first: nothing can be made under its name.
            return Move("Reconciling", "Restoring", words, look_again=_LOOK_AGAIN)
        return Move("Reconciling", "Restoring", words, apply=(wanted.manifest,), look_again=_LOOK_AGAIN)
    # A claim of the user's own, or one whose snapshot is gone: the rollout tells whether it is there.
    return None


def point(
    situation: Situation, deployment: DeploymentView, place: Place, step: int | None, *, again: bool, words: str
) -> Move:
    """Set the field. `again`: it was so before, and somebody else has changed it; who insists has his way."""
    insists = conflict(situation)
    if insists is not None:
        return Move("Stalled", *insists, look_again=situation.seconds_until(situation.status.put_back[-1], TRUCE))
    patch = (deployment_patch(situation, deployment, place, step),)
    if not again:
        return Move("Reconciling", "Switching", f"{words}: Deployment {deployment.name} is being changed", patch=patch)
    times = [*situation.status.put_back, timestamp(situation.now)][-PUT_BACK_LIMIT:]
    who = deployment.managers.get(situation.policy.spec.serving.volume if situation.policy.spec.serving else "")
    message = f"{words}: Deployment {deployment.name} was changed by {who or 'somebody else'} and is put back"
    return Move("Reconciling", "PuttingBack", message, {"put_back": times}, patch=patch)


def _words(switch: Switch) -> str:
    what = f"step {switch.step}" if switch.step else "what was served before any checkpoint"
    return {"Promotion": "promotion of", "Rollback": "rollback to", "Revert": "return to"}[switch.why] + f" {what}"
