"""The decision about one TrafficPolicy: a pure function of what is observed and the time."""

from __future__ import annotations

from datetime import datetime, timedelta

from accord.api.base import Manifest
from accord.domain.conditions import Wanted, find, merge, parse_timestamp
from accord.domain.plan import ObjectKey, Plan
from accord.domain.traffic import children, events, resources, status
from accord.domain.traffic.assessment import Assessment, assess
from accord.domain.traffic.conditions import circuits, verdicts
from accord.domain.traffic.judgement import Judgement, judge
from accord.domain.traffic.observed import Observed
from accord.domain.traffic.progress import Pending, Rejected, Settled
from accord.domain.traffic.readiness import readiness

ROUTER_ANSWERS = timedelta(seconds=2)
"""How long the status waits for the router to answer, so that one change of the spec is one change of the status."""
MODES_WARM = timedelta(seconds=5)
"""How long it waits where new modes have to warm up first."""
_LOOK_AGAIN = 5.0
"""Seconds between passes while something is awaited, should its event be lost."""
_LOOK_AGAIN_AT_LAST = 300.0
"""Seconds between passes at most: what has lasted for long is not looked at every minute, a thousand times. Its end is
an event; only why it goes on may become another reason without one."""


def decide(observed: Observed, now: datetime) -> Plan:
    """What to write, and when to look again.

    A policy that is being deleted is left to the garbage collector. Of one that is suspended or not accepted nothing is
    written but its status, and what its children lost of labels and owner: by these they are watched.
    """
    if observed.policy.metadata.deletion_timestamp is not None:
        return Plan()
    assessment, judgement = _assessed(observed, now)
    apply: tuple[Manifest, ...] = ()
    delete: tuple[ObjectKey, ...] = ()
    if assessment.frozen:
        apply = children.to_repair(observed)
    else:
        wanted = resources.wanted(observed)
        apply, delete = children.to_apply(observed, wanted), children.to_delete(observed, wanted)
    if assessment.is_turning:
        turned = status.turned(assessment, judgement)
        told = events.transitions(observed.policy.status, turned)
        return Plan(apply, delete, status.render(turned), told, requeue_after=_LOOK_AGAIN)
    wait = _wait(assessment)
    if wait is not None:
        return Plan(apply, delete, requeue_after=wait)
    aspects = verdicts(assessment)
    previous = observed.policy.status.conditions
    ready, patience = readiness(aspects, previous, now, observed.router.progress)
    conditions = merge(
        previous,
        (*ready, *aspects, judgement.condition, *circuits(assessment)),
        generation=observed.policy.metadata.generation,
        now=now,
    )
    after = status.full(assessment, judgement, conditions)
    told = events.transitions(observed.policy.status, after, observed.router.progress)
    delays = (patience, judgement.look_again, assessment.movement.look_again, _poll(assessment, aspects))
    again = [delay for delay in delays if delay is not None]
    return Plan(apply, delete, status.render(after), told, requeue_after=min(again, default=None))


def _assessed(observed: Observed, now: datetime) -> tuple[Assessment, Judgement]:
    """A phase that waits for its gate may go on with what is found out about the split in it."""
    assessment = assess(observed, now)
    judgement = judge(assessment)
    phase = assessment.movement.phase
    if phase is None or phase.state != "Waiting" or not judgement.is_new or judgement.condition.status == "Unknown":
        return assessment, judgement
    assessment = assess(observed, now, within_target=judgement.condition.status == "True")
    return assessment, judge(assessment)


def _wait(assessment: Assessment) -> float | None:
    """Seconds to leave the status as it is, because the router is about to answer; None to write it now.

    The first status is written at once. A refusal, of the router or of the API server, or its absence is an answer.
    """
    offered_at = assessment.observed.router.handover.offered_at
    if assessment.policy.status.observed_generation is None or offered_at is None or assessment.observed.refusals:
        return None
    if not assessment.cold and not assessment.is_unanswered:
        return None
    patience = MODES_WARM if assessment.cold else ROUTER_ANSWERS
    left = (offered_at + patience - assessment.now).total_seconds()
    return left if left > 0 else None


def _poll(assessment: Assessment, aspects: tuple[Wanted, ...]) -> float | None:
    """When to look again while the router is on its way."""
    progress, reasons = assessment.observed.router.progress, {aspect.reason for aspect in aspects}
    told = isinstance(progress, Pending | Rejected) and progress.reason in reasons
    unheard = isinstance(progress, Settled) and progress.recalled
    if not (told or unheard or assessment.is_unanswered or "WarmingUp" in reasons):
        return None
    before = find(assessment.policy.status.conditions, "Programmed")
    if before is None or before.status == "True":
        return _LOOK_AGAIN
    lasted = (assessment.now - parse_timestamp(before.last_transition_time)).total_seconds()
    return min(max(_LOOK_AGAIN, lasted / 2), _LOOK_AGAIN_AT_LAST)
