"""What stands behind the modes: Deployments, the Services' names, and ready pods.

The checks of the conditions `ResolvedRefs` and `ModesAvailable`, and what a mode's trouble means for its traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import NamedTuple

from accord.api.v1alpha1.trafficpolicy import Mode
from accord.domain import refusals
from accord.domain.conditions import find
from accord.domain.traffic import health, shares
from accord.domain.traffic.assessment import Assessment
from accord.domain.traffic.observed import CutOff, DeploymentView
from accord.domain.traffic.resources import is_selectable, mode_service_key
from accord.domain.words import few, quote


class Objection(NamedTuple):
    """A reason and a message: why an aspect is not true, or what more there is to say where it is."""

    reason: str
    message: str


_UNREACHED = "HealthCheckFailing"
Check = Callable[[Assessment], Objection | None]


def _taken(assessment: Assessment) -> Objection | None:
    conflicts = assessment.observed.conflicts
    if not conflicts:
        return None
    modes = {mode_service_key(assessment.policy, mode.name): mode for mode in assessment.policy.spec.modes}
    said = [
        f"{key.kind} {key.name} already exists and belongs to {holder}{_way_out(holder, modes.get(key))}"
        + (f". Mode {modes[key].name}: {_consequence(assessment, modes[key])}" if key in modes else "")
        for key, holder in sorted(conflicts.items())
    ]
    return Objection("NameConflict", "; ".join(said))


def _way_out(holder: str, mode: Mode | None) -> str:
    """What can be done about a name that is taken. Something may be using what is there: deleting it is never the
    advice.
    """
    if holder.startswith("an earlier "):
        return "; waiting until it is gone"
    return f": rename {'the TrafficPolicy' if mode is None else f'mode {mode.name}'}"


def _missing(assessment: Assessment) -> Objection | None:
    return _each_mode(
        assessment,
        "DeploymentNotFound",
        lambda mode, deployment: f"Deployment {mode.deployment_ref.name} not found" if deployment is None else None,
    )


def _unselectable(assessment: Assessment) -> Objection | None:
    def says(_: Mode, deployment: DeploymentView | None) -> str | None:
        if deployment is None or is_selectable(deployment):
            return None
        return (
            f"the selector of Deployment {deployment.name} has only matchExpressions, which a Service does not "
            "support: add matchLabels"
        )

    return _each_mode(assessment, "UnusableSelector", says)


def _overlapping(assessment: Assessment) -> Objection | None:
    """Two Deployments, and the Service of one selects the pods of the other as well."""
    found: dict[frozenset[str], str] = {}
    for one, other in permutations(assessment.policy.spec.modes, 2):
        ours, theirs = (assessment.observed.deployments.get(mode.deployment_ref.name) for mode in (one, other))
        if ours is None or theirs is None or ours.name == theirs.name:
            continue
        if ours.match_labels and ours.match_labels.items() <= theirs.match_labels.items():
            found.setdefault(
                frozenset((one.name, other.name)),
                f"the selector of Deployment {ours.name} (mode {one.name}) also matches the pods of Deployment "
                f"{theirs.name} (mode {other.name}), so requests of {one.name} reach both and the split is wrong: use "
                "a different label for the pods of each mode",
            )
    return Objection("SelectorsOverlap", "; ".join(found.values())) if found else None


def resolved(assessment: Assessment) -> Objection:
    """What there is to say where every reference is good: things that are allowed and may still surprise."""
    notes = list(_other_checks(assessment))
    used: dict[tuple[str, int], str] = {}
    for mode in assessment.policy.spec.modes:
        deployment = assessment.observed.deployments[mode.deployment_ref.name]
        if deployment.ports and mode.port not in deployment.ports:
            declared = ", ".join(map(str, sorted(set(deployment.ports))))
            notes.append(
                f"mode {mode.name} uses port {mode.port}, but Deployment {deployment.name} declares {declared}"
            )
        if deployment.has_match_expressions:
            notes.append(f"matchExpressions of Deployment {deployment.name} are ignored, only its matchLabels are used")
        twin = used.setdefault((deployment.name, mode.port), mode.name)
        if twin != mode.name:
            notes.append(
                f"modes {twin} and {mode.name} have the same pods: Deployment {deployment.name}, port {mode.port}"
            )
    return Objection("Resolved", "; ".join(("all Deployments found", *notes)))


def _other_checks(assessment: Assessment) -> Iterator[str]:
    """Modes that the proxies check otherwise than Kubernetes does: their pods may be ready and get no request."""
    spec = assessment.policy.spec
    for mode in spec.modes:
        said, deployment = health.given(spec, mode), assessment.observed.deployments[mode.deployment_ref.name]
        if said is None or said.path is None:
            continue
        probe = health.of_pods(mode.model_copy(update={"health_check": None}), deployment)
        if probe.path is None:
            yield (
                f"the health check of mode {mode.name} is {said}, but Deployment {deployment.name} has no HTTP "
                "readinessProbe: make sure that its pods answer the check"
            )
        elif (probe.path, probe.port, probe.scheme) != (said.path, said.port, said.scheme):
            yield f"the health check of mode {mode.name} is {said}, but its readinessProbe is {probe}"


# ModesAvailable


def unavailable(assessment: Assessment) -> Objection | None:
    """Modes that should take a share and have no ready pod. Without a share nobody misses them."""
    intent = assessment.intent
    shared = set(intent.weights if intent else ())
    if intent is None or not assessment.frozen:
        shared |= {mode.name for mode in assessment.policy.spec.modes if mode.weight}
    modes = {mode.name: mode for mode in assessment.policy.spec.modes}
    gone = [mode for mode in assessment.ready if mode in shared and not assessment.ready[mode]]
    if not gone:
        return None
    causes = {name: _cause(assessment, modes.get(name)) for name in gone}
    if intent is not None and not assessment.ready_modes & intent.weights.keys():
        said = "; ".join(f"mode {name}: {cause.message}" for name, cause in causes.items())
        return Objection("NoModeAvailable", f"no mode has ready pods, all requests get 503. {said}")
    said = "; ".join(
        f"mode {name}: {cause.message}; {_consequence(assessment, modes.get(name) or name)}"
        for name, cause in causes.items()
    )
    return Objection(causes[gone[0]].reason, said)


def failing(assessment: Assessment) -> Objection | None:
    """Modes with a share whose pods are ready for Kubernetes and get no request from the proxies."""
    shared = assessment.intent.weights if assessment.intent is not None else {}
    modes = [name for name in assessment.ready if name in shared and name in assessment.failing]
    if not modes:
        return None
    said, reasons = [], []
    for name in modes:
        sight = assessment.sights[name]
        check = assessment.intent.checks[name] if assessment.intent is not None else health.CONNECTION
        if sight.passing:
            reasons.append("PodsEjected")
            problem = "its ready pods are ejected after failed requests"
        else:
            reasons.append(_UNREACHED)
            problem = f"its pods are ready but fail the proxies' health check ({check})"
        said.append(f"mode {name}: {problem}; {_consequence(assessment, name)}")
    return Objection(_UNREACHED if _UNREACHED in reasons else reasons[0], "; ".join(said))


def cut_off(assessment: Assessment) -> Objection | None:
    """Modes that some proxies have not reached for long, while others do.

    What was said so stays until no proxy is cut off: a new leader takes nothing back before it has asked them itself.
    """
    before = find(assessment.policy.status.conditions, "ModesAvailable")
    told = before is not None and before.status == "False" and before.reason == _UNREACHED
    if told and before is not None and not assessment.observed.router.seen.looked:
        return Objection(before.reason, before.message)
    if not any(told or each.lasting for each in _cut_off(assessment).values()):
        return None
    return Objection(_UNREACHED, "; ".join(_reach_none(assessment)))


def _cut_off(assessment: Assessment) -> dict[str, CutOff]:
    """Modes with a share that are not dead for all proxies."""
    shared = assessment.intent.weights if assessment.intent is not None else {}
    return {
        name: each
        for name, each in assessment.observed.router.seen.cut_off.items()
        if name in shared and assessment.ready.get(name) and name not in assessment.failing
    }


def _reach_none(assessment: Assessment) -> Iterator[str]:
    """`1 of 2 proxies reaches no pod of mode fast: shop-router-b. There …`, for each such mode."""
    intent, cut = assessment.intent, _cut_off(assessment)
    if intent is None:
        return
    for name, found in cut.items():
        taker = shares.stand_in(intent, name, assessment.answering - cut.keys())
        verb = "reaches" if len(found.proxies) == 1 else "reach"
        yield (
            f"{len(found.proxies)} of {found.of} proxies {verb} no pod of mode {name}: {few(found.proxies)}. "
            f"There its health check ({intent.checks[name]}) fails"
            + ("" if taker is None else f" and its {shares.percent(intent.weights[name])}% goes to {taker}")
        )


def available(assessment: Assessment) -> Objection:
    """What there is to say where every mode answers: pods that get no request."""
    shared = assessment.intent.weights if assessment.intent is not None else {}
    sights = assessment.sights
    notes = [
        f"mode {name}: some ready pods fail the proxies' health check"
        for name in assessment.ready
        if name in shared and name in sights and sights[name].passing < sights[name].pods
    ]
    return Objection(
        "Available", "; ".join(("all modes with a share have ready pods", *notes, *_reach_none(assessment)))
    )


def _cause(assessment: Assessment, mode: Mode | None) -> Objection:
    """Why a mode has no ready pod. None: it left the spec and is still routed to."""
    if mode is None:
        return Objection("PodsNotReady", "it has no ready pods and is no longer in the spec")
    deployment = assessment.observed.deployments.get(mode.deployment_ref.name)
    if deployment is None:
        return Objection("DeploymentNotFound", f"Deployment {mode.deployment_ref.name} not found")
    service = mode_service_key(assessment.policy, mode.name)
    if service in assessment.observed.conflicts:
        return Objection("NameConflict", f"Service {service.name} already exists")
    refusal = assessment.observed.refusals.get(service)
    if refusal is not None:
        return Objection(refusals.reason(refusal), refusals.sentence(service, refusal))
    if not is_selectable(deployment):
        return Objection("UnusableSelector", f"Deployment {deployment.name} has no usable selector")
    if deployment.replicas == 0:
        return Objection("ScaledToZero", f"Deployment {deployment.name} is scaled to 0")
    if deployment.ready_replicas:
        return Objection(
            "EndpointsMissing", f"Service {service.name} does not list the ready pods of {deployment.name}"
        )
    if deployment.refused is not None:
        return Objection(
            "PodsRefused", f"the API server refuses pods of Deployment {deployment.name}: {quote(deployment.refused)}"
        )
    return Objection("PodsNotReady", f"Deployment {deployment.name} has no ready pods")


# What happens to the traffic


def _each_mode(
    assessment: Assessment, reason: str, says: Callable[[Mode, DeploymentView | None], str | None]
) -> Objection | None:
    said = [
        f"mode {mode.name}: {problem}; {_consequence(assessment, mode)}"
        for mode in assessment.policy.spec.modes
        if (problem := says(mode, assessment.observed.deployments.get(mode.deployment_ref.name))) is not None
    ]
    return Objection(reason, "; ".join(said)) if said else None


def _consequence(assessment: Assessment, mode: Mode | str) -> str:
    """Where the share of a mode with a problem goes."""
    name = mode if isinstance(mode, str) else mode.name
    intent = assessment.intent
    share = intent.weights.get(name, 0.0) if intent is not None else 0.0
    if intent is None or share == 0:
        return "it gets no traffic" if isinstance(mode, str) or mode.weight == 0 else "it gets no traffic yet"
    taker = shares.stand_in(intent, name, assessment.answering)
    if taker is None:
        return "no mode can take over its share, its requests get 503"
    if taker == name and name in assessment.failing:
        return "no other mode is healthier, so it still gets requests"
    if taker == name:
        return f"its {shares.percent(share)}% goes to its remaining pods"
    return f"its {shares.percent(share)}% goes to {taker}"


UNRESOLVED: tuple[Check, ...] = (_taken, _missing, _unselectable, _overlapping)
"""The checks of `ResolvedRefs`, in order."""
