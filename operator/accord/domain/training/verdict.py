"""What is true of a run now: its phase, and why it is ready, still on its way, or stuck.

A list of checks for each state that a run can be in; the first that has something to say is the verdict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from accord.domain import refusals
from accord.domain.checks import judged
from accord.domain.conditions import find, parse_timestamp, timestamp
from accord.domain.traffic.names import MANAGED_BY, MANAGED_BY_LABEL
from accord.domain.training import keeping, names, pauses, queueing, sidecars
from accord.domain.training.assessment import Assessment
from accord.domain.training.resources import claim_key
from accord.domain.training.restart import why_stopped
from accord.domain.training.views import AttemptView, PodView, Problem
from accord.domain.words import quote

Phase = Literal["Pending", "Running", "Suspended", "Succeeded", "Failed"]
_LOOK_AGAIN = 5.0
"""Seconds between passes while something is awaited, should its event be lost."""
_ASK_AGAIN = 15.0
"""Seconds between two looks at why a pod does not start."""
_ASK_SELDOM = 60.0
"""The same where nothing has come of it for a while."""
_POD_DUE = timedelta(seconds=20)
"""The Job controller makes a pod within a second; much later it was refused."""
_PATIENCE = {
    "ClaimMissing": timedelta(minutes=1),
    "QueueNotFound": timedelta(minutes=1),
    "ExceedsQuota": timedelta(minutes=1),
    "Inadmissible": timedelta(minutes=1),
    "Deactivated": timedelta(0),
    "PodNotCreated": timedelta(minutes=1),
    "KubeRayNotResponding": timedelta(minutes=1),
    "ValidationFailed": timedelta(0),
    "ImagePull": timedelta(minutes=5),
}
"""How long a problem may mend by itself before a person must look."""
_PODS_START = timedelta(minutes=10)
"""The same for all other problems, as `progressDeadlineSeconds` of a Deployment."""
_ANSWERED = timedelta(seconds=10)
"""A controller takes up a new object within a second."""
_LET_GO = timedelta(minutes=1)
"""A controller takes its finalizer away at once, and ends what it holds it for afterwards."""
_NODE_SILENT = timedelta(minutes=1)
"""Kubelet reports the end of a pod seconds after its grace period; much later there is no kubelet."""


@dataclass(frozen=True)
class Verdict:
    """The phase, and one reason for everything that kstatus asks."""

    phase: Phase
    state: Literal["Ready", "Reconciling", "Stalled"]
    reason: str
    message: str
    look_again: float | None = None


def judge(assessment: Assessment) -> Verdict:
    """What is to be said, whatever the course."""
    return judged(
        assessment,
        (
            _finished,
            _refused,
            _name_taken,
            _write_refused,
            _node_lost,
            _stopping,
            _resting,
            _kept,
        ),
        _starting,
    )


def _stopping(assessment: Assessment) -> Verdict | None:
    """Something is still at work that must end first."""
    if assessment.course not in ("Replace", "Drain"):
        return None
    checks = (_not_deleted, _suspending, _rolling_back, _failed, _changed, _job_gone)
    return judged(assessment, checks, _waiting_for_earlier_run)


def _kept(assessment: Assessment) -> Verdict | None:
    """The attempt goes on as it is."""
    if assessment.course == "Start" or assessment.job is None:
        return None
    working = tuple(pod for pod in _pods(assessment) if pod.at_work)
    kept = _Kept(assessment, assessment.job, working)
    return judged(kept, (_suspending_in_place, _suspended_in_place, _queued, _obstructed, _at_work), _between_pods)


class _Kept(NamedTuple):
    """An attempt that is kept."""

    assessment: Assessment
    job: AttemptView
    working: tuple[PodView, ...]
    """Its pods of which a container may still run."""


def _at_work(kept: _Kept) -> Verdict | None:
    """It has a pod."""
    return judged(kept, (_ending, _trainer_ended, _training, _stuck), _pod_starting) if kept.working else None


def _between_pods(kept: _Kept) -> Verdict:
    """It has none now."""
    return judged(kept, (_retrying, _pod_succeeded), _without_pod)


def _resting(assessment: Assessment) -> Verdict | None:
    return _suspended(assessment) if assessment.course == "Rest" else None


def _suspended(assessment: Assessment) -> Verdict:
    if assessment.asked.stop:
        message = why_stopped(assessment.asked, assessment.attempt)
        return Verdict("Suspended", "Ready", "StoppedByRollback", message)
    if assessment.pause is not None and not assessment.is_suspended:
        message = f"{pauses.in_words(assessment.pause)}{where_to_look(assessment, assessment.attempt)}"
        return Verdict("Suspended", "Ready", pauses.reason(assessment.pause), message)
    return Verdict("Suspended", "Ready", "Suspended", "spec.suspend is true: not training, checkpoints are kept")


def _stalled(reason: str, message: str, phase: Phase = "Pending") -> Verdict:
    return Verdict(phase, "Stalled", reason, message)


def _refused(assessment: Assessment) -> Verdict | None:
    """The spec cannot be run."""
    if assessment.course != "Refused" or assessment.refused is None:
        return None
    return _stalled(assessment.refused.reason, assessment.refused.message)


def _finished(assessment: Assessment) -> Verdict | None:
    """A recorded end is repeated as it was said, whatever became of the Job and its pods."""
    if assessment.course != "Finished":
        return None
    end = assessment.end
    status = assessment.run.status
    if end is None:
        told = find(status.conditions, "Ready")
        reason, message = (told.reason, told.message) if told is not None else (status.phase or "", "")
        if status.phase == "Succeeded":
            return Verdict("Succeeded", "Ready", reason, message)
        return _stalled(reason, message, "Failed")
    if end.succeeded:
        aside = f": {end.message}" if end.reason == sidecars.COMPLETED else ""
        return Verdict("Succeeded", "Ready", "Succeeded", f"attempt {assessment.attempt} finished training{aside}")
    death = _last_death(assessment)
    once = assessment.job is not None and assessment.job.once
    if death is None or once or end.reason == "DeadlineExceeded":
        return _stalled(end.reason, end.message or f"{_object(assessment)} failed", "Failed")
    tries = assessment.job.failed if assessment.job is not None else 0
    return _stalled(death.reason, f"{death.message}; {tries} pods of attempt {assessment.attempt} failed", "Failed")


def _node_lost(assessment: Assessment) -> Verdict | None:
    """A pod that was told to end and does not, long after its grace period, or whose node is known not to answer.

    It may still write to the volume for all anybody knows, so no other pod is started until a person has decided. One
    that tolerates everything, as pods on GPUs often do, is never told to end. The others of its attempt may get by
    without a worker.
    """
    for pod in assessment.observed.pods:
        if not pod.at_work or not pod.node or (pod.role and assessment.course == "Keep"):
            continue
        if pod.due_to_end is not None and pod.due_to_end + _NODE_SILENT <= assessment.now:
            message = (
                f"node {pod.node} is not responding: pod {pod.name} has been terminating since "
                f"{timestamp(pod.told_to_end or pod.due_to_end)} and may still write to the volume, so no other pod is "
                "started. If the node is off, taint it with node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; "
                f"if it will not come back: `kubectl delete node {pod.node}`"
            )
            return _stalled("NodeLost", message)
        if pod.lost_since is not None and pod.lost_since + _NODE_SILENT <= assessment.now:
            message = (
                f"node {pod.node} has not responded since {timestamp(pod.lost_since)}: pod {pod.name} may still train "
                "and write to the volume, so no other pod is started. If the node is off, delete the pod and taint "
                "the node with node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; if it will not come back: "
                f"`kubectl delete node {pod.node}`"
            )
            return _stalled("NodeLost", message)
    return None


def _until_lost(assessment: Assessment) -> float | None:
    """Seconds until a pod counts as lost that is to end, or whose node does not answer; None where there is none."""
    pods = [pod for pod in assessment.observed.pods if pod.at_work and pod.node]
    since = [at for pod in pods for at in (pod.due_to_end, pod.lost_since) if at is not None]
    left = [(at + _NODE_SILENT - assessment.now).total_seconds() for at in since]
    return max(min(left), _LOOK_AGAIN) if left else None


def _last_death(assessment: Assessment) -> Problem | None:
    """Why the newest failed pod of the attempt failed."""
    dead = [pod for pod in _pods(assessment) if pod.phase == "Failed" and pod.problem is not None and not pod.role]
    return max(dead, key=lambda pod: (pod.created, pod.name)).problem if dead else None


def _name_taken(assessment: Assessment) -> Verdict | None:
    for key, holder in assessment.observed.conflicts.items():
        if holder.startswith("an earlier "):
            message = f"{key.kind} {key.name} belongs to {holder}"
            return Verdict("Pending", "Reconciling", "Waiting", message, _LOOK_AGAIN)
        # It may hold checkpoints that exist nowhere else: deleting it is never the advice.
        how = (
            "to use it, set spec.checkpoints.claimName; if Accord created it, restore its labels: kubectl "
            f"label pvc {key.name} {MANAGED_BY_LABEL}={MANAGED_BY} {names.RUN_LABEL}={assessment.run.metadata.name}"
            if key == claim_key(assessment.run)
            else "use another name for the TrainingRun"
        )
        message = f"{key.kind} {key.name} already exists and belongs to {holder}; {how}"
        return _stalled("NameTaken", message, _phase_of_pods(assessment))
    return None


def _write_refused(assessment: Assessment) -> Verdict | None:
    """The API server does not take an object."""
    for key, refusal in assessment.observed.refusals.items():
        # A pod is told to end in any course.
        if refusal.deleting or key.kind == "Pod" or assessment.course in ("Keep", "Start"):
            reason, message = refusals.reason(refusal), refusals.sentence(key, refusal)
            return _stalled(reason, message, _phase_of_pods(assessment))
    return None


def _not_deleted(assessment: Assessment) -> Verdict | None:
    """What is to let an object go does not do so."""
    for job in assessment.observed.jobs:
        if job.held is not None and job.deleted is not None and job.deleted + _LET_GO <= assessment.now:
            return _stalled(job.held.reason, job.held.message, _phase_of_pods(assessment))
    return None


def _suspending(assessment: Assessment) -> Verdict | None:
    if not assessment.run.spec.suspend:
        return None
    return Verdict("Pending", "Reconciling", "Suspending", _why_suspending(assessment), _LOOK_AGAIN)


def _rolling_back(assessment: Assessment) -> Verdict | None:
    if assessment.asked.restart is None:
        return None
    message = (
        f"stopping attempt {assessment.attempt} for a rollback; the next one resumes from "
        f"{assessment.asked.restart.resume_from} when its pod has ended"
        f"{where_to_look(assessment, assessment.attempt)}"
    )
    return Verdict("Pending", "Reconciling", "Restarting", message, _LOOK_AGAIN)


def _changed(assessment: Assessment) -> Verdict | None:
    if not assessment.is_changed:
        return None
    message = (
        f"the spec changed or retuning was applied: stopping attempt {assessment.attempt}, and the next one "
        "resumes from the newest checkpoint"
    )
    return Verdict("Pending", "Reconciling", "Restarting", message, _LOOK_AGAIN)


def _failed(assessment: Assessment) -> Verdict | None:
    """The attempt has failed, and the next one is to follow."""
    fault = assessment.fault
    if fault is None:
        return None
    message = (
        f"{fault.message}{_follows(assessment.attempt)} (failed: {assessment.failed_pods}, allowed: "
        f"{assessment.run.spec.backoff_limit})"
    )
    return Verdict("Pending", "Reconciling", "Retrying", message, _LOOK_AGAIN)


def _follows(attempt: int) -> str:
    return f"; attempt {attempt + 1} resumes from the newest checkpoint when all pods of attempt {attempt} have ended"


def _job_gone(assessment: Assessment) -> Verdict | None:
    if not assessment.attempt:
        return None
    told = find(assessment.run.status.conditions, "Ready")
    if told is not None and told.reason == "Retrying" and _follows(assessment.attempt) in told.message:
        # It was deleted because it had failed, and nothing else is left to say so.
        return Verdict("Pending", "Reconciling", told.reason, told.message, _LOOK_AGAIN)
    message = f"{_object(assessment)} was deleted before it finished; the next attempt starts when its pod has ended"
    return Verdict("Pending", "Reconciling", "Restarting", message, _LOOK_AGAIN)


def _waiting_for_earlier_run(_: Assessment) -> Verdict:
    message = (
        "a pod of an earlier TrainingRun of this name is still running; the first attempt starts when it has ended"
    )
    return Verdict("Pending", "Reconciling", "Waiting", message, _LOOK_AGAIN)


def _why_suspending(assessment: Assessment) -> str:
    why = "stopped by a rollback" if assessment.asked.stop else "spec.suspend is true"
    if assessment.pause is not None and not (assessment.asked.stop or assessment.is_suspended):
        why = pauses.in_short(assessment.pause)
    return f"{why}: the pod is saving and terminating"


def _starting(assessment: Assessment) -> Verdict:
    return Verdict("Pending", "Reconciling", "Starting", f"starting attempt {assessment.attempt + 1}")


def _suspending_in_place(kept: _Kept) -> Verdict | None:
    if not kept.assessment.run.spec.suspend or not (kept.working or not kept.job.suspended):
        return None
    message = _why_suspending(kept.assessment)
    return Verdict(_phase_of_pods(kept.assessment), "Reconciling", "Suspending", message, _LOOK_AGAIN)


def _suspended_in_place(kept: _Kept) -> Verdict | None:
    return _suspended(kept.assessment) if kept.assessment.run.spec.suspend else None


def _queued(kept: _Kept) -> Verdict | None:
    run, job = kept.assessment.run, kept.job
    if not job.suspended or not queueing.is_held(run, job):
        return None
    wait = queueing.waiting(run, job, has_pod=bool(kept.working))
    if wait.needs_person:
        return _patient(Problem(wait.reason, wait.message), wait.since or job.created, kept.assessment.now)
    left = _until_lost(kept.assessment) if kept.working else None
    return Verdict(_phase_of_pods(kept.assessment), "Reconciling", wait.reason, wait.message, left)


def _obstructed(kept: _Kept) -> Verdict | None:
    """Its object says why nothing comes of it."""
    job, now = kept.job, kept.assessment.now
    if job.obstacle is None or (_PATIENCE.get(job.obstacle.reason) and now < job.created + _ANSWERED):
        return None
    return _patient(job.obstacle, job.created, now)


def _ending(kept: _Kept) -> Verdict | None:
    """All its pods were told to end."""
    if not all(pod.deleting for pod in kept.working):
        return None
    message = f"the pod of attempt {kept.assessment.attempt} is terminating and will be replaced"
    left = _until_lost(kept.assessment) or _LOOK_AGAIN
    return Verdict(_phase_of_pods(kept.assessment), "Reconciling", "Ending", message, left)


def _trainer_ended(kept: _Kept) -> Verdict | None:
    """The trainer has, and other containers keep its pod."""
    assessment = kept.assessment
    pod = sidecars.held(kept.working, assessment.attempt)
    if pod is None:
        return None
    left = max(sidecars.left(pod, assessment.now), _LOOK_AGAIN)
    words = sidecars.in_words(pod)
    if pod.trainer is not None and pod.trainer.code == 0:
        message = f"{words}; if it does not end within 30 s, the run completes anyway"
        return Verdict("Running", "Reconciling", "Completing", message, left)
    allowed = assessment.run.spec.backoff_limit
    message = f"{words}; the pod is stopped and replaced (failed: {kept.job.failed}, allowed: {allowed})"
    return Verdict("Pending", "Reconciling", "TrainerEnded", message, left)


def _training(kept: _Kept) -> Verdict | None:
    if not kept.job.begun or not any(pod.phase == "Running" and not pod.role for pod in kept.working):
        return None
    message = f"attempt {kept.assessment.attempt} is training"
    if kept.job.workers:
        helping = sum(pod.phase == "Running" and pod.role == "worker" for pod in kept.working)
        message += f", {helping} of {kept.job.workers} workers running"
    return Verdict("Running", "Ready", "Running", message, _until_lost(kept.assessment))


def _stuck(kept: _Kept) -> Verdict | None:
    """Something keeps a pod from starting."""
    stuck = next((pod for pod in kept.working if pod.problem is not None), None)
    if stuck is None or stuck.problem is None:
        return None
    return _patient(stuck.problem, stuck.created, kept.assessment.now)


def _pod_starting(kept: _Kept) -> Verdict:
    # What keeps a pod from being created is in its Events, which nobody watches.
    missing = kept.job.once and kept.job.begun
    again = _ASK_AGAIN if missing or any(pod.created_nothing for pod in kept.working) else None
    message = f"the pod of attempt {kept.assessment.attempt} is starting"
    if not kept.job.begun:
        running = sum(pod.phase == "Running" for pod in kept.working)
        message = f"{kept.job.title} is starting: {running} of its {len(kept.working)} pods running"
    return Verdict("Pending", "Reconciling", "Starting", message, again)


def _retrying(kept: _Kept) -> Verdict | None:
    """The last pod has failed, and there is to be another one."""
    death = _last_death(kept.assessment)
    if death is None:
        return None
    allowed = kept.assessment.run.spec.backoff_limit
    message = f"{death.message}; retrying (failed: {kept.job.failed}, allowed: {allowed})"
    return Verdict("Pending", "Reconciling", "Retrying", message)


def _pod_succeeded(kept: _Kept) -> Verdict | None:
    if not any(pod.phase == "Succeeded" for pod in _pods(kept.assessment)):
        return None
    return Verdict("Running", "Ready", "Running", f"the pod of attempt {kept.assessment.attempt} succeeded")


def _without_pod(kept: _Kept) -> Verdict:
    """It has had none yet, or none since it was suspended."""
    assessment, job, _ = kept
    # After a suspension a Job is older than its wish for a pod: that is as old as Ready is False, or younger where it
    # had one since.
    told, observed = find(assessment.run.status.conditions, "Ready"), assessment.observed
    unready = assessment.now if told is None or told.status == "True" else parse_timestamp(told.last_transition_time)
    since = max(job.started or job.created, unready)
    said = None
    if told is not None and told.reason == "PodNotCreated" and told.message.startswith(f"{job.title} "):
        said = told.message
    if said is None and observed.podless_since is not None:
        since = max(since, observed.podless_since)
    left = (since + _POD_DUE - assessment.now).total_seconds()
    if left > 0 and observed.refused is None and said is None:
        message = f"attempt {assessment.attempt} has no pod yet"
        return Verdict("Pending", "Reconciling", "Starting", message, min(left, _LOOK_AGAIN))
    cannot = f"{job.title} cannot create its pod: "
    if observed.refused is not None:
        message = cannot + _without_names(observed.refused.note)
    elif said is not None and said.startswith(cannot):
        # The Event is gone, and what it said still holds for all that is known.
        message = said
    else:
        message = (
            f"{job.title} has not created its pod, possibly because of a ResourceQuota or an admission policy: see "
            f"`kubectl describe {job.key.kind.lower()} {job.name}`"
        )
    verdict = _patient(Problem("PodNotCreated", message), since, assessment.now)
    return replace(verdict, look_again=min(verdict.look_again or _ASK_SELDOM, _ASK_AGAIN if left > 0 else _ASK_SELDOM))


def _without_names(note: str) -> str:
    """What the Job controller was told, without the name that each new try has."""
    words = note.removeprefix("(combined from similar events): ").removeprefix("Error creating: ")
    return quote(re.sub(r'pods "[^"]*"', "the pod", words))


def _patient(problem: Problem, since: datetime, now: datetime) -> Verdict:
    left = (since + _PATIENCE.get(problem.reason, _PODS_START) - now).total_seconds()
    if left <= 0:
        return _stalled(problem.reason, problem.message)
    return Verdict("Pending", "Reconciling", problem.reason, problem.message, left)


def _phase_of_pods(assessment: Assessment) -> Phase:
    return "Running" if any(pod.phase == "Running" for pod in _pods(assessment)) else "Pending"


def _pods(assessment: Assessment) -> list[PodView]:
    return [pod for pod in assessment.observed.pods if pod.attempt == assessment.attempt]


def _object(assessment: Assessment) -> str:
    """The object of the newest attempt, which may be gone."""
    key = assessment.workload.key(assessment.run, assessment.attempt)
    return f"{key.kind} {key.name}"


def where_to_look(assessment: Assessment, attempt: int) -> str:
    """Only where a Job of that attempt was given up and stays."""
    if not any(job.given_up and job.attempt == attempt for job in assessment.observed.jobs):
        return ""
    return keeping.where_to_look(assessment.run, assessment.observed.pods, attempt)
