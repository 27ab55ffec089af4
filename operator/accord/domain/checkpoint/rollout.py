"""Why the pods of a checkpoint are not available: for want of room, for its volume, or because it does not start.

Only the last says something about the checkpoint, and only when more than one pod, or more than one start of a
container, has said so. Nothing that a scheduler, a quota, a registry or a node does is evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from accord.domain import podstatus
from accord.domain.checkpoint.pods import ServingPod
from accord.domain.checkpoint.views import ClaimView, DeploymentView
from accord.domain.warned import Warned
from accord.domain.words import quote

Cause = Literal["Elsewhere", "Volume", "Checkpoint", "OnePod"]

_PATIENCE = timedelta(minutes=30)
"""How long a volume is waited for while the pods of before serve; a large one takes long to be made."""
_CRASHING = timedelta(minutes=10)
"""How long containers may crash again and again, however long a deadline their Deployment has."""
_PLACED_ELSEWHERE = (
    "binding volumes",
    "volume node affinity conflict",
    "no available volume zone",
    "didn't find available persistent volumes",
)
"""A volume in a zone where no node takes the pod is no want of room: another volume might do."""
_PROOF = 2


@dataclass(frozen=True)
class Finding:
    """What is in the way."""

    cause: Cause
    """`Elsewhere`: neither time nor another checkpoint mends it, so it is waited for as long as it lasts. `Volume`:
    another volume might do. `Checkpoint`: it does not start. `OnePod`: so says one pod, which proves nothing yet.
    """
    reason: str
    message: str


def examine(
    deployment: DeploymentView, claim: ClaimView | None, pods: Sequence[ServingPod], unready_before: int = 0
) -> Finding | None:
    """What the new pods say. `pods` are those of the checkpoint (see `pods.newest`), none where they are not known;
    `unready_before` is the number of earlier tries in which one pod ran with it and was not ready in time. None where
    nothing is in the way that could be named.
    """
    crashed, unready = _crashed(pods, unready_before), _unready(pods, unready_before)
    if crashed is not None and crashed.cause == "Checkpoint":
        return crashed
    if unready is not None and unready.cause == "Checkpoint":
        return unready
    return _elsewhere(deployment, pods) or crashed or unready or _volume(deployment, claim, pods)


def limit(deployment: DeploymentView, finding: Finding | None) -> timedelta:
    """How long what was found is waited for. A deadline that is long, or none, is meant for pods that are slow."""
    if finding is not None and finding.cause == "Checkpoint" and finding.reason == "PodsCrash":
        return min(deployment.deadline, _CRASHING)
    if finding is not None and finding.cause == "Volume":
        # Where pods of before are missing, the volume of before may bring them back.
        return max(deployment.limit, _PATIENCE) if deployment.is_whole else deployment.limit
    return deployment.deadline


def _crashed(pods: Sequence[ServingPod], before: int) -> Finding | None:
    ended = [pod for pod in pods if pod.ends]
    if not ended:
        return None
    # More than one pod, or more than one start of one.
    proven = sum(pod.ends for pod in ended) + before >= _PROOF
    pod = ended[0]
    words = f"{pod.ending} in pod {pod.name}"
    if len(ended) > 1:
        words += f", and in {len(ended) - 1} more"
    return Finding(
        "Checkpoint" if proven else "OnePod", "PodsCrash", f"{words}: see `kubectl logs --previous {pod.name}`"
    )


def _unready(pods: Sequence[ServingPod], before: int) -> Finding | None:
    unready = [pod for pod in pods if pod.unready and not pod.ends and not pod.lost]
    if not unready:
        return None
    pod = unready[0]
    words = f"readiness probe of container {pod.unready} in pod {pod.name} fails"
    if len(unready) > 1:
        words += f", and {len(unready) - 1} more"
    return Finding("Checkpoint" if len(unready) + before >= _PROOF else "OnePod", "PodsNotReady", words)


def _elsewhere(deployment: DeploymentView, pods: Sequence[ServingPod]) -> Finding | None:
    """What would keep any checkpoint from being served, and pods of the former one as well."""
    if deployment.paused:
        return Finding(
            "Elsewhere",
            "RolloutPaused",
            f"Deployment {deployment.name} is paused: `kubectl rollout resume deployment {deployment.name}`",
        )
    if deployment.refused is not None:
        reason = "QuotaExceeded" if podstatus.is_over_quota(deployment.refused) else "PodsRefused"
        return Finding("Elsewhere", reason, f"cannot create pods: {_short(deployment.refused)}")
    for find in (_unscheduled, _lost, _image, _misconfigured, _foreign):
        for pod in pods:
            found = find(deployment, pod)
            if found is not None:
                return found
    return None


def _unscheduled(deployment: DeploymentView, pod: ServingPod) -> Finding | None:
    if pod.unscheduled is None or _is_about_the_claim(pod.unscheduled):
        return None
    hint = (
        "; free up resources, or set maxSurge: 0 and maxUnavailable: 1 so that an old pod is removed first"
        if deployment.surges
        else "; free up resources"
    )
    return Finding("Elsewhere", "Unschedulable", f"cannot schedule pod {pod.name}: {_short(pod.unscheduled)}{hint}")


def _lost(_: DeploymentView, pod: ServingPod) -> Finding | None:
    return Finding("Elsewhere", "NodeLost", f"node of pod {pod.name} is not responding") if pod.lost else None


def _image(_: DeploymentView, pod: ServingPod) -> Finding | None:
    if pod.image is None:
        return None
    return Finding("Elsewhere", "ImagePull", f"cannot pull image {pod.image}: see `kubectl describe pod {pod.name}`")


def _misconfigured(_: DeploymentView, pod: ServingPod) -> Finding | None:
    if pod.misconfigured is None:
        return None
    return Finding("Elsewhere", "ContainerConfig", f"cannot start pod {pod.name}: {_short(pod.misconfigured)}")


def _foreign(_: DeploymentView, pod: ServingPod) -> Finding | None:
    if pod.foreign_ending is None or pod.ends:
        return None
    return Finding(
        "Elsewhere", "SidecarCrash", f"{pod.foreign_ending} in pod {pod.name}; it does not mount the checkpoint"
    )


def _volume(deployment: DeploymentView, claim: ClaimView | None, pods: Sequence[ServingPod]) -> Finding | None:
    """The claim made for this checkpoint. One that is bound by its first pod is unbound until then."""
    waiting = next((pod for pod in pods if pod.unscheduled is not None), None)
    if waiting is not None:
        return Finding(
            "Volume", "VolumePending", f"pod {waiting.name} is waiting for its volume: {_short(waiting.unscheduled)}"
        )
    if claim is not None and not claim.bound:
        return Finding("Volume", "VolumePending", f"PersistentVolumeClaim {claim.name} is not bound yet")
    uncreated = next((pod for pod in pods if pod.uncreated), None)
    if uncreated is not None and _is_on_another_node(deployment, claim, uncreated.warned):
        return _multi_attached(deployment, uncreated)
    if uncreated is not None and uncreated.warned is not None:
        return Finding(
            "Volume", uncreated.warned.reason, f"cannot start pod {uncreated.name}: {_short(uncreated.warned.note)}"
        )
    if uncreated is not None:
        return Finding(
            "Volume",
            "ContainerCreating",
            f"pod {uncreated.name} is scheduled, but its volume is not mounted or its image not pulled yet: see "
            f"`kubectl describe pod {uncreated.name}`",
        )
    return None


def _is_on_another_node(deployment: DeploymentView, claim: ClaimView | None, warned: Warned | None) -> bool:
    """In the words of the attach-detach controller (kubernetes, pkg/controller/volume/attachdetach/reconciler). Of a
    Deployment with one pod that is over by itself, when the volume is detached from the node of before.
    """
    if warned is None or warned.reason != "FailedAttachVolume" or "multi-attach error" not in warned.note.lower():
        return False
    return deployment.replicas > 1 and (claim is None or claim.is_of_one_node)


def _multi_attached(deployment: DeploymentView, pod: ServingPod) -> Finding:
    """The remedy before the words that may be cut."""
    said = f": {_short(pod.warned.note)}" if pod.warned is not None else ""
    return Finding(
        "Volume",
        "FailedAttachVolume",
        f"the volume of pod {pod.name} is ReadWriteOnce and in use on another node: run all {deployment.replicas} "
        f"pods of Deployment {deployment.name} on one node (podAffinity), or use ReadWriteMany, or one replica{said}",
    )


def _is_about_the_claim(words: str) -> bool:
    """The words are those of the scheduler's volume plugins (kubernetes, pkg/scheduler/framework/plugins)."""
    words = words.lower()
    if "persistentvolumeclaim" in words and "readwriteoncepod" not in words:
        return True
    return any(each in words for each in _PLACED_ELSEWHERE)


def _short(words: str | None) -> str:
    """In one line."""
    return quote(podstatus.scheduling(words).rstrip(".,: "))
