"""From one checkpoint to another: the claim, the Deployment's field, the rollout. Promotion and rollback alike.

The switch is in the status before anything is touched, and what is served changes in the status only when its pods are
available. So each pass can tell from the cluster what is still to be done, and where to go back to.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import Served, Setback, Switch
from accord.domain.checkpoint import names
from accord.domain.checkpoint.assessment import PUT_BACK_LIMIT, TRUCE, Assessment, conflict
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.move import Move
from accord.domain.checkpoint.names import STEP_LABEL, TRAINING_LABEL
from accord.domain.checkpoint.patches import deployment_patch, impossible, obstacle, points_at
from accord.domain.checkpoint.pods import newest
from accord.domain.checkpoint.rollout import Cause, Finding, examine, limit
from accord.domain.checkpoint.store import Place
from accord.domain.checkpoint.views import DeploymentView
from accord.domain.conditions import parse_timestamp, timestamp
from accord.domain.training.names import ATTEMPT_LABEL

Outcome = Literal["Moving", "Available", "Broken", "Hindered", "Unready"]
"""`Broken`: the checkpoint does not start. `Hindered`: something else was in the way for too long. `Unready`: one pod
ran with it and was not ready in time, which may be chance.
"""
_LOOK_AGAIN = 5.0
"""Seconds between passes while something is awaited, should its event be lost. Pods are looked at as often."""
_STARTING = timedelta(seconds=30)
"""Until then nothing is said of pods that come up."""
_CLAIM_FIELDS = ("accessModes", "dataSource", "resources", "storageClassName", "volumeMode")
_FIRST_RETRY, _LAST_RETRY = timedelta(seconds=30), timedelta(minutes=10)


def begin(assessment: Assessment, why: Literal["Promotion", "Rollback"], target: Checkpoint, place: Place) -> Switch:
    """The record of a switch that is to begin."""
    return Switch(
        why=why,
        step=target.step,
        attempt=target.attempt,
        training=target.training,
        claim_name=place.claim_name,
        sub_path=place.sub_path,
        since=timestamp(assessment.now),
    )


def stay(assessment: Assessment, serving: Served) -> Switch:
    """The record of a rollback after which the same is served: the same steps, but nothing changes."""
    return Switch(
        why="Rollback",
        step=serving.step,
        attempt=serving.attempt,
        training=serving.training,
        claim_name=serving.claim_name or "",
        sub_path=serving.sub_path,
        since=timestamp(assessment.now),
    )


def revert(assessment: Assessment, switch: Switch, why: str, *, blamed: bool) -> Switch:
    """The record of the way back from a switch whose pods did not become available. `blamed`: for the checkpoint's
    own fault.
    """
    former = assessment.status.serving or Served()
    return Switch(
        why="Revert",
        step=former.step,
        attempt=former.attempt,
        training=former.training,
        claim_name=former.claim_name or switch.claim_name,
        sub_path=former.sub_path,
        since=timestamp(assessment.now),
        failed_step=switch.step if blamed else None,
        failed_attempt=switch.attempt if blamed else None,
        failed_training=switch.training if blamed else None,
        message=why,
    )


def set_back(assessment: Assessment, switch: Switch, outcome: Outcome, move: Move) -> Setback:
    """The record of a try that ended without blame, counted."""
    before = assessment.status.setback
    return Setback(
        step=switch.step,
        attempt=switch.attempt,
        training=switch.training,
        reason=move.reason,
        message=move.message,
        count=before.count + 1 if before is not None else 1,
        unready=_unready_before(before, switch) + (1 if outcome == "Unready" else 0),
        at=timestamp(assessment.now),
    )


def acquit(assessment: Assessment, switch: Switch, move: Move) -> Setback:
    """The record of a way back that led nowhere: pods do not start with what was served before either, so that nothing
    is held against the checkpoint that was to be served.
    """
    before = assessment.status.setback
    if switch.failed_step is None and before is not None:
        return before
    return Setback(
        step=switch.failed_step,
        attempt=switch.failed_attempt,
        training=switch.failed_training,
        reason=move.reason,
        message=move.message,
        count=before.count + 1 if before is not None else 1,
        at=timestamp(assessment.now),
    )


def seconds_to_retry(assessment: Assessment) -> float:
    """Seconds until what was set back is tried again: 30 s at first, at most 10 minutes. 0 where nothing was."""
    setback = assessment.status.setback
    if setback is None:
        return 0.0
    return assessment.seconds_until(setback.at, min(_FIRST_RETRY * 2.0 ** min(setback.count - 1, 10), _LAST_RETRY))


def retry_later(assessment: Assessment) -> Move:
    """What was set back waits for its next try; a person may mend the cause meanwhile."""
    setback = assessment.status.setback
    if setback is None:
        return Move("Ready", "Serving", "")
    message = f"{setback.message}; serving was reverted, will retry"
    return Move("Stalled", setback.reason, message, look_again=seconds_to_retry(assessment))


def served(switch: Switch, now: datetime) -> Served:
    """What is served once the switch is done."""
    return Served(
        step=switch.step,
        attempt=switch.attempt,
        training=switch.training,
        claim_name=switch.claim_name,
        sub_path=switch.sub_path,
        since=timestamp(now),
    )


def proceed(assessment: Assessment, switch: Switch) -> tuple[Outcome, Move]:
    """The next step of a switch that is under way. With Available and Broken the move only says how it ended."""
    deployment = assessment.observed.deployment
    blocked = obstacle(assessment)
    if blocked is not None or deployment is None:
        return "Moving", Move("Stalled", *(blocked or ("DeploymentNotFound", "")))
    words = _words(switch)
    place = Place(switch.claim_name, switch.sub_path)
    restored = restore(assessment, switch.step, switch.attempt, place, f"{words}: creating its PersistentVolumeClaim")
    if restored is not None:
        return "Moving", restored
    if not points_at(assessment, deployment, place, switch.step):
        return "Moving", point(
            assessment, deployment, place, switch.step, again=switch.patched_at is not None, words=words
        )
    if switch.patched_at is None:
        seen = switch.model_copy(update={"patched_at": timestamp(assessment.now)})
        message = f"{words}: {deployment.progress}"
        return "Moving", Move("Reconciling", "RollingOut", message, {"switch": seen}, look_again=_LOOK_AGAIN)
    if deployment.is_rolled_out:
        return "Available", Move("Reconciling", "Available", words)
    return _await(assessment, switch, deployment, words)


def _await(assessment: Assessment, switch: Switch, deployment: DeploymentView, words: str) -> tuple[Outcome, Move]:
    """Its pods are not available yet: wait, or say why it is no use."""
    finding = _finding(assessment, switch, deployment)
    cause = finding.cause if finding is not None else None
    since = switch.timed_from or switch.patched_at
    early = assessment.seconds_until(since, _STARTING) > 0
    left = assessment.seconds_until(since, limit(deployment, finding))
    waiting = _waiting(switch, cause, early=early)
    changed = {} if waiting == switch.waiting else {"switch": _phase(assessment, switch, waiting)}
    if finding is not None and (waiting == "Room" or (waiting == "Volume" and (changed or left > 0))):
        message = f"{words} is waiting: {finding.message}"
        return "Moving", Move("Reconciling", finding.reason, message, changed, look_again=_LOOK_AGAIN)
    if changed or (left > 0 and (cause == "Volume" or not _given_up(switch, deployment))):
        hint = f"; {finding.message}" if finding is not None and not early and not changed else ""
        message = f"{words}: {deployment.progress}{hint}"
        return "Moving", Move("Reconciling", "RollingOut", message, changed, look_again=min(left or 1, _LOOK_AGAIN))
    if finding is None:
        why = deployment.stuck or "the pods did not become available in time"
        return "Hindered", Move("Reconciling", "RolloutFailed", f"{words} failed: {why}")
    ended: dict[str, Outcome] = {"Checkpoint": "Broken", "OnePod": "Unready"}
    message = f"{words} failed: {finding.message}"
    return ended.get(finding.cause, "Hindered"), Move("Reconciling", finding.reason, message)


def _waiting(switch: Switch, cause: Cause | None, *, early: bool) -> Literal["Room", "Volume"] | None:
    """What the pods wait for. A volume is waited for in any rollout; that is worth a word only where it lasts."""
    if cause == "Elsewhere":
        return "Room"
    return "Volume" if cause == "Volume" and (not early or switch.waiting == "Volume") else None


def _phase(assessment: Assessment, switch: Switch, waiting: Literal["Room", "Volume"] | None) -> Switch:
    """The record with what is waited for now. After a wait time begins anew: only now the pods have a chance."""
    timed_from = switch.timed_from if switch.waiting is None else timestamp(assessment.now)
    return switch.model_copy(update={"waiting": waiting, "timed_from": timed_from})


def _finding(assessment: Assessment, switch: Switch, deployment: DeploymentView) -> Finding | None:
    before = _unready_before(assessment.status.setback, switch)
    pods = newest(assessment.observed.pods, switch.claim_name, switch.step)
    return examine(deployment, assessment.observed.claims.get(switch.claim_name), pods, before)


def _given_up(switch: Switch, deployment: DeploymentView) -> bool:
    """Whether the Deployment's controller has given this rollout up.

    What it said while pods waited is no matter, nor what it said of the rollout before: where one that timed out is
    undone, its condition stays until its last pod is gone (kubernetes, pkg/controller/deployment/progress.go).
    """
    since = switch.timed_from or switch.patched_at
    if deployment.stuck is None or since is None:
        return False
    return deployment.stuck_at is not None and deployment.stuck_at > parse_timestamp(since)


def _unready_before(setback: Setback | None, switch: Switch) -> int:
    """Earlier tries of this very checkpoint in which a pod was not ready in time."""
    if setback is None or (setback.step, setback.attempt) != (switch.step, switch.attempt):
        return 0
    # A record of an older version does not say of which training it is.
    return setback.unready if setback.training in (None, switch.training) else 0


def keep(assessment: Assessment) -> Move | None:
    """Nothing is under way: put back what somebody has changed. None where all is as it was recorded."""
    serving, deployment = assessment.status.serving, assessment.observed.deployment
    blocked = obstacle(assessment)
    if blocked is not None:
        return Move("Stalled", *blocked)
    if deployment is None or serving is None or assessment.policy.spec.serving is None:
        return None
    adopted = adopt(assessment)
    if serving.step is None:
        # Nothing of ours yet: what is there is the user's choice, and may change.
        same = adopted is None or (adopted.claim_name, adopted.sub_path) == (serving.claim_name, serving.sub_path)
        return (
            None
            if same
            else Move("Reconciling", "Adopting", "recording what is currently served", {"serving": adopted})
        )
    labelled = relabel(assessment, serving.claim_name)
    if labelled is not None:
        return labelled
    place = Place(serving.claim_name or "", serving.sub_path)
    words = f"serving of step {serving.step}"
    restored = restore(
        assessment, serving.step, serving.attempt, place, f"{words}: recreating its missing PersistentVolumeClaim"
    )
    if restored is not None:
        return restored
    if points_at(assessment, deployment, place, serving.step):
        return None
    return point(assessment, deployment, place, serving.step, again=True, words=words)


def adopt(assessment: Assessment) -> Served | None:
    """What the Deployment serves, as far as the cluster tells: its claim's labels say which checkpoint it holds."""
    serving, deployment = assessment.policy.spec.serving, assessment.observed.deployment
    if serving is None or deployment is None:
        return None
    mounted = deployment.mounted(serving.volume)
    if assessment.policy.spec.method == "SubPath":
        known = (
            next((c for c in assessment.checkpoints if c.step == deployment.step), None) if mounted.sub_path else None
        )
        step = deployment.step if mounted.sub_path else None
        return Served(
            step=step or None,
            attempt=known.attempt if known is not None else None,
            training=known.training if known is not None else None,
            claim_name=mounted.claim_name,
            sub_path=mounted.sub_path,
            since=timestamp(assessment.now),
        )
    claim = assessment.observed.claims.get(mounted.claim_name or "")
    named = names.parse_checkpoint(claim.name) if claim is not None and not claim.is_labelled else None
    return Served(
        step=named[0] if named is not None else claim.number(STEP_LABEL) if claim is not None else None,
        attempt=named[1] if named is not None else claim.number(ATTEMPT_LABEL) if claim is not None else None,
        training=named[2] if named is not None else claim.labels.get(TRAINING_LABEL) if claim is not None else None,
        claim_name=mounted.claim_name,
        since=timestamp(assessment.now),
    )


