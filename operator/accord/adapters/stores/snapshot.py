"""CSI snapshots: a VolumeSnapshot for each checkpoint, a claim made from it for what is served.

A snapshot is of the whole volume of the trainer and is named after the checkpoint that was the newest in it. Neither it
nor the claim has an owner reference: what is served must survive the policy.
"""

from __future__ import annotations

from accord.api.base import Manifest
from accord.domain.checkpoint import names
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.observed import Observed
from accord.domain.checkpoint.reading import Saved
from accord.domain.checkpoint.views import ClaimView
from accord.domain.children import quantity
from accord.domain.plan import ObjectKey
from accord.ports.checkpoints import Place, Problem

SNAPSHOT_GROUP = "snapshot.storage.k8s.io"
SNAPSHOT_API = f"{SNAPSHOT_GROUP}/v1"
_KEPT_ANNOTATIONS = (
    names.LOSS_ANNOTATION,
    names.REWARD_ANNOTATION,
    names.SUMS_ANNOTATION,
    names.SAVES_ANNOTATION,
    names.PASSED_OVER_ANNOTATION,
    names.ORIGIN_ANNOTATION,
    names.ROLLBACK_ANNOTATION,
    names.TARGET_ANNOTATION,
)


class SnapshotStore:
    """Method VolumeSnapshot. Implements `accord.ports.checkpoints.Store`."""

    def problem(self, observed: Observed) -> Problem | None:
        """The API is an addition to Kubernetes, and not everywhere."""
        if observed.snapshots_served:
            return None
        return Problem(
            "SnapshotsUnavailable",
            f"this cluster does not serve {SNAPSHOT_API}: install the CRDs and the snapshot-controller of "
            "kubernetes-csi/external-snapshotter and a CSI driver that can snapshot, or use method SubPath",
        )

    def checkpoints(self, observed: Observed, training: str) -> tuple[Checkpoint, ...]:
        """The snapshots."""
        return observed.snapshots

    def capture(
        self, observed: Observed, training: str, attempt: int, saved: Saved, passed_over: int = 0
    ) -> Manifest | None:
        """A snapshot of the trainer's volume as it is now."""
        meta, spec = observed.policy.metadata, observed.policy.spec
        figures = {names.LOSS_ANNOTATION: saved.loss, names.REWARD_ANNOTATION: saved.reward}
        annotations = {key: f"{figure:.6g}" for key, figure in figures.items() if figure is not None}
        if saved.sums is not None:
            annotations[names.SUMS_ANNOTATION] = saved.sums
        if saved.number is not None:
            annotations[names.SAVES_ANNOTATION] = str(saved.number)
        if observed.source_claim is not None:
            annotations[names.ORIGIN_ANNOTATION] = observed.source_claim.remember()
        if passed_over:
            annotations[names.PASSED_OVER_ANNOTATION] = str(passed_over)
        snapshot: Manifest = {
            "apiVersion": SNAPSHOT_API,
            "kind": "VolumeSnapshot",
            "metadata": {
                "name": names.checkpoint(meta.name, saved.step, attempt, training),
                "namespace": meta.namespace,
                "labels": names.labels(meta.name, observed.run_name, training, saved.step, attempt, _uid(observed)),
                "annotations": annotations,
            },
            "spec": {"source": {"persistentVolumeClaimName": observed.source_name or ""}},
        }
        if spec.class_name is not None:
            snapshot["spec"]["volumeSnapshotClassName"] = spec.class_name
        return snapshot

    def quarantine(
        self, observed: Observed, checkpoint: Checkpoint, why: str, target: tuple[int, int] | None
    ) -> Manifest | None:
        """The same snapshot with one more label."""
        live = checkpoint.manifest
        if live is None:
            return None
        marks = {names.ROLLBACK_ANNOTATION: why}
        if target is not None:
            marks[names.TARGET_ANNOTATION] = names.target(*target)
        return _again(live, {names.QUARANTINE_LABEL: "true"}, marks)

    def relabel(self, observed: Observed, checkpoint: Checkpoint, training: str) -> Manifest | None:
        """The same snapshot with the labels that its name tells. What only labels told is told for this training."""
        live, meta = checkpoint.manifest, observed.policy.metadata
        if live is None or checkpoint.deleting or not names.is_of(meta.name, live["metadata"]["name"]):
            return None
        labels = live["metadata"].get("labels") or {}
        wanted = names.labels(meta.name, observed.run_name, checkpoint.training, checkpoint.step, checkpoint.attempt)
        wanted[names.RUN_LABEL] = labels.get(names.RUN_LABEL) or wanted[names.RUN_LABEL]
        if all(labels.get(key) == text for key, text in wanted.items()):
            return None
        if checkpoint.training == training and (uid := _uid(observed)):
            wanted[names.RUN_UID_LABEL] = uid
        if checkpoint.quarantined:
            wanted[names.QUARANTINE_LABEL] = "true"
        return _again(live, wanted, {})

    def origin(self, observed: Observed, checkpoint: Checkpoint | None) -> ClaimView | None:
        """The trainer's claim, or, where that is gone or another one has its name, what the snapshot remembers of it;
        for want of that, a claim that was made from another one.
        """
        live = observed.source_claim
        if checkpoint is None:
            return live
        annotations = (checkpoint.manifest or {}).get("metadata", {}).get("annotations") or {}
        remembered = ClaimView.remembered(checkpoint.source or "", annotations.get(names.ORIGIN_ANNOTATION))
        if live is not None and (remembered is None or remembered.storage_class == live.storage_class):
            return live
        if remembered is not None:
            return remembered
        status = observed.policy.status
        recorded = [record.claim_name for record in (status.serving, status.switch) if record is not None]
        made = [claim for name in (*recorded, *sorted(observed.claims)) if (claim := observed.claims.get(name or ""))]
        return next((claim for claim in made if claim.snapshot is not None), None)

    def place(self, observed: Observed, checkpoint: Checkpoint) -> Place:
        """A claim made from the snapshot: as large as it needs, with its source's access mode, and class unless the
        policy names one. Without any class it would be of the cluster's default, perhaps of another driver.
        """
        meta = observed.policy.metadata
        name = names.checkpoint(meta.name, checkpoint.step, checkpoint.attempt, checkpoint.training)
        live = (checkpoint.manifest or {}).get("metadata", {}).get("labels") or {}
        source, serving = self.origin(observed, checkpoint), observed.policy.spec.serving
        named = serving.storage_class_name if serving is not None else None
        if source is None and named is None:
            return Place(name)
        spec: Manifest = {
            "accessModes": list(source.access_modes) if source is not None else ["ReadWriteOnce"],
            "dataSource": {
                "apiGroup": SNAPSHOT_GROUP,
                "kind": "VolumeSnapshot",
                "name": checkpoint.snapshot or name,
            },
            "resources": {"requests": {"storage": _size(checkpoint.restore_size, source)}},
        }
        storage_class = named or (source.storage_class if source is not None else None)
        if storage_class is not None:
            spec["storageClassName"] = storage_class
        if source is not None and source.volume_mode is not None:
            spec["volumeMode"] = source.volume_mode
        claim: Manifest = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name,
                "namespace": meta.namespace,
                "labels": {
                    **names.labels(meta.name, "", checkpoint.training, checkpoint.step, checkpoint.attempt),
                    **{key: text for key, text in live.items() if key in (names.RUN_LABEL, names.RUN_UID_LABEL)},
                },
            },
            "spec": spec,
        }
        return Place(name, None, claim)

    def discard(self, observed: Observed, checkpoint: Checkpoint) -> ObjectKey | None:
        """The snapshot."""
        if checkpoint.snapshot is None:
            return None
        return ObjectKey(SNAPSHOT_API, "VolumeSnapshot", observed.policy.metadata.namespace, checkpoint.snapshot)


def _again(live: Manifest, labels: Manifest, annotations: Manifest) -> Manifest:
    """The same with more of them. All else that was applied must be applied again, or it would go."""
    meta = live["metadata"]
    kept = {key: text for key, text in (meta.get("labels") or {}).items() if key in _LABELS}
    told = {key: text for key, text in (meta.get("annotations") or {}).items() if key in _KEPT_ANNOTATIONS}
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "labels": {**kept, **labels},
            "annotations": {**told, **annotations},
        },
        "spec": live.get("spec") or {},
    }


_LABELS = frozenset({*names.labels("", "", "", 0, 0, "uid"), names.QUARANTINE_LABEL})


def _uid(observed: Observed) -> str:
    return observed.run.uid if observed.run is not None else ""


def _size(restore_size: str | None, source: ClaimView | None) -> str:
    """At least what the snapshot says, and at least what its source has: drivers refuse a smaller volume."""
    known = (restore_size, source.storage if source is not None else None)
    # Some drivers do not know, and say 0.
    sizes = [size for size in known if size is not None and (quantity(size) or 0) > 0]
    return max(sizes, key=lambda size: quantity(size) or 0, default="1Gi")
