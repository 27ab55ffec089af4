"""Attempts and their pods as a decision about a TrainingRun sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TRAINER_CONTAINER
from accord.domain import podstatus
from accord.domain.conditions import parse_timestamp
from accord.domain.numbers import whole
from accord.domain.plan import ObjectKey
from accord.domain.training import names
from accord.domain.training.admission import Admission
from accord.domain.training.restart import Restart
from accord.domain.warned import Warned
from accord.domain.words import NO_REASON, quote


@dataclass(frozen=True)
class End:
    """How an attempt ended: all pods of it have, too."""

    succeeded: bool
    at: datetime | None
    reason: str
    message: str
    again: bool = False
    """Whether another attempt is to follow, as long as the run allows a failure more. A Job counts by itself."""
    counts: bool = True
    """Whether it is a failure of the run, and not of what it ran on."""


@dataclass(frozen=True)
class AttemptView:
    """The object that runs an attempt, such as a Job."""

    manifest: Manifest
    key: ObjectKey
    attempt: int
    inputs: str
    created: datetime
    generation: int
    """1 until its spec is changed."""
    suspended: bool
    suspended_by: str | None
    """Who else than the operator set `spec.suspend` last; None where nobody did."""
    queue: str | None
    """Kueue's LocalQueue, by the label as it lives."""
    deleting: bool
    started: datetime | None
    failed: int
    """Pods of this attempt that failed."""
    failed_before: int
    """Pods of earlier attempts that failed."""
    restart: Restart | None
    """What it was started from, where a rollback has said that."""
    end: End | None
    given_up: bool = False
    """Whether a rollback has ended it, and it only stays for its logs."""
    priority: str | None = None
    """Kueue's WorkloadPriorityClass, by the label as it lives."""
    admission: Admission | None = None
    """What Kueue says of it, where it does."""
    begun: bool = True
    """Whether its trainer runs once its pod does."""
    once: bool = False
    """Whether it runs once: no other pod follows the one that trained, and none a suspension. Another attempt does."""
    workers: int = 0
    """Pods that are to help the one that trains."""
    obstacle: Problem | None = None
    """Why nothing comes of it, as it says itself."""
    deleted: datetime | None = None
    """Since when it has been told to go, where something holds it."""
    held: Problem | None = None
    """What holds it then, if that lasts."""

    @property
    def name(self) -> str:
        """Of the object."""
        return self.key.name

    @property
    def title(self) -> str:
        """The object in words: `Job r-1`."""
        return f"{self.key.kind} {self.key.name}"


@dataclass(frozen=True)
class Problem:
    """What keeps a pod from running, or ended it: a reason that does not flap, and a sentence with what to do."""

    reason: str
    message: str


@dataclass(frozen=True)
class TrainerExit:
    """How the container `trainer` of a pod ended, whatever became of the pod."""

    code: int
    at: datetime | None
    problem: Problem
    """Its end in words."""


@dataclass(frozen=True)
class PodView:
    """A pod of the run."""

    name: str
    uid: str
    attempt: int
    phase: str
    created: datetime
    node: str
    """Empty where it has none yet."""
    told_to_end: datetime | None
    """When its deletion was asked for."""
    due_to_end: datetime | None
    """When its grace period is over."""
    deadline: int | None
    """`spec.activeDeadlineSeconds`."""
    problem: Problem | None
    """Why it does not start, or why it failed; None where neither is the case."""
    trainer: TrainerExit | None
    """How its trainer ended; None while it has not."""
    others: tuple[str, ...]
    """Other containers that have not ended. Native sidecars are none of them: kubelet ends those by itself."""
    disrupted: bool
    """Whether it was told to stop from outside, so that an exit code of 0 says nothing."""

    lost_since: datetime | None = None
    """Since when its node does not answer, as the node lifecycle controller says; None where it does."""
    role: Literal["", "worker", "submitter"] = ""
    """What it does for the pod that trains; empty for that one."""
    created_nothing: bool = False
    """Whether it has a node, but no container yet: its status does not say why."""

    def explained(self, warned: Warned | None) -> PodView:
        """The same with what Kubernetes last warned of it."""
        if warned is None or not self.created_nothing or self.problem is not None:
            return self
        return replace(self, problem=Problem(warned.reason, f"cannot start pod {self.name}: {quote(warned.note)}"))

    @property
    def deleting(self) -> bool:
        """Whether it was told to go."""
        return self.due_to_end is not None

    @property
    def at_work(self) -> bool:
        """Whether a container of it may still run."""
        return self.phase not in ("Succeeded", "Failed")

    @classmethod
    def of(cls, manifest: Manifest) -> PodView:
        """From the object as the API server has it."""
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        phase = status.get("phase", "Pending")
        problem = _death(meta["name"], status) if phase == "Failed" else _obstacle(meta["name"], status)
        due = parse_timestamp(meta["deletionTimestamp"]) if meta.get("deletionTimestamp") else None
        lost = podstatus.lost_since(status)
        grace = timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)
        return cls(
            name=meta["name"],
            uid=meta.get("uid", ""),
            attempt=attempt_of(meta),
            phase=phase,
            created=parse_timestamp(meta["creationTimestamp"]),
            node=spec.get("nodeName") or "",
            # The API server writes down when the grace period will be over.
            told_to_end=None if due is None else due - grace,
            due_to_end=due,
            deadline=spec.get("activeDeadlineSeconds"),
            problem=problem,
            trainer=_trainer(meta["name"], status),
            others=_others(status),
            lost_since=parse_timestamp(lost) if lost else None,
            created_nothing=phase == "Pending" and bool(spec.get("nodeName")) and not _begun(status),
            disrupted=bool(
                due or status.get("reason") or _true(status.get("conditions") or (), "DisruptionTarget") is not None
            ),
        )


