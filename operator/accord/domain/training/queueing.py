"""Kueue: who starts and stops the Job of a run.

A run may name its LocalQueue, in its spec or as all of Kueue's own kinds do, by a label. But a cluster may also put a
Job under Kueue that names none: a LocalQueue called `default` labels it, and `manageJobsWithoutQueueName` takes all.
So whether a Job is Kueue's is read from the Job as it lives. If it is, its `suspend` and its template are never
written: Kueue would put back what it wants, and the pods that start between are killed.
"""

from __future__ import annotations

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.training import names
from accord.domain.training.views import JobView

_MANAGER = "kueue"
"""How Kueue signs its writes (`managedFields`)."""


def with_queue(run: TrainingRun) -> TrainingRun:
    """The run with the queue of its label, where its spec names none."""
    label = run.metadata.labels.get(names.QUEUE_LABEL)
    if not label or run.spec.queue_name is not None:
        return run
    return run.model_copy(update={"spec": run.spec.model_copy(update={"queue_name": label})})


def is_held(run: TrainingRun, job: JobView) -> bool:
    """Whether Kueue starts and stops this Job. `run` is one of `with_queue`.

    The operator makes a Job suspended only for a queue. One that is suspended as it was made was so by admission.
    """
    by_admission = job.suspended and job.generation == 1
    return run.spec.queue_name is not None or bool(job.queue) or _is_signed(job) or by_admission


def waits(run: TrainingRun, job: JobView) -> str:
    """What a suspended Job that is held waits for, and what to do where nobody has asked for a queue."""
    if run.spec.queue_name is not None:
        return f"waiting for admission by queue {run.spec.queue_name}"
    how = "set spec.queueName to choose a queue (spec.suspend must be true while it changes)"
    if job.queue:
        return f"waiting for admission by queue {job.queue}: the run names none, Kueue put Job {job.name} there; {how}"
    if _is_signed(job):
        return f"Kueue suspended Job {job.name} because it is in no queue; {how}"
    return f"Job {job.name} was suspended by admission, as Kueue does with Jobs that are in no queue; {how}"


def remark(run: TrainingRun) -> str | None:
    """What to say about the label of the run as it was written; None where it has none."""
    label = run.metadata.labels.get(names.QUEUE_LABEL)
    if not label or run.spec.queue_name == label:
        return None
    if run.spec.queue_name is None:
        return f"label {names.QUEUE_LABEL} is used as spec.queueName: {label}"
    return f"spec.queueName {run.spec.queue_name} takes precedence over {label} in label {names.QUEUE_LABEL}"


def _is_signed(job: JobView) -> bool:
    return (job.suspended_by or "").startswith(_MANAGER)
