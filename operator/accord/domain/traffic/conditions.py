"""What is true of a policy, aspect by aspect: `Accepted`, `ResolvedRefs`, `ModesAvailable` and `Programmed`.

Each aspect is an ordered list of checks; the first that objects gives the reason and the message (the style of
cert-manager's certificate policies). A message says what happens to the traffic, and never holds a time or a number
that moves by itself, so that conditions do not flap.
"""

from __future__ import annotations

from collections.abc import Callable

from accord.api.v1alpha1.trafficpolicy import CircuitBreakerStatus
from accord.domain import refusals
from accord.domain.conditions import Wanted
from accord.domain.traffic import backends, movement, shares
from accord.domain.traffic.assessment import Assessment
from accord.domain.traffic.backends import Check, Objection
from accord.domain.traffic.observed import ProxyState
from accord.domain.words import few

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
            (_withheld, _not_begun, _rejected, _hidden, _no_proxy, _unaccepted, _warming, _pending),
            _programmed,
        ),
    )
    return (*(_judge(assessment, *aspect) for aspect in aspects), *_rollout(assessment))


def _judge(
    assessment: Assessment, type_: str, checks: tuple[Check, ...], otherwise: Callable[[Assessment], Objection]
) -> Wanted:
    objection = next((found for check in checks if (found := check(assessment)) is not None), None)
    if objection is not None:
        return Wanted(type_, "False", *objection)
    return Wanted(type_, "True", *otherwise(assessment))


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


def _rejected(assessment: Assessment) -> Objection | None:
    said = [proxy.rejected for proxy in _proxies(assessment) if proxy.rejected is not None]
    return Objection("ProxyRejected", "; ".join(sorted(said)[:3])) if said else None


def _hidden(assessment: Assessment) -> Objection | None:
    """Proxies that the operator does not answer, as their polls do not come from the addresses of their pods."""
    hidden = sorted((proxy.name, proxy.polls_from) for proxy in _proxies(assessment) if proxy.polls_from is not None)
    if not hidden or assessment.is_remembered:
        return None
    pod, address = hidden[0]
    others = f" (and {len(hidden) - 1} more)" if hidden[1:] else ""
    return Objection(
        "PeerRejected",
        f"polls of router pod {pod}{others} are rejected, so it gets no changes: they come from {address}, which is "
        "not its address. If the network or a mesh hides pod addresses, set the Helm value xds.verifyPeers to false",
    )


def _no_proxy(assessment: Assessment) -> Objection | None:
    if any(proxy.ready for proxy in _proxies(assessment)):
        return None
    router = assessment.observed.router
    obstacle = router.refused or router.obstacle
    if obstacle is None:
        return Objection("NoReadyProxy", "no proxy is ready yet: nothing answers at status.address")
    return Objection(obstacle.reason, f"no proxy is ready, nothing answers at status.address: {obstacle.message}")


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
        f"{subject} when every ready proxy has their endpoints; until then the split is {split(assessment)}",
    )


def _pending(assessment: Assessment) -> Objection | None:
    waiting = assessment.silent
    if not waiting or assessment.is_remembered:
        return None
    return Objection("Pending", f"not yet accepted by {few(waiting)}; they route as before")


def _programmed(assessment: Assessment) -> Objection:
    if assessment.policy.spec.suspend:
        return Objection("Suspended", f"suspended: the split stays {split(assessment)}, spec changes have no effect")
    accepted, refused = "all ready proxies have accepted the routes", assessment.observed.router.refused
    return Objection(
        "Programmed", accepted if refused is None else f"{accepted}; more proxies are needed, but {refused.message}"
    )


def _proxies(assessment: Assessment) -> tuple[ProxyState, ...]:
    return assessment.observed.router.programming.proxies


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
