"""The one field of the serving Deployment that a policy sets, and the annotations of a TrainingRun.

Both are partial objects for server-side apply: what is not in them stays as it is. They carry the uid, so that an
object which was deleted meanwhile is not made anew out of a part of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import API_VERSION
from accord.domain.checkpoint import names
from accord.domain.checkpoint.assessment import Assessment
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.store import Place, Problem
from accord.domain.checkpoint.views import DeploymentView, Mount, RunView
from accord.domain.training.names import (
    RESTART_ATTEMPT_ANNOTATION,
    RESTART_FROM_ANNOTATION,
    STOP_ATTEMPT_ANNOTATION,
)

_MARKS = (RESTART_FROM_ANNOTATION, RESTART_ATTEMPT_ANNOTATION, STOP_ATTEMPT_ANNOTATION)


def obstacle(assessment: Assessment) -> Problem | None:
    """Why the Deployment cannot be pointed anywhere."""
    observed, serving = assessment.observed, assessment.policy.spec.serving
    if serving is None:
        return None
    if observed.rival is not None:
        return Problem(
            "DeploymentTaken",
            f"Deployment {serving.deployment_ref.name} is already used by CheckpointPolicy {observed.rival}: use "
            "another Deployment, or remove spec.serving from one of the two policies",
        )
    deployment = observed.deployment
    if deployment is None:
        return Problem("DeploymentNotFound", f"Deployment {serving.deployment_ref.name} not found in this namespace")
    if serving.volume not in deployment.volumes:
        return Problem(
            "VolumeNotFound",
            f"Deployment {deployment.name} has no volume {serving.volume} in its pod template: add one with a "
            "persistentVolumeClaim",
        )
    claim = deployment.volumes[serving.volume]
    if claim is None:
        return Problem(
            "VolumeNotAClaim",
            f"volume {serving.volume} of Deployment {deployment.name} is not a persistentVolumeClaim: make it one "
            "(an empty claim is enough until there is a checkpoint)",
        )
    if assessment.policy.spec.method == "SubPath":
        if not deployment.mounts.get(serving.volume):
            return Problem("NotMounted", f"no container of Deployment {deployment.name} mounts volume {serving.volume}")
        if claim != observed.source_name:
            return Problem(
                "NotTheTrainersVolume",
                f"with method SubPath volume {serving.volume} of Deployment {deployment.name} must be the trainer's "
                f"own claim {observed.source_name}, not {claim}",
            )
    return None


def impossible(assessment: Assessment, target: Checkpoint | None) -> Problem | None:
    """Why a claim made from the snapshot of `target` (of None: of the next one) could not be served, for certain and
    whatever is in it.
    """
    observed, serving = assessment.observed, assessment.policy.spec.serving
    if serving is None or assessment.policy.spec.method != "VolumeSnapshot":
        return None
    source, deployment = assessment.store.origin(observed, target), observed.deployment
    if source is None:
        if target is None or serving.storage_class_name is not None:
            return None
        return Problem(
            "NoStorageClass",
            f"the PersistentVolumeClaim that snapshot {target.snapshot} was taken of is gone, and with it the "
            "StorageClass of its driver: set spec.serving.storageClassName",
        )
    if serving.storage_class_name is None and source.storage_class == "":
        return Problem(
            "NoStorageClass",
            f"PersistentVolumeClaim {source.name} has no StorageClass, so no claim can be provisioned from its "
            "snapshots: set spec.serving.storageClassName to a class of the same driver (Accord has no permission "
            "to read the PersistentVolume, which has it)",
        )
    if deployment is not None and deployment.replicas > 1 and set(source.access_modes) == {"ReadWriteOncePod"}:
        return Problem(
            "OnePodOnly",
            f"PersistentVolumeClaim {source.name} is ReadWriteOncePod, so only one pod can mount a claim made from it, "
            f"but Deployment {deployment.name} has {deployment.replicas} replicas: use another access mode, or one "
            "replica",
        )
    return None


def remark(assessment: Assessment) -> str | None:
    """What may come to nothing although the spec is followed: whether it does is the scheduler's affair."""
    serving, deployment = assessment.policy.spec.serving, assessment.observed.deployment
    if serving is None or deployment is None or assessment.policy.spec.method != "VolumeSnapshot":
        return None
    source = assessment.store.origin(assessment.observed, assessment.served)
    if source is None or not source.is_of_one_node or deployment.replicas < 2:
        return None
    return (
        f"the served PersistentVolumeClaims are ReadWriteOnce, so all {deployment.replicas} pods of Deployment "
        f"{deployment.name} must run on one node"
    )


def points_at(assessment: Assessment, deployment: DeploymentView, place: Place, step: int | None) -> bool:
    """Whether the pod template has that checkpoint already."""
    volume = _volume(assessment)
    if (deployment.step or 0) != (step or 0) or deployment.volumes.get(volume) != place.claim_name:
        return False
    if assessment.policy.spec.method == "VolumeSnapshot":
        return True
    return all(mount.sub_path == place.sub_path for mount in deployment.mounts.get(volume, ()))


def deployment_patch(assessment: Assessment, deployment: DeploymentView, place: Place, step: int | None) -> Manifest:
    """The field and the annotation."""
    volume = _volume(assessment)
    pod: Manifest = {"volumes": [{"name": volume, "persistentVolumeClaim": {"claimName": place.claim_name}}]}
    if assessment.policy.spec.method == "SubPath":
        mounts = deployment.mounts.get(volume, ())
        fields = (("containers", False), ("initContainers", True))
        pod = {field: _containers(mounts, volume, place.sub_path, is_init=is_init) for field, is_init in fields}
        pod = {field: containers for field, containers in pod.items() if containers}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": deployment.name,
            "namespace": assessment.policy.metadata.namespace,
            "uid": deployment.uid,
        },
        "spec": {
            "template": {
                "metadata": {"annotations": {names.SERVED_STEP_ANNOTATION: str(step or 0)}},
                "spec": pod,
            }
        },
    }


def _containers(mounts: Iterable[Mount], volume: str, sub_path: str | None, *, is_init: bool) -> list[Manifest]:
    """The mounts of the volume by container. Without `sub_path` the field is given up, which removes what was ours."""
    found: dict[str, list[Manifest]] = {}
    for mount in mounts:
        if mount.is_init == is_init:
            field = {} if sub_path is None else {"subPath": sub_path}
            found.setdefault(mount.container, []).append({"name": volume, "mountPath": mount.path, **field})
    return [{"name": name, "volumeMounts": wanted} for name, wanted in found.items()]


def _volume(assessment: Assessment) -> str:
    serving = assessment.policy.spec.serving
    return serving.volume if serving is not None else ""


def run_patch(namespace: str, run: RunView, marks: dict[str, str]) -> Manifest:
    """Annotations by which a TrainingRun restarts or stops (see `domain.training.restart`).

    Those that are there already are given again: server-side apply takes away what its manager gives no more.
    """
    present = {key: run.annotations[key] for key in _MARKS if key in run.annotations}
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingRun",
        "metadata": {
            "name": run.name,
            "namespace": namespace,
            "uid": run.uid,
            "annotations": {**present, **marks},
        },
    }
