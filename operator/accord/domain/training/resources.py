"""The objects that a TrainingRun wants in the cluster: a Job for each attempt, and a claim for all of them.

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
from accord.domain.training import keeping, names, queueing
from accord.domain.training.inputs import inputs
from accord.domain.training.restart import Restart
from accord.domain.training.template import pod_template
from accord.domain.training.views import JobView

_MUTABLE = ("suspend", "backoffLimit", "activeDeadlineSeconds")
"""Fields of a Job's spec that the API server lets change (batch/v1, ValidateJobUpdate) and a run's spec may move."""


def claim_name(run: TrainingRun) -> str:
    """The PersistentVolumeClaim that holds the checkpoints, ours or the user's."""
    return run.spec.checkpoints.claim_name or names.claim(run.metadata.name)


def claim_key(run: TrainingRun) -> ObjectKey:
    """Identity of the claim."""
    return ObjectKey("v1", "PersistentVolumeClaim", run.metadata.namespace, claim_name(run))


def job_key(run: TrainingRun, attempt: int) -> ObjectKey:
    """Identity of the Job of one attempt."""
    return ObjectKey("batch/v1", "Job", run.metadata.namespace, names.job(run.metadata.name, attempt))


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


def job(run: TrainingRun, attempt: int, failed_before: int, restart: Restart | None = None) -> Manifest:
    """The Job of an attempt, which goes on from `restart` where that is given.

    In a queue it is made suspended, for Kueue to start it.
    """
    key = job_key(run, attempt)
    labels = names.labels(run.metadata.name, attempt)
    queue = queueing.queue(run)
    if queue is not None:
        labels[names.QUEUE_LABEL] = queue
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": labels,
            "annotations": {
                names.INPUTS_ANNOTATION: inputs(run),
                names.FAILED_BEFORE_ANNOTATION: str(failed_before),
                **(restart.annotations if restart is not None else {}),
            },
            "ownerReferences": [_owner(run)],
        },
        "spec": {
            **_changeable(run, suspend=queue is not None),
            "parallelism": 1,
            "completions": 1,
            # Never two pods of one run at work: the former must have ended, not only been told to.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                # Pods that were evicted or preempted do not count (KEP-3329).
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": pod_template(run, attempt, claim_name(run), restart),
        },
    }


def job_to_apply(run: TrainingRun, live: JobView) -> Manifest | None:
    """The Job of the current attempt with what changes in place; None where nothing is to be written.

    The template is the live one: it cannot change, and another version of the operator may have written it. A Job that
    Kueue holds is left to it; only where it lost what it is watched by, that is put back, with a spec as it lives.
    """
    if live.deleting:
        return None
    spec, meta = live.manifest.get("spec") or {}, live.manifest["metadata"]
    is_held = queueing.is_held(run, live)
    as_it_lives = {field: spec[field] for field in _MUTABLE if field in spec}
    wanted = as_it_lives if is_held else _changeable(run, suspend=run.spec.suspend)
    labels = names.labels(run.metadata.name, live.attempt)
    is_labelled = labels.items() <= (meta.get("labels") or {}).items()
    is_owned = any(owner.get("uid") == run.metadata.uid for owner in meta.get("ownerReferences") or ())
    if as_it_lives == wanted and is_labelled and is_owned:
        return None
    kept = {name: value for name, value in spec.items() if name not in _MUTABLE and name != "selector"}
    return _again(run, live, {**kept, **wanted})


def job_given_up(run: TrainingRun, live: JobView) -> Manifest:
    """The Job of an attempt that a rollback ends, so that it fails with its pod and makes no other one."""
    kept = {name: value for name, value in (live.manifest.get("spec") or {}).items() if name != "selector"}
    return _again(run, live, {**kept, "backoffLimit": live.failed}, keeping.given_up(live))


def _again(run: TrainingRun, live: JobView, spec: Manifest, more: Mapping[str, str] | None = None) -> Manifest:
    """A Job that is there, with another spec and with more annotations. What was applied before is applied again:
    server-side apply takes away what its manager gives no more.
    """
    meta = live.manifest["metadata"]
    labels = names.labels(run.metadata.name, live.attempt)
    if live.queue:
        labels[names.QUEUE_LABEL] = live.queue
    return {
        "apiVersion": live.manifest["apiVersion"],
        "kind": live.manifest["kind"],
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": {
                names.INPUTS_ANNOTATION: live.inputs,
                names.FAILED_BEFORE_ANNOTATION: str(live.failed_before),
                **(live.restart.annotations if live.restart is not None else {}),
                **(more or {}),
            },
            "ownerReferences": [_owner(run)],
        },
        "spec": spec,
    }


def limits_differ(run: TrainingRun, live: JobView) -> bool:
    """Whether the Job has other limits than the spec says."""
    spec, wanted = live.manifest.get("spec") or {}, _changeable(run, suspend=live.suspended)
    return any(spec.get(field) != wanted.get(field) for field in ("backoffLimit", "activeDeadlineSeconds"))


def _changeable(run: TrainingRun, *, suspend: bool) -> Manifest:
    fields: Manifest = {"suspend": suspend, "backoffLimit": run.spec.backoff_limit}
    if run.spec.active_deadline_seconds is not None:
        fields["activeDeadlineSeconds"] = run.spec.active_deadline_seconds
    return fields


def _owner(run: TrainingRun) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": run.kind,
        "name": run.metadata.name,
        "uid": run.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
