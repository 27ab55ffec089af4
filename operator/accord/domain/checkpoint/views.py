"""The TrainingRun, the Deployment and the claims as a decision about checkpoints sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from accord.api.base import Manifest
from accord.domain.checkpoint import names
from accord.domain.conditions import parse_timestamp
from accord.domain.numbers import whole

_PROGRESS_DEADLINE = 600
"""Default of `spec.progressDeadlineSeconds` of an apps/v1 Deployment."""
_GRACE = timedelta(seconds=30)
"""Past that deadline a rollout has failed even where nobody says so."""


@dataclass(frozen=True)
class RunView:
    """A TrainingRun."""

    name: str
    uid: str
    attempt: int | None
    """The newest one; None before the first."""
    claim_name: str | None
    """The claim that holds the checkpoints."""
    finished: bool
    created: datetime | None = None
    ended: datetime | None = None
    """When it finished."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest) -> RunView:
        """From the object as the API server has it."""
        meta, status = manifest["metadata"], manifest.get("status") or {}
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            attempt=status.get("attempt"),
            claim_name=status.get("claimName"),
            finished=status.get("phase") in ("Succeeded", "Failed"),
            created=parse_timestamp(meta["creationTimestamp"]) if meta.get("creationTimestamp") else None,
            ended=parse_timestamp(status["completionTime"]) if status.get("completionTime") else None,
            annotations=dict(meta.get("annotations") or {}),
        )

    def marked(self, annotation: str) -> int:
        """The number that an annotation gives; 0 without one."""
        return whole(self.annotations.get(annotation)) or 0


@dataclass(frozen=True)
class Mount:
    """Where a container has the volume: what identifies the field that a SubPath policy sets."""

    container: str
    path: str
    sub_path: str | None
    is_init: bool = False


@dataclass(frozen=True)
class Mounted:
    """What a Deployment's pod template has in the volume."""

    claim_name: str | None
    sub_path: str | None = None


@dataclass(frozen=True)
class DeploymentView:
    """The Deployment that serves."""

    name: str
    uid: str
    volumes: Mapping[str, str | None]
    """Claim by volume; None for a volume that is no claim."""
    mounts: Mapping[str, tuple[Mount, ...]]
    """By volume."""
    step: int | None
    """What the pod template says that it serves."""
    replicas: int
    updated: int
    available: int
    existing: int
    """Pods of any template."""
    observed: bool
    """Whether its controller has seen the newest template."""
    paused: bool
    stuck: str | None
    """Why its controller gave the rollout up."""
    deadline: timedelta
    managers: Mapping[str, str] = field(default_factory=dict)
    """Who set the claim (or subPath) of a volume last, by volume."""

    @classmethod
    def of(cls, manifest: Manifest) -> DeploymentView:
        """From the object as the index keeps it."""
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        template = spec.get("template") or {}
        pod = template.get("spec") or {}
        replicas = spec.get("replicas")
        step = ((template.get("metadata") or {}).get("annotations") or {}).get(names.SERVED_STEP_ANNOTATION)
        observed = int(status.get("observedGeneration") or 0) >= int(meta.get("generation") or 0)
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            volumes={
                volume["name"]: (volume.get("persistentVolumeClaim") or {}).get("claimName")
                for volume in pod.get("volumes") or ()
            },
            mounts=_mounts(pod),
            step=whole(step),
            replicas=1 if replicas is None else replicas,
            updated=status.get("updatedReplicas") or 0,
            available=status.get("availableReplicas") or 0,
            existing=status.get("replicas") or 0,
            observed=observed,
            paused=bool(spec.get("paused")),
            stuck=_stuck(status) if observed else None,
            deadline=timedelta(seconds=spec.get("progressDeadlineSeconds") or _PROGRESS_DEADLINE) + _GRACE,
            managers=dict(manifest.get("managers") or {}),
        )

    def mounted(self, volume: str) -> Mounted:
        """What is in that volume now."""
        mounts = self.mounts.get(volume, ())
        return Mounted(self.volumes.get(volume), mounts[0].sub_path if mounts else None)

    @property
    def is_rolled_out(self) -> bool:
        """Whether all pods are of the newest template and available, as `kubectl rollout status` sees it."""
        return self.observed and self.updated >= self.replicas and self.existing <= self.updated <= self.available

    @property
    def progress(self) -> str:
        """How far it has come, in words."""
        if self.paused:
            return f"Deployment {self.name} is paused: resume it"
        return (
            f"{min(self.updated, self.available)} of {self.replicas} new pods of Deployment {self.name} are available"
        )


@dataclass(frozen=True)
class ClaimView:
    """A PersistentVolumeClaim."""

    name: str
    labels: Mapping[str, str]
    deleting: bool
    bound: bool
    storage: str | None
    """What it has, or else asks for."""
    storage_class: str | None
    access_modes: tuple[str, ...]
    volume_mode: str | None

    @classmethod
    def of(cls, manifest: Manifest) -> ClaimView:
        """From the object as the index keeps it."""
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        return cls(
            name=meta["name"],
            labels=dict(meta.get("labels") or {}),
            deleting=bool(meta.get("deletionTimestamp")),
            bound=status.get("phase") == "Bound",
            storage=(status.get("capacity") or {}).get("storage") or asked,
            storage_class=spec.get("storageClassName"),
            access_modes=tuple(spec.get("accessModes") or ()),
            volume_mode=spec.get("volumeMode"),
        )

    def number(self, label: str) -> int | None:
        """A label that is a number."""
        return whole(self.labels.get(label))


def _mounts(pod: Manifest) -> dict[str, tuple[Mount, ...]]:
    found: dict[str, list[Mount]] = {}
    for field_name in ("containers", "initContainers"):
        for container in pod.get(field_name) or ():
            for mount in container.get("volumeMounts") or ():
                found.setdefault(mount["name"], []).append(
                    Mount(
                        container["name"], mount["mountPath"], mount.get("subPath"), is_init=field_name != "containers"
                    )
                )
    return {volume: tuple(mounts) for volume, mounts in found.items()}


def _stuck(status: Manifest) -> str | None:
    for condition in status.get("conditions") or ():
        if (condition.get("type"), condition.get("status")) == ("Progressing", "False"):
            return str(condition.get("message") or condition.get("reason") or "no progress")
    return None
