"""What a TrainingRun wants in the cluster whatever runs its attempts: a claim for all of them, and what each object of
an attempt carries.

The claim has no owner reference: what was learnt outlives the run. A later run of the same name finds it by name and
label; deleting it is the user's business.
"""

from __future__ import annotations

from collections.abc import Mapping

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import API_VERSION
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.children import needs_apply, quantity
from accord.domain.plan import ObjectKey
from accord.domain.training import names
from accord.domain.training.restart import Restart
from accord.domain.training.views import AttemptView


def claim_name(run: TrainingRun) -> str:
    """The PersistentVolumeClaim that holds the checkpoints, ours or the user's."""
    return run.spec.checkpoints.claim_name or names.claim(run.metadata.name)


def claim_key(run: TrainingRun) -> ObjectKey:
    """Identity of the claim."""
    return ObjectKey("v1", "PersistentVolumeClaim", run.metadata.namespace, claim_name(run))


def claim_to_apply(run: TrainingRun, live: Manifest | None) -> Manifest | None:
    """The claim, where it must be made or may grow; None where the user brings one or nothing is to be done."""
    wanted = claim(run)
    if wanted is None or shrinks(run, live) or not needs_apply(wanted, live):
        return None
    return wanted


def claim(run: TrainingRun) -> Manifest | None:
    """The claim as it is wanted; None where the user brings one."""
    described = run.spec.checkpoints.claim
    if described is None:
        return None
    spec: Manifest = {
        "accessModes": list(described.access_modes),
        "resources": {"requests": {"storage": described.storage}},
    }
    if described.storage_class_name is not None:
        spec["storageClassName"] = described.storage_class_name
    key = claim_key(run)
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, "labels": names.labels(run.metadata.name)},
        "spec": spec,
    }


def shrinks(run: TrainingRun, live: Manifest | None) -> bool:
    """Whether the spec asks for a smaller volume than there is. Kubernetes cannot do that."""
    described = run.spec.checkpoints.claim
    if described is None or live is None:
        return False
    has = quantity((((live.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage", 0))
    wants = quantity(described.storage)
    return has is not None and wants is not None and wants < has


def attempt_metadata(
    run: TrainingRun,
    key: ObjectKey,
    attempt: int,
    *,
    inputs: str,
    failed_before: int,
    restart: Restart | None = None,
    queue: str | None = None,
    priority: str | None = None,
    more: Mapping[str, str] | None = None,
) -> Manifest:
    """Metadata of the object of an attempt: what it is watched and known by, and `more` annotations."""
    kueue = ((names.QUEUE_LABEL, queue), (names.PRIORITY_LABEL, priority))
    return {
        "name": key.name,
        "namespace": key.namespace,
        "labels": names.labels(run.metadata.name, attempt) | {label: name for label, name in kueue if name},
        "annotations": {
            names.INPUTS_ANNOTATION: inputs,
            names.FAILED_BEFORE_ANNOTATION: str(failed_before),
            **(restart.annotations if restart is not None else {}),
            **(more or {}),
        },
        "ownerReferences": [_owner(run)],
    }


def is_marked(run: TrainingRun, live: AttemptView) -> bool:
    """Whether the object of an attempt has what it is watched by and goes with: its labels, and the run as an owner."""
    meta = live.manifest["metadata"]
    labels = names.labels(run.metadata.name, live.attempt)
    is_owned = any(owner.get("uid") == run.metadata.uid for owner in meta.get("ownerReferences") or ())
    return is_owned and labels.items() <= (meta.get("labels") or {}).items()


def _owner(run: TrainingRun) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": run.kind,
        "name": run.metadata.name,
        "uid": run.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
