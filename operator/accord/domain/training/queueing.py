"""Kueue: who starts and stops the Job of a run.

A run may name its LocalQueue, in its spec or, as all of Kueue's own kinds do, by a label. But a cluster may also put a
Job under Kueue that names none: a LocalQueue called `default` labels it, and `manageJobsWithoutQueueName` takes all.
So whether a Job is Kueue's is read from the Job as it lives, and from the Workload that Kueue makes for it. If it is,
its `suspend` and its template are never written: Kueue would put back what it wants, and the pods that start between
are killed. A run that is suspended is so by its Workload (`spec.active`), which keeps its place in the queue.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.training import admission, names
from accord.domain.training.admission import Admission
from accord.domain.training.views import AttemptView

_MANAGER = "kueue"
"""How Kueue signs its writes (`managedFields`)."""


def queue(run: TrainingRun) -> str | None:
    """The LocalQueue in which the next attempt is made: that of the spec, or else that of the label.

    A label is no part of what an attempt is made from: tools put labels on whole folders, and no training may be
    replaced for that.
    """
    return run.spec.queue_name or run.metadata.labels.get(names.QUEUE_LABEL) or None


def queue_of(run: TrainingRun, job: AttemptView | None) -> str | None:
    """The LocalQueue of the newest attempt, or of the one that is about to be made."""
    if job is None or job.given_up or job.deleting:
        return queue(run)
    return job.queue or (job.admission.queue or None if job.admission is not None else None)


def priority(run: TrainingRun) -> str | None:
    """The WorkloadPriorityClass of the next attempt: that of the spec, or else that of the label."""
    return run.spec.priority_class or run.metadata.labels.get(names.PRIORITY_LABEL) or None


def priority_to_be(run: TrainingRun, job: AttemptView) -> str | None:
    """The WorkloadPriorityClass that a Job can have by now.

    Kueue's webhook refuses to take it away, and to give one to a Job that runs (pkg/controller/jobframework,
    validation.go).
    """
    wanted = priority(run)
    if wanted is None or (job.priority is None and not job.suspended):
        return job.priority
    return wanted


def is_held(run: TrainingRun, job: AttemptView) -> bool:
    """Whether Kueue starts and stops this Job.

    The operator makes a Job suspended only for a queue. One that is suspended as it was made was so by admission.
    """
    by_admission = job.suspended and job.generation == 1
    named = run.spec.queue_name is not None or bool(job.queue)
    return named or job.admission is not None or _is_signed(job) or by_admission


def keeps_place(job: AttemptView) -> bool:
    """Whether a Job that is held can be suspended in its place: it has a Workload to say it to."""
    return job.admission is not None and not job.admission.finished


def switched(run: TrainingRun, job: AttemptView | None) -> Manifest | None:
    """The part of the Workload that suspends an attempt or lets it go on; None where it is as it should be.

    What somebody else has stopped, a person or Kueue itself, is theirs to start.
    """
    found = None if job is None or job.deleting or job.end is not None else job.admission
    if found is None or found.finished or run.spec.suspend == (not found.active):
        return None
    if not found.active and not found.stopped_by_us:
        return None
    return {
        "apiVersion": found.key.api_version,
        "kind": found.key.kind,
        "metadata": {"namespace": found.key.namespace, "name": found.key.name, "uid": found.uid},
        "spec": {"active": not run.spec.suspend},
    }


class Wait(NamedTuple):
    """Why a Job that is held is not started."""

    reason: str
    message: str
    needs_person: bool = False
    """Whether nobody but a person can end that."""
    since: datetime | None = None


def waiting(run: TrainingRun, job: AttemptView, *, has_pod: bool) -> Wait:
    """What a suspended Job that is held waits for, as Kueue says it. `has_pod`: one of it still ends."""
    found = job.admission
    if found is None:
        return Wait("Queued", waits(run, job))
    why, evicted = found.why(), found.why_evicted()
    if has_pod and evicted is not None:
        message = f"Kueue stops attempt {job.attempt}, its pod is saving and terminating: {evicted.message}"
        return Wait(evicted.reason, message)
    if not found.active and not found.stopped_by_us:
        return _deactivated(found)
    if found.admitted:
        return Wait("Queued", f"admitted by queue {found.queue}: {job.title} is about to start")
    if why is None or _was_suspended(found):
        return Wait("Queued", waits(run, job))
    if why.reason == "Queued":
        return Wait("Queued", f"{waits(run, job)}: {why.message}")
    needs_person = why.reason in (admission.NOT_FOUND, admission.TOO_LARGE, "Inadmissible")
    return Wait(why.reason, f"Kueue cannot admit {job.title}: {why.message}", needs_person, why.since)


def _was_suspended(found: Admission) -> bool:
    """Whether it was inactive, is not any more, and Kueue has not said anything since."""
    evicted, quota = found.evicted, found.quota
    return (
        evicted is not None
        and evicted.reason == "Deactivated"
        and quota is not None
        and quota.message == evicted.message
    )


def _deactivated(found: Admission) -> Wait:
    said = found.evicted
    why = f": {said.message}" if said is not None and said.message else ""
    message = (
        f"Workload {found.key.name} was deactivated{why}; to queue it again: kubectl patch workload {found.key.name} "
        """--type merge -p '{"spec":{"active":true}}'"""
    )
    return Wait("Deactivated", message, needs_person=True)


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