def as_made(manifest: Manifest, api_version: str, kind: str, template: Manifest) -> dict[str, Any]:
    """Fields of an AttemptView that objects of all kinds have in the same place, as they live.

    `template` is the metadata of the pods that train: the object may lose its label, they keep it.
    """
    meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
    annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    started = status.get("startTime")
    return {
        "manifest": manifest,
        "key": ObjectKey(api_version, kind, meta.get("namespace", ""), meta["name"]),
        "attempt": attempt_of(meta) or attempt_of(template),
        "inputs": annotations.get(names.INPUTS_ANNOTATION, ""),
        "created": parse_timestamp(meta["creationTimestamp"]),
        "generation": int(meta.get("generation") or 0),
        "suspended": bool(spec.get("suspend")),
        "suspended_by": (manifest.get("managers") or {}).get("suspend"),
        "queue": labels.get(names.QUEUE_LABEL),
        "priority": labels.get(names.PRIORITY_LABEL),
        "deleting": bool(meta.get("deletionTimestamp")),
        "started": parse_timestamp(started) if started else None,
        "failed_before": whole(annotations.get(names.FAILED_BEFORE_ANNOTATION)) or 0,
        "restart": Restart.on(manifest),
    }


def attempt_of(meta: Manifest) -> int:
    """The attempt that an object belongs to, by its label; 0 where that says none."""
    return whole((meta.get("labels") or {}).get(names.ATTEMPT_LABEL)) or 0


def _true(conditions: Iterable[Manifest], type_: str) -> Manifest | None:
    return next((c for c in conditions if c.get("type") == type_ and c.get("status") == "True"), None)


def _containers(status: Manifest) -> list[Manifest]:
    """Statuses of all containers, the trainer's first."""
    found = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return sorted(found, key=lambda container: bool(container.get("name") != TRAINER_CONTAINER))


def _trainer(pod: str, status: Manifest) -> TrainerExit | None:
    for container in status.get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated")
        if container.get("name") == TRAINER_CONTAINER and ended:
            at = ended.get("finishedAt")
            problem = _exit(pod, TRAINER_CONTAINER, {"exitCode": 0, **ended})
            return TrainerExit(int(ended.get("exitCode") or 0), parse_timestamp(at) if at else None, problem)
    return None


def _begun(status: Manifest) -> bool:
    """Whether any container of the pod was created."""
    waits = ((c.get("state") or {}).get("waiting") or {} for c in _containers(status))
    return any(why.get("reason") not in ("ContainerCreating", "PodInitializing") for why in waits)


def _others(status: Manifest) -> tuple[str, ...]:
    return tuple(
        str(container.get("name"))
        for container in status.get("containerStatuses") or ()
        if container.get("name") != TRAINER_CONTAINER and not (container.get("state") or {}).get("terminated")
    )


def _obstacle(pod: str, status: Manifest) -> Problem | None:
    unscheduled = next(
        (c for c in status.get("conditions") or () if c.get("type") == "PodScheduled" and c.get("status") == "False"),
        None,
    )
    if unscheduled is not None:
        words = unscheduled.get("message") or "not scheduled"
        if "persistentvolumeclaim" in words.lower() and "not found" in words:
            return Problem(
                "ClaimMissing", f"pod {pod} is waiting for its volume: {words}; create that PersistentVolumeClaim"
            )
        return Problem("Unschedulable", f"cannot schedule pod {pod}: {quote(words)}")
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, name = waiting.get("reason") or "", container.get("name")
        if reason in podstatus.IMAGE:
            # The words change with each try.
            return Problem(
                "ImagePull",
                f"cannot pull image {container.get('image')} of container {name} (pod {pod}): fix it in spec.template, "
                f"or see `kubectl describe pod {pod}`",
            )
        if reason in podstatus.CONFIG:
            return Problem(
                reason, f"cannot start container {name} of pod {pod}: {quote(waiting.get('message') or reason)}"
            )
    return None


def _death(pod: str, status: Manifest) -> Problem:
    disrupted = _true(status.get("conditions") or (), "DisruptionTarget")
    if status.get("reason") == "Evicted":
        return Problem("Evicted", f"pod {pod} was evicted: {quote(status.get('message') or 'no reason given')}")
    if disrupted is not None:
        words = quote(disrupted.get("message") or NO_REASON)
        return Problem(disrupted.get("reason") or "Disrupted", f"pod {pod} was disrupted: {words}")
    for container in _containers(status):
        ended = (container.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode"):
            return _exit(pod, str(container.get("name")), ended)
    words = quote(status.get("message") or NO_REASON)
    return Problem(status.get("reason") or "PodFailed", f"pod {pod} failed: {words}")


def _exit(pod: str, container: str, ended: dict[str, Any]) -> Problem:
    if ended.get("reason") == "OOMKilled":
        return Problem(
            "OOMKilled",
            f"container {container} of pod {pod} exceeded its memory limit: increase "
            "resources.limits.memory in spec.template",
        )
    said = f": {quote(ended['message'])}" if ended.get("message") else ""
    if not ended["exitCode"]:
        return Problem("Completed", f"container {container} of pod {pod} ended with exit code 0{said}")
    return Problem(
        "ExitCode",
        f"container {container} of pod {pod} ended with exit code {ended['exitCode']}{said}; see "
        f"`kubectl logs {pod} -c {container}`",
    )
