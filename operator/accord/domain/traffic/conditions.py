"""What is true of a policy, aspect by aspect: `Accepted`, `ResolvedRefs`, `ModesAvailable` and `Programmed`.

Each aspect is an ordered list of checks; the first that objects gives the reason and the message (the style of
cert-manager's certificate policies). A message says what happens to the traffic, and never holds a time or a number
that moves by itself, so that conditions do not flap.
"""

from __future__ import annotations

from collections.abc import Callable

from accord.domain import refusals
from accord.domain.conditions import Wanted
from accord.domain.traffic import backends, shares
from accord.domain.traffic.assessment import Assessment
from accord.domain.traffic.backends import Check, Objection
from accord.domain.traffic.progress import PENDING, Pending, Rejected, Unverifiable


def verdicts(assessment: Assessment) -> tuple[Wanted, ...]:
    """The four conditions that `Ready` is made of, in that order."""
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
    return tuple(_judge(assessment, *aspect) for aspect in aspects)


def _judge(
    assessment: Assessment, type_: str, checks: tuple[Check, ...], otherwise: Callable[[Assessment], Objection]
) -> Wanted:
    objection = next((found for check in checks if (found := check(assessment)) is not None), None)
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
