"""The pod of an attempt that a rollback gives up, kept for whoever looks into it: ended, with its logs.

A Job that is deleted or suspended takes its pods along. So it is made to fail instead: no more failures are allowed
than it has had, and then its pod is given a deadline that has passed. Kubelet stops it as any other (it saves), the Job
ends as failed and makes no other pod, and both stay until `spec.ttlAfterGivenUp` is over. A pod that has ended holds
nothing: kubelet unmounts its volumes and the scheduler does not count it. A Job that Kueue holds is not written, so it
goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from accord.api.base import Manifest, format_duration
from accord.api.v1alpha1.trainingrun import TRAINER_CONTAINER, TrainingRun
from accord.domain.plan import ObjectKey
from accord.domain.training import names, queueing
from accord.domain.training.views import JobView, PodView

PAST = 1
"""`activeDeadlineSeconds`, counted from the start of the pod. The API server takes no less, and lets it be lowered."""


def worth_keeping(run: TrainingRun, job: JobView, pods: Iterable[PodView]) -> bool:
    """Whether there is anything to be seen later: a pod that runs."""
    if not run.spec.ttl_after_given_up or job.end is not None or job.suspended or queueing.is_held(run, job):
        return False
    return any(pod.attempt == job.attempt and pod.phase == "Running" and not pod.deleting for pod in pods)


def to_end(job: JobView | None, pods: Iterable[PodView], namespace: str) -> Manifest | None:
    """The part of the pod of a given-up Job that ends it as failed; None where it is told, or ends already."""
    for pod in pods:
        if job is None or not job.given_up or pod.attempt != job.attempt:
            continue
        told = pod.deleting or (pod.deadline is not None and pod.deadline <= PAST)
        if pod.phase == "Running" and not told:
            return ended(pod, namespace)
    return None


def ended(pod: PodView, namespace: str) -> Manifest:
    """The part of a pod that ends it as failed."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": pod.name, "uid": pod.uid},
        "spec": {"activeDeadlineSeconds": PAST},
    }


def no_use(job: JobView | None, pods: Iterable[PodView]) -> bool:
    """Whether a given-up Job has got a pod that does not run, as after an eviction: kubelet would not end that one."""
    if job is None or not job.given_up or job.end is not None or job.deleting:
        return False
    return any(p.attempt == job.attempt and p.at_work and p.phase != "Running" and not p.deleting for p in pods)


def outdated(run: TrainingRun, jobs: Iterable[JobView], now: datetime) -> tuple[ObjectKey, ...]:
    """Given-up Jobs that were kept long enough."""
    return tuple(
        ObjectKey("batch/v1", "Job", run.metadata.namespace, job.name)
        for job in jobs
        if (left := _left(run, job, now)) is not None and left <= 0 and not job.deleting
    )


def seconds_left(run: TrainingRun, jobs: Iterable[JobView], now: datetime) -> float | None:
    """Seconds until the next one goes; None where none is kept."""
    waits = [left for job in jobs if (left := _left(run, job, now)) is not None and left > 0]
    return min(waits, default=None)


def _left(run: TrainingRun, job: JobView, now: datetime) -> float | None:
    if not job.given_up or job.end is None:
        return None
    return ((job.end.at or job.created) + run.spec.ttl_after_given_up - now).total_seconds()


def where_to_look(run: TrainingRun, pods: Iterable[PodView], attempt: int) -> str:
    """Where the logs of an attempt are; empty where no pod of it is left."""
    kept = sorted((pod for pod in pods if pod.attempt == attempt), key=lambda pod: (pod.created, pod.name))
    if not kept:
        return ""
    span = format_duration(run.spec.ttl_after_given_up)
    return f"; its pod is kept for {span}: `kubectl logs {kept[-1].name} -c {TRAINER_CONTAINER}`"


def given_up(job: JobView) -> dict[str, str]:
    """The annotation of a Job that is given up: the failures that it had had by then."""
    return {names.GIVEN_UP_ANNOTATION: str(job.failed)}
