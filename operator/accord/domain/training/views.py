"""Jobs, pods and claims as a decision about a TrainingRun sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TRAINER_CONTAINER
from accord.domain.conditions import parse_timestamp
from accord.domain.numbers import whole
from accord.domain.training import names
from accord.domain.training.restart import Restart
from accord.domain.words import quote


@dataclass(frozen=True)
class End:
    """How a Job ended: all pods of it have, too."""

    succeeded: bool
    at: datetime | None
    reason: str
    message: str


@dataclass(frozen=True)
class JobView:
    """A batch/v1 Job of the run."""

    manifest: Manifest
    name: str
    attempt: int
    inputs: str
    created: datetime
    suspended: bool
    deleting: bool
    started: datetime | None
    failed: int
    """Pods of this Job that failed."""
    failed_before: int
    """Pods of earlier attempts that failed."""
    restart: Restart | None
    """What it was started from, where a rollback has said that."""
    end: End | None

    @classmethod
    def of(cls, manifest: Manifest) -> JobView:
        """From the object as the API server has it."""
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        annotations = meta.get("annotations") or {}
        started = status.get("startTime")
        return cls(
            manifest=manifest,
            name=meta["name"],
            attempt=_attempt(meta) or _attempt((spec.get("template") or {}).get("metadata") or {}),
            inputs=annotations.get(names.INPUTS_ANNOTATION, ""),
            created=parse_timestamp(meta["creationTimestamp"]),
            suspended=bool(spec.get("suspend")),
            deleting=bool(meta.get("deletionTimestamp")),
            started=parse_timestamp(started) if started else None,
            failed=int(status.get("failed") or 0),
            failed_before=whole(annotations.get(names.FAILED_BEFORE_ANNOTATION)) or 0,
            restart=Restart.on(manifest),
            end=_end(status),
        )


@dataclass(frozen=True)
class Problem:
    """What keeps a pod from running, or ended it: a reason that does not flap, and a sentence with what to do."""

    reason: str
    message: str


@dataclass(frozen=True)
class PodView:
    """A pod of the run."""

    name: str
    attempt: int
    phase: str
    created: datetime
    deleting: bool
    problem: Problem | None
    """Why it does not start, or why it failed; None where neither is the case."""

    @property
    def at_work(self) -> bool:
        """Whether a container of it may still run."""
        return self.phase not in ("Succeeded", "Failed")

    @classmethod
    def of(cls, manifest: Manifest) -> PodView:
        """From the object as the API server has it."""
        meta, status = manifest["metadata"], manifest.get("status") or {}
        phase = status.get("phase", "Pending")
        problem = _death(meta["name"], status) if phase == "Failed" else _obstacle(meta["name"], status)
        return cls(
            name=meta["name"],
            attempt=_attempt(meta),
            phase=phase,
            created=parse_timestamp(meta["creationTimestamp"]),
            deleting=bool(meta.get("deletionTimestamp")),
            problem=problem,
        )


def _attempt(meta: Manifest) -> int:
    """By the label. A Job may lose it; that of its pod template cannot change."""
    return whole((meta.get("labels") or {}).get(names.ATTEMPT_LABEL)) or 0


def _true(conditions: Iterable[Manifest], type_: str) -> Manifest | None:
    return next((c for c in conditions if c.get("type") == type_ and c.get("status") == "True"), None)


def _end(status: Manifest) -> End | None:
    """Complete and Failed are set when the last pod has ended; SuccessCriteriaMet and FailureTarget come before."""
    conditions = status.get("conditions") or ()
    for type_ in ("Complete", "Failed"):
        found = _true(conditions, type_)
        if found is not None:
            at = status.get("completionTime") or found.get("lastTransitionTime")
            return End(
                type_ == "Complete",
                parse_timestamp(at) if at else None,
                found.get("reason") or type_,
                found.get("message") or "",
            )
    return None


def _containers(status: Manifest) -> list[Manifest]:
    """Statuses of all containers, the trainer's first."""
    found = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return sorted(found, key=lambda container: bool(container.get("name") != TRAINER_CONTAINER))


def _obstacle(pod: str, status: Manifest) -> Problem | None:
    unscheduled = next(
        (c for c in status.get("conditions") or () if c.get("type") == "PodScheduled" and c.get("status") == "False"),
        None,
    )
    if unscheduled is not None:
        words = unscheduled.get("message") or "no node takes it"
        if "persistentvolumeclaim" in words.lower() and "not found" in words:
            return Problem("ClaimMissing", f"pod {pod} waits for its volume: {words}; create that claim")
        return Problem("Unschedulable", f"pod {pod} is not on any node yet: {quote(words)}")
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, name = waiting.get("reason") or "", container.get("name")
        if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"):
            # kubelet alternates between the first two, with changing words.
            return Problem(
                "ImagePull",
                f"image {container.get('image')} of container {name} cannot be pulled (pod {pod}); correct it in "
                "spec.template, or see `kubectl describe pod` for what the registry says",
            )
        if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
            return Problem(
                reason, f"container {name} of pod {pod} cannot be started: {quote(waiting.get('message') or reason)}"
            )
    return None


def _death(pod: str, status: Manifest) -> Problem:
    disrupted = _true(status.get("conditions") or (), "DisruptionTarget")
    if status.get("reason") == "Evicted":
        return Problem("Evicted", f"pod {pod} was evicted: {quote(status.get('message') or 'no reason was given')}")
    if disrupted is not None:
        words = quote(disrupted.get("message") or "no reason was given")
        return Problem(disrupted.get("reason") or "Disrupted", f"pod {pod} was disrupted: {words}")
    for container in _containers(status):
        ended = (container.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode"):
            return _exit(pod, str(container.get("name")), ended)
    words = quote(status.get("message") or "no reason was given")
    return Problem(status.get("reason") or "PodFailed", f"pod {pod} failed: {words}")


def _exit(pod: str, container: str, ended: dict[str, Any]) -> Problem:
    if ended.get("reason") == "OOMKilled":
        return Problem(
            "OOMKilled",
            f"container {container} of pod {pod} was killed for using more memory than its limit; raise "
            "resources.limits.memory in spec.template",
        )
    said = f": {quote(ended['message'])}" if ended.get("message") else ""
    return Problem(
        "ExitCode",
        f"container {container} of pod {pod} ended with exit code {ended['exitCode']}{said}; see "
        f"`kubectl logs {pod} -c {container}`",
    )