def relabel(assessment: Assessment, claim_name: str | None) -> Move | None:
    """Put the labels back that somebody has taken from a claim of ours; None where they are there. Its name and the
    snapshot that it is made from say whose it is.
    """
    claim = assessment.observed.claims.get(claim_name or "")
    named = names.parse_checkpoint(claim_name or "")
    if claim is None or claim.is_labelled or claim.deleting or claim.manifest is None or named is None:
        return None
    manifest = claim.manifest
    step, attempt, training = named
    meta = {key: manifest["metadata"][key] for key in ("name", "namespace", "uid")}
    uid = assessment.identity if assessment.observed.run is not None and training == assessment.training else ""
    labels = names.labels(assessment.policy.metadata.name, assessment.observed.run_name, training, step, attempt, uid)
    # What was applied before is applied again: server-side apply takes away what its manager gives no more.
    spec = {key: manifest["spec"][key] for key in _CLAIM_FIELDS if key in manifest["spec"]}
    part = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {**meta, "labels": labels}, "spec": spec}
    return Move("Reconciling", "Adopting", f"restoring the labels of PersistentVolumeClaim {claim.name}", patch=(part,))


def restore(assessment: Assessment, step: int | None, attempt: int | None, place: Place, words: str) -> Move | None:
    """Make the claim where it is not there; None where nothing is to be made."""
    if place.sub_path is not None:
        return None
    live = assessment.observed.claims.get(place.claim_name)
    if live is not None and not live.deleting:
        return None
    for checkpoint in assessment.checkpoints:
        if checkpoint.identity != (step, attempt):
            continue
        wanted = assessment.store.place(assessment.observed, checkpoint)
        if wanted.claim_name != place.claim_name:
            continue
        if wanted.manifest is None:
            unworkable = impossible(assessment, checkpoint)
            return None if unworkable is None else Move("Stalled", *unworkable)
        if live is not None or not checkpoint.ready:
            # It must go first: nothing can be made under its name.
            return Move("Reconciling", "Restoring", words, look_again=_LOOK_AGAIN)
        return Move("Reconciling", "Restoring", words, apply=(wanted.manifest,), look_again=_LOOK_AGAIN)
    # A claim of the user's own, or one whose snapshot is gone: the rollout tells whether it is there.
    return None


def point(
    assessment: Assessment, deployment: DeploymentView, place: Place, step: int | None, *, again: bool, words: str
) -> Move:
    """Set the field. `again`: it was so before, and somebody else has changed it; who insists has his way."""
    insists = conflict(assessment)
    if insists is not None:
        return Move("Stalled", *insists, look_again=assessment.seconds_until(assessment.status.put_back[-1], TRUCE))
    patch = (deployment_patch(assessment, deployment, place, step),)
    if not again:
        return Move("Reconciling", "Switching", f"{words}: updating Deployment {deployment.name}", patch=patch)
    times = [*assessment.status.put_back, timestamp(assessment.now)][-PUT_BACK_LIMIT:]
    who = deployment.managers.get(assessment.policy.spec.serving.volume if assessment.policy.spec.serving else "")
    message = f"{words}: reverting a change of Deployment {deployment.name} by {who or 'another client'}"
    return Move("Reconciling", "PuttingBack", message, {"put_back": times}, patch=patch)


def _words(switch: Switch) -> str:
    what = f"step {switch.step}" if switch.step else "the original volume"
    return {"Promotion": "promotion of", "Rollback": "rollback to", "Revert": "return to"}[switch.why] + f" {what}"
