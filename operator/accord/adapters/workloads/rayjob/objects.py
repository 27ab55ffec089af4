"""The RayJob of an attempt: as it is made, and as it is written again later.

KubeRay runs an attempt once: no retry of its own, neither of the RayJob nor of the pod that submits. Either would start
a driver while that of the cluster before may still save: KubeRay waits for its objects to go, not for its pods to end.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping

from accord.adapters.workloads.rayjob.limits import DASHBOARD, PORTS
from accord.adapters.workloads.rayjob.view import API_VERSION, KIND
from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TRAINER_CONTAINER, Ray, RayWorkers, TrainingRun
from accord.domain.plan import ObjectKey
from accord.domain.training import names, queueing
from accord.domain.training.inputs import inputs
from accord.domain.training.resources import attempt_metadata, claim_name, is_marked
from accord.domain.training.restart import Restart
from accord.domain.training.template import pod_template
from accord.domain.training.views import AttemptView

NAME_LIMIT = 47
"""Of a RayJob: KubeRay adds to it for the RayCluster, and to that for pods and Services (MaxRayJobNameLength)."""
_GRACE = 30
"""Seconds that Kubernetes gives a pod to end where its template says nothing."""
_REST = 5
"""Of them, seconds for Ray itself to end once the job has."""


def ray_job_key(run: TrainingRun, attempt: int) -> ObjectKey:
    """Identity of the RayJob of one attempt."""
    return ObjectKey(API_VERSION, KIND, run.metadata.namespace, names.job(run.metadata.name, attempt, NAME_LIMIT))


def ray_job(run: TrainingRun, ray: Ray, attempt: int, failed_before: int, restart: Restart | None = None) -> Manifest:
    """The RayJob of an attempt, which goes on from `restart` where that is given."""
    key = ray_job_key(run, attempt)
    head = pod_template(run, attempt, claim_name(run), restart)
    trainer, others = _divided(head["spec"]["containers"])
    command = [*trainer.get("command", ()), *trainer.get("args", ())]
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": attempt_metadata(
            run, key, attempt, inputs=inputs(run), failed_before=failed_before, restart=restart
        ),
        "spec": {
            "jobId": key.name,
            "entrypoint": shlex.join(map(str, command)),
            "submissionMode": "K8sJobMode",
            "backoffLimit": 0,
            "submitterConfig": {"backoffLimit": 0},
            "shutdownAfterJobFinishes": True,
            **_deadline(run),
            "submitterPodTemplate": _submitter(run, attempt, head, trainer),
            "rayClusterSpec": {
                "rayVersion": ray.version,
                "headGroupSpec": {
                    "rayStartParams": {"dashboard-host": "0.0.0.0", **ray.start_params},  # noqa: S104 - in its pod
                    "template": _head(head, trainer, others, key.name),
                },
                "workerGroupSpecs": [_workers(run, attempt, group) for group in ray.workers],
            },
        },
    }


def _deadline(run: TrainingRun) -> Manifest:
    limit = run.spec.active_deadline_seconds
    return {} if limit is None else {"activeDeadlineSeconds": limit}


def _divided(containers: list[Manifest]) -> tuple[Manifest, list[Manifest]]:
    """The trainer, and what runs beside it."""
    trainer = next(each for each in containers if each.get("name") == TRAINER_CONTAINER)
    return trainer, [each for each in containers if each is not trainer]


def _head(template: Manifest, trainer: Manifest, others: list[Manifest], job_id: str) -> Manifest:
    """The pod of the run's template, with Ray in the place of the command, which is submitted to it.

    SIGTERM ends Ray and does not reach the driver. So the job is stopped first, which sends it SIGTERM, and SIGKILL
    after a time that leaves Ray some of the pod's own.
    """
    spec = template["spec"]
    grace = int(spec.get("terminationGracePeriodSeconds", _GRACE))
    env: Mapping[str, str] = {
        **_RAY,
        "RAY_JOB_STOP_WAIT_TIME_S": str(max(grace - _REST, 1)),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "1",
    }
    stop = ["ray", "job", "stop", "--address", f"http://127.0.0.1:{DASHBOARD}", job_id]
    lifecycle: Manifest = {**(trainer.get("lifecycle") or {}), "preStop": {"exec": {"command": stop}}}
    ray = {
        **{name: value for name, value in trainer.items() if name not in ("command", "args")},
        "env": _with(trainer.get("env") or [], env),
        "lifecycle": lifecycle,
        "ports": _ports(trainer.get("ports") or []),
    }
    # KubeRay takes the first container for Ray's.
    return {**template, "spec": {**spec, "containers": [ray, *others]}}


_RAY: Mapping[str, str] = {
    # Ray 2.60 wants a token for its dashboard, and KubeRay gives it one from 1.5.1 on only.
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def _with(env: list[Manifest], more: Mapping[str, str]) -> list[Manifest]:
    """What the template says itself stays, but for what all depends on."""
    said = {entry.get("name") for entry in env} - {"RAY_JOB_STOP_WAIT_TIME_S"}
    kept = [entry for entry in env if entry.get("name") != "RAY_JOB_STOP_WAIT_TIME_S"]
    return [*kept, *({"name": name, "value": value} for name, value in more.items() if name not in said)]


def _ports(given: list[Manifest]) -> list[Manifest]:
    """KubeRay makes its Service of those of the container, and adds its own only where there are none at all."""
    named = {port.get("name") for port in given}
    missing = {name: number for name, number in PORTS.items() if name not in named}
    return [*given, *({"name": name, "containerPort": number, "protocol": "TCP"} for name, number in missing.items())]


def _workers(run: TrainingRun, attempt: int, group: RayWorkers) -> Manifest:
    template: Manifest = copy.deepcopy(group.template)
    spec = dict(template.get("spec") or {})
    first, *others = spec.get("containers") or [{}]
    # KubeRay replaces a worker that has ended.
    spec |= {"restartPolicy": "Never", "containers": [{**first, "env": _with(first.get("env") or [], _RAY)}, *others]}
    return {
        "groupName": group.name,
        "replicas": group.replicas,
        "minReplicas": group.replicas,
        "maxReplicas": group.replicas,
        "rayStartParams": dict(group.start_params),
        "template": {**template, "metadata": _labelled(run, attempt, template), "spec": spec},
    }


def _labelled(run: TrainingRun, attempt: int, template: Manifest) -> Manifest:
    meta: Manifest = dict(template.get("metadata") or {})
    return {**meta, "labels": {**(meta.get("labels") or {}), **names.labels(run.metadata.name, attempt)}}


def _submitter(run: TrainingRun, attempt: int, head: Manifest, trainer: Manifest) -> Manifest:
    """The pod that submits the job and prints its log, where the head may run as well. KubeRay gives it its command."""
    shared = ("imagePullSecrets", "nodeSelector", "tolerations", "serviceAccountName", "securityContext", "affinity")
    pod: Manifest = {name: head["spec"][name] for name in shared if name in head["spec"]}
    container: Manifest = {
        "name": names.SUBMITTER_CONTAINER,
        **{name: trainer[name] for name in ("image", "imagePullPolicy", "securityContext") if name in trainer},
        "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"memory": "1Gi"}},
    }
    return {
        "metadata": {"labels": names.labels(run.metadata.name, attempt)},
        "spec": {**pod, "restartPolicy": "Never", "containers": [container]},
    }


def to_apply(run: TrainingRun, live: AttemptView) -> Manifest | None:
    """The RayJob with what changes in place: its limit of time, and what it is watched by. None where it is right, or
    where Kueue holds it.
    """
    if live.deleting or live.end is not None or queueing.is_held(run, live):
        return None
    if is_marked(run, live) and not limits_differ(run, live):
        return None
    spec = live.manifest.get("spec") or {}
    kept = {name: value for name, value in spec.items() if name != "activeDeadlineSeconds"}
    return {
        "apiVersion": live.key.api_version,
        "kind": live.key.kind,
        "metadata": attempt_metadata(
            run, live.key, live.attempt, inputs=live.inputs, failed_before=live.failed_before, restart=live.restart
        ),
        "spec": {**kept, **_deadline(run)},
    }


def limits_differ(run: TrainingRun, live: AttemptView) -> bool:
    """Whether the RayJob has another limit of time than the spec says. Failures are counted by the run."""
    spec = live.manifest.get("spec") or {}
    return bool(spec.get("activeDeadlineSeconds") != run.spec.active_deadline_seconds)
