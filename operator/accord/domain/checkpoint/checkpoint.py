"""The checkpoints that are kept: one view of a VolumeSnapshot, or of a record in the status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import BestModel, CheckpointStatus
from accord.domain.checkpoint import names
from accord.domain.checkpoint.detection.memory import Interval, decode
from accord.domain.conditions import parse_timestamp, timestamp
from accord.domain.numbers import finite, whole
from accord.domain.words import NO_REASON

Identity = tuple[int, int]
"""Step and attempt: what names a checkpoint of one training."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, wherever it is kept."""

    step: int
    attempt: int
    created: datetime
    training: str = ""
    """Which training saved it (see `names.training`)."""
    snapshot: str | None = None
    ready: bool = False
    verified: bool = True
    quarantined: bool = False
    loss: float | None = None
    reward: float | None = None
    remembers: Interval | None = None
    """What was reported since the checkpoint before."""
    saves: int | None = None
    """How many checkpoints the trainer had committed then."""
    passed_over: int = 0
    """How many of this training have no snapshot, up to this one."""
    deleting: bool = False
    error: str | None = None
    """What keeps the snapshot from becoming ready."""
    error_at: datetime | None = None
    """Since when."""
    restore_size: str | None = None
    rollback: str | None = None
    """The rollback that quarantined it."""
    target: Identity | None = None
    """What that rollback went back to."""
    manifest: Manifest | None = None

    @property
    def identity(self) -> Identity:
        """Step and attempt."""
        return self.step, self.attempt

    @property
    def source(self) -> str | None:
        """The claim that its snapshot is of; None without a snapshot."""
        source = ((self.manifest or {}).get("spec") or {}).get("source") or {}
        return source.get("persistentVolumeClaimName")

    def is_named(self, step: int | None, attempt: int | None, training: str | None) -> bool:
        """Whether a record means this one. One that an older version wrote does not say of which training it is."""
        return self.identity == (step, attempt) and training in (None, self.training)

    @property
    def order(self) -> tuple[datetime, int, int]:
        """Newer is greater. Time first: the attempts of a run that was made anew begin at 1."""
        return self.created, self.attempt, self.step

    @property
    def is_good(self) -> bool:
        """Whether it may be served."""
        return self.ready and self.verified and not self.quarantined and not self.deleting

    @classmethod
    def of_snapshot(cls, manifest: Manifest) -> Checkpoint | None:
        """From a VolumeSnapshot of ours; None where its name does not say what it is of. Labels may, and are not
        believed: a name is what nobody can change.
        """
        meta, status = manifest["metadata"], manifest.get("status") or {}
        labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
        named = names.parse_checkpoint(meta["name"])
        if named is None:
            return None
        step, attempt, training = named
        error = status.get("error") or {}
        return cls(
            step=step,
            attempt=attempt,
            created=parse_timestamp(meta["creationTimestamp"]),
            training=training,
            snapshot=meta["name"],
            ready=bool(status.get("readyToUse")),
            quarantined=_is_quarantined(labels, annotations),
            loss=finite(annotations.get(names.LOSS_ANNOTATION)),
            reward=finite(annotations.get(names.REWARD_ANNOTATION)),
            remembers=decode(annotations.get(names.SUMS_ANNOTATION), attempt),
            saves=whole(annotations.get(names.SAVES_ANNOTATION)),
            passed_over=whole(annotations.get(names.PASSED_OVER_ANNOTATION)) or 0,
            deleting=bool(meta.get("deletionTimestamp")),
            error=str(error.get("message") or NO_REASON) if error else None,
            error_at=parse_timestamp(error["time"]) if error.get("time") else None,
            restore_size=status.get("restoreSize"),
            rollback=annotations.get(names.ROLLBACK_ANNOTATION),
            target=names.parse_target(annotations.get(names.TARGET_ANNOTATION, "")),
            manifest=manifest,
        )

    @classmethod
    def of_record(cls, record: CheckpointStatus, training: str, fallback: datetime) -> Checkpoint:
        """From the status, for a store that has no objects."""
        return cls(
            step=record.step,
            attempt=record.attempt,
            created=parse_timestamp(record.created_at) if record.created_at else fallback,
            training=training,
            ready=record.ready,
            verified=record.verified,
            quarantined=record.quarantined,
            loss=record.loss,
            reward=record.reward,
        )

    def record(self) -> CheckpointStatus:
        """As the status shows it."""
        return CheckpointStatus(
            step=self.step,
            attempt=self.attempt,
            training=self.training,
            snapshot=self.snapshot,
            ready=self.ready,
            verified=self.verified,
            quarantined=self.quarantined,
            loss=self.loss,
            reward=self.reward,
            created_at=timestamp(self.created),
        )


def _is_quarantined(labels: Manifest, annotations: Manifest) -> bool:
    """A person may take that one label away to have the checkpoint served. Where all went, that was not meant."""
    if labels.get(names.QUARANTINE_LABEL) == "true":
        return True
    return names.ROLLBACK_ANNOTATION in annotations and not names.OF_CHECKPOINT & set(labels)


def newest_first(checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """In the order in which they were made."""
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.order, reverse=True)


def value(checkpoint: Checkpoint, metric: str) -> float | None:
    """What makes it good or bad: its reward or loss."""
    return checkpoint.reward if metric == "Reward" else checkpoint.loss


def best(checkpoints: Sequence[Checkpoint], model: BestModel) -> Checkpoint | None:
    """The best of those that may be served; the oldest among equals, so that it does not change without a reason."""
    measured = [
        checkpoint for checkpoint in checkpoints if checkpoint.is_good and value(checkpoint, model.metric) is not None
    ]

    def rank(checkpoint: Checkpoint) -> float:
        found = value(checkpoint, model.metric) or 0.0
        return found if model.metric == "Reward" else -found

    return max(sorted(measured, key=lambda checkpoint: checkpoint.order), key=rank, default=None)
