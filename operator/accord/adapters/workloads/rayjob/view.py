"""A RayJob of KubeRay, as a decision about its run sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from accord.api.base import Manifest
from accord.domain.conditions import parse_timestamp
from accord.domain.training.views import AttemptView, End, PodView, Problem, as_made
from accord.domain.words import quote

API_VERSION, KIND = "ray.io/v1", "RayJob"
_NODE_TYPE = "ray.io/node-type"
"""KubeRay's label of the pods of a cluster: head or worker."""
_OVER = ("SUCCEEDED", "FAILED", "STOPPED")
"""What Ray says of a job that has ended."""
_UNSEEN = timedelta(minutes=1)
"""How long a job may be said to run by KubeRay while no head is seen: watches lag, by far less."""


class RayJobView(AttemptView):
    """A RayJob of the run."""

    @classmethod
    def of(cls, manifest: Manifest) -> RayJobView:
        """From the object as the API server has it. Total."""
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        cluster = spec.get("rayClusterSpec") or {}
        head = ((cluster.get("headGroupSpec") or {}).get("template") or {}).get("metadata") or {}
        end = _end(status)
        return cls(
            **as_made(manifest, API_VERSION, KIND, head),
            failed=1 if end is not None and not end.succeeded and end.counts else 0,
            end=end,
            begun=(status.get("jobStatus") or "PENDING") != "PENDING",
            once=True,
            workers=sum(int(group.get("replicas") or 0) for group in cluster.get("workerGroupSpecs") or ()),
            obstacle=_obstacle(meta, spec, status),
            deleted=parse_timestamp(meta["deletionTimestamp"]) if meta.get("deletionTimestamp") else None,
            held=_held(meta),
        )


def _end(status: Manifest) -> End | None:
    """Complete and Failed are for good. One that ran for too long ends the run, as a Job does."""
    state, job = status.get("jobDeploymentStatus"), status.get("jobStatus")
    if state not in ("Complete", "Failed"):
        return None
    at = parse_timestamp(status["endTime"]) if status.get("endTime") else None
    words = quote(status.get("message") or "")
    if state == "Complete" and job == "SUCCEEDED":
        return End(True, at, "Complete", words)
    if state == "Complete":
        # Somebody has stopped it, or the head was told to end: no failure of the trainer.
        return End(False, at, "Stopped", "the Ray job was stopped before it finished", again=True, counts=False)
    reason = status.get("reason") or "Failed"
    if reason == "DeadlineExceeded":
        return End(False, at, reason, words)
    return End(False, at, reason, f"the Ray job failed ({reason}){f': {words}' if words else ''}", again=True)


def _obstacle(meta: Manifest, spec: Manifest, status: Manifest) -> Problem | None:
    """What KubeRay refuses, or that it does nothing at all."""
    state = status.get("jobDeploymentStatus")
    if state == "ValidationFailed":
        return Problem(
            "ValidationFailed", f"KubeRay refuses RayJob {meta['name']}: {quote(status.get('message') or '')}"
        )
    if not state and not spec.get("suspend"):
        return Problem(
            "KubeRayNotResponding",
            f"KubeRay has not started RayJob {meta['name']}: check that its operator runs and watches namespace "
            f"{meta.get('namespace', '')}",
        )
    return None


def _held(meta: Manifest) -> Problem:
    """KubeRay stops the Ray job before it lets go."""
    name, namespace = meta["name"], meta.get("namespace", "")
    return Problem(
        "KubeRayNotResponding",
        f"RayJob {name} is being deleted, but KubeRay has not removed its finalizer: check that it runs and watches "
        f"namespace {namespace}; if KubeRay will not come back: `kubectl patch rayjob {name} -n {namespace} "
        """--type=merge -p '{"metadata":{"finalizers":null}}'`""",
    )


def pod_of(manifest: Manifest) -> PodView:
    """A pod of a Ray cluster, or the one that submits the job. The end of the container is none of the trainer's."""
    role = _role((manifest["metadata"].get("labels") or {}).get(_NODE_TYPE))
    return replace(PodView.of(manifest), trainer=None, others=(), role=role)


def _role(node_type: str | None) -> Literal["", "worker", "submitter"]:
    if node_type == "head":
        return ""
    return "worker" if node_type == "worker" else "submitter"


def lost(live: AttemptView, pods: Sequence[PodView], now: datetime) -> End | None:
    """How a RayJob has ended that still waits for its driver: that was on a head which is no more.

    KubeRay asks Ray every few seconds, says `Running` as long as nothing answers, and makes no other head (1.5.0), or
    another one, on which no driver is. It writes down which pod was the head when the job began to run. Where it asks
    through the API server it forgets that again, and takes what that says of a head that is silent for Ray's word.
    """
    status = live.manifest.get("status") or {}
    began = (status.get("rayJobInfo") or {}).get("startTime")
    if status.get("jobDeploymentStatus") != "Running" or status.get("jobStatus") in _OVER or not began:
        return None
    heads = [pod for pod in pods if not pod.role]
    name = ((status.get("rayClusterStatus") or {}).get("head") or {}).get("podName")
    if name:
        head = next((pod for pod in heads if pod.name == name), None)
    else:
        head = next((pod for pod in heads if pod.created <= parse_timestamp(began)), None)
    if head is None:
        if not heads and parse_timestamp(began) + _UNSEEN > now:
            return None
        which = f"pod {name}, the head of the Ray cluster," if name else "the head of the Ray cluster"
        return End(False, None, "HeadLost", f"{which} is gone, and the trainer with it", again=True)
    name = head.name
    if head.at_work and not head.deleting:
        return None
    if head.at_work or head.problem is None:
        message = f"pod {name}, the head of the Ray cluster, was told to end"
        return End(False, None, "HeadLost", message, again=True, counts=False)
    return End(False, None, head.problem.reason, head.problem.message, again=True, counts=not head.disrupted)
