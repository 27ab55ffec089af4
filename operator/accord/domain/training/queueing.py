"""Kueue: who starts and stops the Job of a run.

A run may name its LocalQueue, in its spec or, as all of Kueue's own kinds do, by a label. But a cluster may also put a
Job under Kueue that names none: a LocalQueue called `default` labels it, and `manageJobsWithoutQueueName` takes all.
So whether a Job is Kueue's is read from the Job as it lives. If it is, its `suspend` and its template are never
written: Kueue would put back what it wants, and the pods that start between are killed.
"""

from __future__ import annotations

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.training import names
from accord.domain.training.views import AttemptView

_MANAGER = "kueue"
"""How Kueue signs its writes (`managedFields`)."""


def queue(run: TrainingRun) -> str | None:
    """The LocalQueue in which the next attempt is made: that of the spec, or else that of the label.

    A label is no part of what an attempt is made from: tools put labels on whole folders, and no training may be
    replaced for that.
    """
    return run.spec.queue_name or run.metadata.labels.get(names.QUEUE_LABEL) or None


def is_held(run: TrainingRun, job: AttemptView) -> bool:
    """Whether Kueue starts and stops this Job.

    The operator makes a Job suspended only for a queue. One that is suspended as it was made was so by admission.
    """
    by_admission = job.suspended and job.generation == 1
    return run.spec.queue_name is not None or bool(job.queue) or _is_signed(job) or by_admission


def is_to_move(run: TrainingRun, job: AttemptView) -> bool:
    """Whether a Job that rests is in another queue than its run names by now, so that it must not be what goes on."""
    return job.suspended and queue(run) not in (None, job.queue)


def waits(run: TrainingRun, job: AttemptView) -> str:
    """What a suspended Job that is held waits for, and what to do where nobody has asked for a queue."""
    if run.spec.queue_name is not None:
        return f"waiting for admission by queue {run.spec.queue_name}"
    how = "set spec.queueName to choose a queue (spec.suspend must be true while it changes)"
    if job.queue and queue(run) is not None:
        return f"waiting for admission by queue {job.queue}"
    if job.queue:
        return f"waiting for admission by queue {job.queue}: the run names none, {job.title} is labelled with it; {how}"
    if _is_signed(job):
        return f"Kueue suspended {job.title} because it is in no queue; {how}"
    return f"{job.title} was suspended by admission, as Kueue does with Jobs that are in no queue; {how}"


def remark(run: TrainingRun, job: AttemptView | None) -> str | None:
    """What to say about the label of the run, beside the Job of its attempt; None where both are as they seem."""
    label, named = run.metadata.labels.get(names.QUEUE_LABEL), run.spec.queue_name
    if named is not None:
        if not label or named == label:
            return None
        return f"spec.queueName {named} takes precedence over {label} in label {names.QUEUE_LABEL}"
    here = None if job is None else job.queue or None
    if not label:
        if job is None or here is None:
            return None
        return f"{job.title} stays in queue {here}; the run names none for the next attempt"
    if job is None or here == label:
        return f"label {names.QUEUE_LABEL} is used as spec.queueName: {label}"
    where = f"is in queue {here}" if here else "was created without a queue"
    return (
        f"queue {label} of label {names.QUEUE_LABEL} takes effect with the next attempt: {job.title} {where}; to "
        "move it now, set spec.suspend to true and then back to false"
    )


def _is_signed(job: AttemptView) -> bool:
    return (job.suspended_by or "").startswith(_MANAGER)
