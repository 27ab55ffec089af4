"""The decision about one TrainingRun: a pure function of what is observed and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.conditions import merge, parse_timestamp
from accord.domain.plan import Event, ObjectKey, Plan
from accord.domain.training import events, keeping, queueing, resources, schedule_compliance, sidecars, status
from accord.domain.training.assessment import Assessment, assess
from accord.domain.training.conditions import conditions
from accord.domain.training.inputs import hyperparameters
from accord.domain.training.observed import Observed
from accord.domain.training.retuning import advise, effective
from accord.domain.training.template import overridden
from accord.domain.training.verdict import judge
from accord.domain.training.views import AttemptView
from accord.domain.training.workload import Workload


def decide(observed: Observed, workload: Workload, now: datetime) -> Plan:
    """What to write, and when to look again.

    A run that is being deleted is left to the garbage collector. One that finished is never started again; its time to
    live ends with the run itself, never with its attempt alone.
    """
    run = observed.run
    if run.metadata.deletion_timestamp is not None:
        return Plan()
    left = _time_to_live(observed, now)
    if left is not None and left <= 0:
        return Plan(delete=(ObjectKey(*_IDENTITY, run.metadata.namespace, run.metadata.name),))
    base = hyperparameters(run)
    observed = replace(observed, run=effective(run))
    assessment = assess(observed, workload, now)
    verdict = judge(assessment)
    trains = assessment.course == "Keep" and verdict.phase == "Running"
    applies_in = assessment.attempt + 1 if trains else None
    advice = advise(observed.run, observed.ratings, now, base=base, applies_in=applies_in)
    measured, missed = schedule_compliance.conditions(assessment, verdict)
    verdict, unseen = schedule_compliance.unwatched(assessment, verdict, measured)
    said = (
        *conditions(assessment, verdict, _notes(assessment), _remarks(run, assessment)),
        *measured,
        *((advice.condition,) if advice.condition else ()),
    )
    merged = merge(run.status.conditions, said, generation=run.metadata.generation, now=now)
    after = status.full(assessment, verdict, advice, merged)
    queue = queueing.queue_of(run, assessment.job)
    told = (*_lost_claim(assessment), *events.transitions(run.status, after, queue, kind=workload.kind))
    kept = keeping.seconds_left(assessment.run, observed.jobs, now)
    again = [delay for delay in (verdict.look_again, missed, unseen, left, kept) if delay is not None]
    return Plan(
        _to_apply(assessment),
        _to_delete(assessment),
        status.render(after),
        told,
        requeue_after=min(again, default=None),
        patch=_to_patch(assessment),
    )


_IDENTITY = ("accord.dev/v1alpha1", "TrainingRun")


def _time_to_live(observed: Observed, now: datetime) -> float | None:
    """Seconds until the run is to be deleted; None where it is not."""
    run = observed.run
    if run.status.completion_time is None or run.spec.ttl_after_finished is None:
        return None
    return (parse_timestamp(run.status.completion_time) + run.spec.ttl_after_finished - now).total_seconds()


def _to_apply(assessment: Assessment) -> tuple[Manifest, ...]:
    """A new attempt comes after the claim, for which its pod would wait."""
    run, observed = assessment.run, assessment.observed
    if assessment.gives_up and assessment.job is not None:
        ended = assessment.workload.given_up(run, assessment.job)
        return () if ended is None else (ended,)
    if assessment.course not in ("Keep", "Start"):
        return ()
    claim = resources.claim_to_apply(run, observed.claim)
    claims = () if claim is None or ObjectKey.of(claim) in observed.conflicts else (claim,)
    if assessment.course == "Keep":
        kept = None if assessment.job is None else assessment.workload.adjusted(run, assessment.job)
        # A volume that may not grow must not keep the attempt from being suspended.
        return claims if kept is None else (kept, *claims)
    if observed.conflicts:
        return claims
    attempt = assessment.attempt + 1
    return (*claims, *assessment.workload.wanted(run, attempt, assessment.failed_pods, assessment.next_from))


def _to_patch(assessment: Assessment) -> tuple[Manifest, ...]:
    """A pod whose trainer has failed, and that its other containers keep; or one that is given up, and stays. And the
    Workload of a Job that Kueue holds, where the run is to rest or to go on.
    """
    pods, namespace = assessment.observed.pods, assessment.run.metadata.namespace
    if assessment.course == "Keep":
        ended = sidecars.to_end(pods, assessment.attempt, namespace, assessment.now)
        parts = (ended, queueing.switched(assessment.run, assessment.job))
    else:
        parts = (keeping.to_end(assessment.job, pods, namespace), None)
    return tuple(part for part in parts if part is not None)


def _to_delete(assessment: Assessment) -> tuple[ObjectKey, ...]:
    if assessment.course == "Refused" or assessment.end is not None or not _is_counted(assessment):
        return ()
    outdated = keeping.outdated(assessment.run, assessment.observed.jobs, assessment.now)
    if assessment.course == "Finished":
        # The end is recorded. One that has not ended has a pod that only sidecars keep, or would make another one.
        left = tuple(job for job in assessment.observed.jobs if job.end is None and not job.deleting)
    else:
        left = (*assessment.stale, *_replaced(assessment))
    return (*(job.key for job in left), *outdated)


def _is_counted(assessment: Assessment) -> bool:
    """Whether the status holds a failure that the object of the attempt knows nothing of, and would take along."""
    lost = assessment.lost
    return lost is None or not lost.counts or (assessment.run.status.failed_pods or 0) >= assessment.failed_pods


def _replaced(assessment: Assessment) -> tuple[AttemptView, ...]:
    """The newest attempt, where its object goes at once."""
    job = assessment.job
    if job is None or assessment.gives_up:
        return ()
    goes = assessment.course == "Replace" or keeping.no_use(job, assessment.observed.pods)
    return (job,) if goes else ()


def _notes(assessment: Assessment) -> tuple[str, ...]:
    """What of the spec is not followed to the letter."""
    run = assessment.run
    replaced = overridden(run)
    notes = [f"ignored in spec.template, because the operator sets them: {', '.join(replaced)}"]
    notes = notes if replaced else []
    if resources.shrinks(run, assessment.observed.claim):
        notes.append(
            f"spec.checkpoints.volumeClaim.storage is ignored: it is smaller than PersistentVolumeClaim "
            f"{resources.claim_name(run)}, and volumes cannot shrink"
        )
    job = assessment.job
    unasked = job is not None and run.spec.queue_name is None and queueing.is_held(run, job)
    if job is not None and unasked and assessment.course == "Keep" and assessment.workload.limits_differ(run, job):
        notes.append(f"Kueue owns {job.title}: backoffLimit and activeDeadlineSeconds count from the next attempt on")
    return tuple(notes)


def _remarks(run: TrainingRun, assessment: Assessment) -> tuple[str, ...]:
    """How the spec is understood, where that may not be what was meant."""
    schedules = run.spec.schedules
    # A `final` that is not given is the default, which may lie above.
    rising = tuple(
        f"spec.schedules.{field} rises from {each.initial:g} to {each.final:g}"
        for field, each in (("entropyCoef", schedules.entropy_coef), ("learningRate", schedules.learning_rate))
        if each.final > each.initial and each.decay_strategy != "Constant"
    )
    job = assessment.job if assessment.course == "Keep" else None
    said = (queueing.remark(run, job), sidecars.remark(run))
    return (*(each for each in said if each is not None), *rising)


def _lost_claim(assessment: Assessment) -> tuple[Event, ...]:
    run = assessment.run
    gone = assessment.observed.claim is None and run.status.attempt and run.spec.checkpoints.claim is not None
    if (
        not gone
        or assessment.course not in ("Keep", "Start")
        or resources.claim_key(run) in assessment.observed.conflicts
    ):
        return ()
    name = resources.claim_name(run)
    return (Event("Warning", "ClaimLost", f"PersistentVolumeClaim {name} was deleted; creating an empty one"),)
