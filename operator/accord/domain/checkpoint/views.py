"""The TrainingRun, the Deployment and the claims as a decision about checkpoints sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from accord.api.base import Manifest
from accord.domain import podstatus
from accord.domain.checkpoint import names
from accord.domain.conditions import parse_timestamp
from accord.domain.numbers import whole
from accord.domain.traffic.names import MANAGED_BY, MANAGED_BY_LABEL
from accord.domain.training.names import ATTEMPT_LABEL
from accord.domain.words import NO_REASON

_PROGRESS_DEADLINE = 600
"""Default of `spec.progressDeadlineSeconds` of an apps/v1 Deployment."""
_NO_DEADLINE = 2**31 - 1
"""The value that stands for none (kubernetes, `pkg/controller/deployment/util`, HasProgressDeadline)."""
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
    trains: bool = False
    """Whether a pod of it is at work."""
    trains_since: datetime | None = None
    """Since when it is ready, which it is while that is so; None where it is not."""
    job: str | None = None
    """The object that runs the newest attempt, by its status."""

    @classmethod
    def of(cls, manifest: Manifest) -> RunView:
        """From the object as the API server has it."""
        meta, status = manifest["metadata"], manifest.get("status") or {}
        ready = podstatus.condition(status, "Ready")
        since = ready.get("lastTransitionTime") if ready.get("status") == "True" else None
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            attempt=status.get("attempt"),
            claim_name=status.get("claimName"),
            finished=status.get("phase") in ("Succeeded", "Failed"),
            created=parse_timestamp(meta["creationTimestamp"]) if meta.get("creationTimestamp") else None,
            ended=parse_timestamp(status["completionTime"]) if status.get("completionTime") else None,
            annotations=dict(meta.get("annotations") or {}),
            trains=status.get("phase") == "Running",
            trains_since=parse_timestamp(since) if since else None,
            job=(status.get("jobRef") or {}).get("name"),
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
    stuck_at: datetime | None
    """When it did."""
    refused: str | None
    """Why the API server does not take its pods: a quota, an admission policy."""
    surges: bool
    """Whether a new pod comes before an old one goes."""
    selector: Manifest
    """Which pods are its own."""
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
        progress = podstatus.condition(status, "Progressing")
        failed = progress if progress.get("status") == "False" else None
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
            stuck=_words(failed) if observed and failed is not None else None,
            stuck_at=_moment(failed),
            refused=podstatus.refusal(status) if observed else None,
            surges=_surges(spec.get("strategy") or {}),
            selector=spec.get("selector") or {},
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
    def limit(self) -> timedelta:
        """How long it may take where it is certain that waiting does not help: the default where it has no deadline."""
        none = self.deadline >= timedelta(seconds=_NO_DEADLINE)
        return timedelta(seconds=_PROGRESS_DEADLINE) + _GRACE if none else self.deadline

    @property
    def progress(self) -> str:
        """How far it has come, in words."""
        return f"{self.renewed} of {self.replicas} new pods of Deployment {self.name} are available"

    @property
    def renewed(self) -> int:
        """Pods of the newest template that are available, at least: pods of former templates may be, too."""
        return max(0, min(self.updated, self.available - (self.existing - self.updated)))

    @property
    def is_whole(self) -> bool:
        """Whether as many pods as are wanted serve, whatever they serve."""
        return self.available >= self.replicas


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
    snapshot: str | None = None
    """The VolumeSnapshot that it is made from."""
    manifest: Manifest | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> ClaimView:
        """From the object as the index keeps it."""
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        source = spec.get("dataSource") or {}
        return cls(
            name=meta["name"],
            labels=dict(meta.get("labels") or {}),
            deleting=bool(meta.get("deletionTimestamp")),
            bound=status.get("phase") == "Bound",
            storage=(status.get("capacity") or {}).get("storage") or asked,
            storage_class=spec.get("storageClassName"),
            access_modes=tuple(spec.get("accessModes") or ()),
            volume_mode=spec.get("volumeMode"),
            snapshot=source.get("name") if source.get("kind") == "VolumeSnapshot" else None,
            manifest=manifest,
        )

    def remember(self) -> str:
        """What a claim like this one is made from, as JSON."""
        fields = {
            "accessModes": list(self.access_modes),
            "storage": self.storage,
            "storageClassName": self.storage_class,
            "volumeMode": self.volume_mode,
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None}, sort_keys=True)

    @classmethod
    def remembered(cls, name: str, text: str | None) -> ClaimView | None:
        """The inverse of `remember`, for a claim that may be gone; None for anything else."""
        try:
            found = json.loads(text or "")
        except (ValueError, RecursionError):
            return None
        modes = found.get("accessModes") if isinstance(found, dict) else None
        if not isinstance(modes, list) or not modes or not all(isinstance(mode, str) for mode in modes):
            return None
        storage, storage_class, mode = (
            value if isinstance(value := found.get(field), str) else None
            for field in ("storage", "storageClassName", "volumeMode")
        )
        return cls(
            name=name,
            labels={},
            deleting=False,
            bound=False,
            storage=storage,
            storage_class=storage_class,
            access_modes=tuple(modes),
            volume_mode=mode,
        )

    @property
    def is_of_one_node(self) -> bool:
        """Whether no two nodes can mount it at once."""
        return set(self.access_modes) == {"ReadWriteOnce"}

    @property
    def is_labelled(self) -> bool:
        """Whether its labels say whose it is and what it holds."""
        ours = self.labels.get(MANAGED_BY_LABEL) == MANAGED_BY
        return ours and {names.POLICY_LABEL, names.STEP_LABEL, ATTEMPT_LABEL} <= set(self.labels)

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


def _words(condition: Manifest) -> str:
    return str(condition.get("message") or condition.get("reason") or NO_REASON)


def _moment(condition: Manifest | None) -> datetime | None:
    text = (condition or {}).get("lastTransitionTime")
    return parse_timestamp(text) if text else None


def _surges(strategy: Manifest) -> bool:
    if strategy.get("type") == "Recreate":
        return False
    return str((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")).rstrip("%") != "0"
