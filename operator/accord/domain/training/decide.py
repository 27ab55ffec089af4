"""The decision about one TrainingRun: a pure function of what is observed and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.conditions import merge, parse_timestamp
from accord.domain.plan import Event, ObjectKey, Plan
from accord.domain.training import events, keeping, metering, queueing, resources, sidecars, status
from accord.domain.training.inputs import hyperparameters
from accord.domain.training.observed import Observed
from accord.domain.training.retuning import advise, effective
from accord.domain.training.situation import Situation, assess
from accord.domain.training.template import overridden
from accord.domain.training.verdicts import conditions, judge
from accord.domain.training.views import JobView


def decide(observed: Observed, now: datetime) -> Plan:
    """What to write, and when to look again.

    A run that is being deleted is left to the garbage collector. One that finished is never started again; its time to
    live ends with the run itself, never with its Job alone.
    """
    run = observed.run
    if run.metadata.deletion_timestamp is not None:
        return Plan()
    left = _time_to_live(observed, now)
    if left is not None and left <= 0:
        return Plan(delete=(ObjectKey(*_IDENTITY, run.metadata.namespace, run.metadata.name),))
    base = hyperparameters(run)
    observed = replace(observed, run=effective(run))
    situation = assess(observed, now)
    verdict = judge(situation)
    trains = situation.course == "Keep" and verdict.phase == "Running"
    applies_in = situation.attempt + 1 if trains else None
    advice = advise(observed.run, observed.ratings, now, base=base, applies_in=applies_in)
    measured, missed = metering.conditions(situation, verdict)
    verdict, unseen = metering.unwatched(situation, verdict, measured)
    said = (
        *conditions(situation, verdict, _notes(situation), _remarks(run, situation)),
        *measured,
        *((advice.condition,) if advice.condition else ()),
    )
    merged = merge(run.status.conditions, said, generation=run.metadata.generation, now=now)
    after = status.full(situation, verdict, advice, merged)
    told = (*_lost_claim(situation), *events.transitions(run.status, after))
    kept = keeping.seconds_left(situation.run, observed.jobs, now)
    again = [delay for delay in (verdict.look_again, missed, unseen, left, kept) if delay is not None]
    return Plan(
        _to_apply(situation),
        _to_delete(situation),
        status.render(after),
        told,
        requeue_after=min(again, default=None),
        patch=_to_patch(situation),
    )


_IDENTITY = ("accord.dev/v1alpha1", "TrainingRun")


def _time_to_live(observed: Observed, now: datetime) -> float | None:
    """Seconds until the run is to be deleted; None where it is not."""
    run = observed.run
    if run.status.completion_time is None or run.spec.ttl_after_finished is None:
        return None
    return (parse_timestamp(run.status.completion_time) + run.spec.ttl_after_finished - now).total_seconds()


def _to_apply(situation: Situation) -> tuple[Manifest, ...]:
    """A new Job comes after the claim, for which its pod would wait."""
    run, observed = situation.run, situation.observed
    if situation.gives_up and situation.job is not None:
        return (resources.job_given_up(run, situation.job),)
    if situation.course not in ("Keep", "Start"):
        return ()
    claim = resources.claim_to_apply(run, observed.claim)
    claims = () if claim is None or ObjectKey.of(claim) in observed.conflicts else (claim,)
    if situation.course == "Keep":
        kept = None if situation.job is None else resources.job_to_apply(run, situation.job)
        # A volume that may not grow must not keep the Job from being suspended.
        return claims if kept is None else (kept, *claims)
    if observed.conflicts:
        return claims
    made = resources.job(run, situation.attempt + 1, situation.failed_pods, situation.next_from)
    return (*claims, made)


def _to_patch(situation: Situation) -> tuple[Manifest, ...]:
    """A pod whose trainer has failed, and that its other containers keep; or one that is given up, and stays."""
    pods, namespace = situation.observed.pods, situation.run.metadata.namespace
    if situation.course == "Keep":
        part = sidecars.to_end(pods, situation.attempt, namespace, situation.now)
    else:
        part = keeping.to_end(situation.job, pods, namespace)
    return () if part is None else (part,)


def _to_delete(situation: Situation) -> tuple[ObjectKey, ...]:
    if situation.course == "Refused" or situation.end is not None:
        return ()
    outdated = keeping.outdated(situation.run, situation.observed.jobs, situation.now)
    if situation.course == "Finished":
        # The end is recorded. A Job that has not ended has a pod that only sidecars keep, or would make another one.
        left = tuple(job for job in situation.observed.jobs if job.end is None and not job.deleting)
    else:
        left = (*situation.stale, *_replaced(situation))
    namespace = situation.run.metadata.namespace
    return (*(ObjectKey("batch/v1", "Job", namespace, job.name) for job in left), *outdated)


def _replaced(situation: Situation) -> tuple[JobView, ...]:
    """The newest Job, where it goes at once."""
    job = situation.job
    if job is None or situation.gives_up:
        return ()
    goes = situation.course == "Replace" or keeping.no_use(job, situation.observed.pods)
    return (job,) if goes else ()


def _notes(situation: Situation) -> tuple[str, ...]:
    """What of the spec is not followed to the letter."""
    run = situation.run
    replaced = overridden(run)
    notes = [f"ignored in spec.template, because the operator sets them: {', '.join(replaced)}"]
    notes = notes if replaced else []
    if resources.shrinks(run, situation.observed.claim):
        notes.append(
            f"spec.checkpoints.volumeClaim.storage is ignored: it is smaller than PersistentVolumeClaim "
            f"{resources.claim_name(run)}, and volumes cannot shrink"
        )
    job = situation.job
    unasked = job is not None and run.spec.queue_name is None and queueing.is_held(run, job)
    if job is not None and unasked and situation.course == "Keep" and resources.limits_differ(run, job):
        notes.append(
            f"Kueue owns Job {job.name}: backoffLimit and activeDeadlineSeconds count from the next attempt on"
        )
    return tuple(notes)


def _remarks(run: TrainingRun, situation: Situation) -> tuple[str, ...]:
    """How the spec is understood, where that may not be what was meant."""
    schedules = run.spec.schedules
    # A `final` that is not given is the default, which may lie above.
    rising = tuple(
        f"spec.schedules.{field} rises from {each.initial:g} to {each.final:g}"
        for field, each in (("entropyCoef", schedules.entropy_coef), ("learningRate", schedules.learning_rate))
        if each.final > each.initial and each.decay_strategy != "Constant"
    )
    job = situation.job if situation.course == "Keep" else None
    said = (queueing.remark(run, job), sidecars.remark(run))
    return (*(each for each in said if each is not None), *rising)


def _lost_claim(situation: Situation) -> tuple[Event, ...]:
    run = situation.run
    gone = situation.observed.claim is None and run.status.attempt and run.spec.checkpoints.claim is not None
    if (
        not gone
        or situation.course not in ("Keep", "Start")
        or resources.claim_key(run) in situation.observed.conflicts
    ):
        return ()
    name = resources.claim_name(run)
    return (Event("Warning", "ClaimLost", f"PersistentVolumeClaim {name} was deleted; creating an empty one"),)
