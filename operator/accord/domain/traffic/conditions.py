"""What is true of a policy, aspect by aspect: `Accepted`, `ResolvedRefs`, `ModesAvailable` and `Programmed`.

Each aspect is an ordered list of checks; the first that objects gives the reason and the message (the style of
cert-manager's certificate policies). A message says what happens to the traffic, and never holds a time or a number
that moves by itself, so that conditions do not flap.
"""

from __future__ import annotations

from collections.abc import Callable

from accord.api.v1alpha1.trafficpolicy import CircuitBreakerStatus
from accord.domain import refusals
from accord.domain.checks import first
from accord.domain.conditions import Wanted
from accord.domain.traffic import backends, movement, shares
from accord.domain.traffic.assessment import Assessment
from accord.domain.traffic.backends import Check, Objection
from accord.domain.traffic.progress import PENDING, Pending, Rejected, Unverifiable

PHASES = "PhasesCompleted"
_CIRCUITS = "CircuitsClosed"


def verdicts(assessment: Assessment) -> tuple[Wanted, ...]:
    """The conditions that `Ready` is made of, in that order: four, and that of phases where there are some."""
    aspects: tuple[tuple[str, tuple[Check, ...], Callable[[Assessment], Objection]], ...] = (
        ("Accepted", (_refused,), lambda _: Objection("Accepted", "spec accepted")),
        ("ResolvedRefs", backends.UNRESOLVED, backends.resolved),
        ("ModesAvailable", (backends.unavailable, backends.failing, backends.cut_off), backends.available),
        (
            "Programmed",
            (_withheld, _not_begun, _obstructed, _unaccepted, _warming, _pending),
            _programmed,
        ),
    )
    return (*(_judge(assessment, *aspect) for aspect in aspects), *_rollout(assessment))


def _judge(
    assessment: Assessment, type_: str, checks: tuple[Check, ...], otherwise: Callable[[Assessment], Objection]
) -> Wanted:
    objection = first(assessment, checks)
    if objection is not None:
        return Wanted(type_, "False", *objection)
    told = otherwise(assessment)
    if type_ == told.reason == "Programmed" and isinstance(assessment.observed.router.progress, Unverifiable):
        return Wanted(type_, "Unknown", "Unverifiable", told.message)
    return Wanted(type_, "True", *told)


def split(assessment: Assessment) -> str:
    """The shares that the router is set to, in words."""
    return ", ".join(f"{mode} {shares.percent(share)}%" for mode, share in assessment.targets.items() if share)


# Accepted


def _refused(assessment: Assessment) -> Objection | None:
    if assessment.accepted:
        return None
    found = "; ".join(f"{refusal.field}: {refusal.message}" for refusal in assessment.refusals)
    stays = f"traffic does not change: {split(assessment)}" if assessment.targets else "nothing is routed"
    return Objection(assessment.refusals[0].reason, f"{found}. Until then {stays}")


# Programmed


def _withheld(assessment: Assessment) -> Objection | None:
    """Objects that the API server does not take: the router, or a mode's Service."""
    found = sorted(assessment.observed.refusals.items())
    if not found:
        return None
    said = "; ".join(refusals.sentence(key, refusal) for key, refusal in found[:3])
    return Objection(refusals.reason(found[0][1]), said)


def _not_begun(assessment: Assessment) -> Objection | None:
    if assessment.intent is not None:
        return None
    if not assessment.accepted:
        return Objection("NotAccepted", "spec not accepted, and nothing was routed before")
    return Objection("Suspended", "suspended before anything was routed: set spec.suspend to false")


def _obstructed(assessment: Assessment) -> Objection | None:
    """What the router says that is more than that it needs a moment."""
    progress = assessment.observed.router.progress
    if isinstance(progress, Rejected) or (isinstance(progress, Pending) and progress.reason != PENDING):
        return Objection(progress.reason, progress.message)
    return None


def _unaccepted(assessment: Assessment) -> Objection | None:
    if assessment.accepted:
        return None
    return Objection("NotAccepted", f"spec not accepted; traffic does not change: {split(assessment)}")


def _warming(assessment: Assessment) -> Objection | None:
    if not assessment.cold:
        return None
    subject = (
        f"mode {assessment.cold[0]} gets its first requests"
        if len(assessment.cold) == 1
        else f"modes {', '.join(assessment.cold)} get their first requests"
    )
    return Objection(
        "WarmingUp",
        f"{subject} when {assessment.observed.router.handover.able_when}; until then the split is {split(assessment)}",
    )


def _pending(assessment: Assessment) -> Objection | None:
    progress = assessment.observed.router.progress
    return Objection(progress.reason, progress.message) if isinstance(progress, Pending) else None


def _programmed(assessment: Assessment) -> Objection:
    if assessment.policy.spec.suspend:
        return Objection("Suspended", f"suspended: the split stays {split(assessment)}, spec changes have no effect")
    return Objection("Programmed", assessment.observed.router.progress.message)


# PhasesCompleted


def _rollout(assessment: Assessment) -> tuple[Wanted, ...]:
    """In progress until the last phase is over, and never stalled by that."""
    phase = assessment.movement.phase
    if phase is None:
        return ()
    if phase.name is None:
        return (Wanted(PHASES, "True", "Completed", "the last phase is over"),)
    following = f"phase {phase.next}" if phase.next else "the weights of the modes"
    said = {
        "Paused": f"phase {phase.name} is paused: set its pause to false to go on with {following}",
        "Waiting": f"phase {phase.name} stays, before {following}: {phase.message}",
    }.get(phase.state, f"in phase {phase.name}, then {following}")
    return (Wanted(PHASES, "False", f"Phase{phase.state}", said),)


# CircuitsClosed


def circuits(assessment: Assessment) -> tuple[Wanted, ...]:
    """Of all circuit breakers; none without. None makes a policy unready: traffic steps down as was asked for."""
    found = assessment.movement.circuit_breakers
    if not found:
        return ()
    said = [_circuit(assessment, each) for each in found if each.phase != "Closed"]
    unheard = [problem for each in found if (problem := _unheard(assessment, each)) is not None]
    message = "; ".join((*said, *unheard))
    if said:
        is_open = any(each.phase == "Open" for each in found)
        return (Wanted(_CIRCUITS, "False", "CircuitOpen" if is_open else "Recovering", message),)
    if unheard:
        return (Wanted(_CIRCUITS, "Unknown", "FailuresUnknown", message),)
    return (Wanted(_CIRCUITS, "True", _CIRCUITS, "no mode fails too often"),)


def _circuit(assessment: Assessment, each: CircuitBreakerStatus) -> str:
    takers = assessment.moved.moves.get(each.mode)
    cause = f"mode {each.mode} had {each.reason}" if each.reason else f"mode {each.mode} failed"
    if takers is None:
        return f"{cause}; " + (
            "no other mode would do better, so it keeps its share" if not each.share else "it recovers"
        )
    part = "its share" if not each.share else f"{shares.percent(100 - each.share)}% of its share"
    return f"{cause}; {part} goes to {', '.join(takers)}"


def _unheard(assessment: Assessment, each: CircuitBreakerStatus) -> str | None:
    """Why nothing is known of its failures now. Before the first reading nothing is said."""
    read = movement.reading(assessment.observed.failures, each.mode)
    if read is None or read.outcome == "Known":
        return None
    return f"failures of mode {each.mode} are not known, so nothing changes: {read.message}"
