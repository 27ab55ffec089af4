"""What stands behind the modes: Deployments, the Services' names, and ready pods.

The checks of the conditions `ResolvedRefs` and `ModesAvailable`, and what a mode's trouble means for its traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import NamedTuple

from accord.api.v1alpha1.trafficpolicy import Mode
from accord.domain import refusals
from accord.domain.traffic import health, shares
from accord.domain.traffic.observed import DeploymentView
from accord.domain.traffic.resources import is_selectable, mode_service_key
from accord.domain.traffic.situation import Situation
from accord.domain.words import quote


class Objection(NamedTuple):
    """A reason and a message: why an aspect is not true, or what more there is to say where it is."""

    reason: str
    message: str


Check = Callable[[Situation], Objection | None]


def _taken(situation: Situation) -> Objection | None:
    conflicts = situation.observed.conflicts
    if not conflicts:
        return None
    modes = {mode_service_key(situation.policy, mode.name): mode for mode in situation.policy.spec.modes}
    said = [
        f"{key.kind} {key.name} belongs to {holder}; it is left alone, delete or rename it"
        + (f". Mode {modes[key].name}: {_consequence(situation, modes[key])}" if key in modes else "")
        for key, holder in sorted(conflicts.items())
    ]
    return Objection("NameConflict", "; ".join(said))


def _missing(situation: Situation) -> Objection | None:
    return _each_mode(
        situation,
        "DeploymentNotFound",
        lambda mode, deployment: (
            f"Deployment {mode.deployment_ref.name} does not exist" if deployment is None else None
        ),
    )


def _unselectable(situation: Situation) -> Objection | None:
    def says(_: Mode, deployment: DeploymentView | None) -> str | None:
        if deployment is None or is_selectable(deployment):
            return None
        return (
            f"Deployment {deployment.name} selects its pods by matchExpressions only, which a Service cannot; "
            "give it matchLabels"
        )

    return _each_mode(situation, "UnusableSelector", says)


def _overlapping(situation: Situation) -> Objection | None:
    """Two Deployments, and the Service of one selects the pods of the other as well."""
    found: dict[frozenset[str], str] = {}
    for one, other in permutations(situation.policy.spec.modes, 2):
        ours, theirs = (situation.observed.deployments.get(mode.deployment_ref.name) for mode in (one, other))
        if ours is None or theirs is None or ours.name == theirs.name:
            continue
        if ours.match_labels and ours.match_labels.items() <= theirs.match_labels.items():
            found.setdefault(
                frozenset((one.name, other.name)),
                f"the labels by which Deployment {ours.name} (mode {one.name}) selects its pods are also on those of "
                f"Deployment {theirs.name} (mode {other.name}), so requests of {one.name} reach both and the split is "
                "not what the weights say; give the pods of each mode a label of their own",
            )
    return Objection("SelectorsOverlap", "; ".join(found.values())) if found else None


def resolved(situation: Situation) -> Objection:
    """What there is to say where every reference is good: things that are allowed and may still surprise."""
    notes = list(_other_checks(situation))
    used: dict[tuple[str, int], str] = {}
    for mode in situation.policy.spec.modes:
        deployment = situation.observed.deployments[mode.deployment_ref.name]
        if deployment.ports and mode.port not in deployment.ports:
            declared = ", ".join(map(str, sorted(set(deployment.ports))))
            notes.append(f"mode {mode.name} uses port {mode.port}, Deployment {deployment.name} declares {declared}")
        if deployment.has_match_expressions:
            notes.append(f"the matchExpressions of Deployment {deployment.name} are not looked at, its matchLabels are")
        twin = used.setdefault((deployment.name, mode.port), mode.name)
        if twin != mode.name:
            notes.append(
                f"modes {twin} and {mode.name} are the same pods: Deployment {deployment.name}, port {mode.port}"
            )
    return Objection("Resolved", "; ".join(("every mode's Deployment exists", *notes)))


def _other_checks(situation: Situation) -> Iterator[str]:
    """Modes that the proxies check otherwise than Kubernetes does: their pods may be ready and get no request."""
    spec = situation.policy.spec
    for mode in spec.modes:
        said, deployment = health.given(spec, mode), situation.observed.deployments[mode.deployment_ref.name]
        if said is None or said.path is None:
            continue
        probe = health.of_pods(mode.model_copy(update={"health_check": None}), deployment)
        if probe.path is None:
            yield (
                f"the proxies check the pods of mode {mode.name} with {said}, Deployment {deployment.name} has no HTTP "
                "readinessProbe that would show that they answer it"
            )
        elif (probe.path, probe.port, probe.scheme) != (said.path, said.port, said.scheme):
            yield f"the proxies check the pods of mode {mode.name} with {said}, their readinessProbe is {probe}"


# ModesAvailable


def unavailable(situation: Situation) -> Objection | None:
    """Modes that should take a share and have no ready pod. Without a share nobody misses them."""
    intent = situation.intent
    shared = set(intent.weights if intent else ())
    if intent is None or not situation.frozen:
        shared |= {mode.name for mode in situation.policy.spec.modes if mode.weight}
    modes = {mode.name: mode for mode in situation.policy.spec.modes}
    gone = [mode for mode in situation.ready if mode in shared and not situation.ready[mode]]
    if not gone:
        return None
    causes = {name: _cause(situation, modes.get(name)) for name in gone}
    if intent is not None and not situation.ready_modes & intent.weights.keys():
        said = "; ".join(f"mode {name}: {cause.message}" for name, cause in causes.items())
        return Objection("NoModeAvailable", f"no mode has a ready pod, every request is answered 503. {said}")
    said = "; ".join(
        f"mode {name}: {cause.message}; {_consequence(situation, modes.get(name) or name)}"
        for name, cause in causes.items()
    )
    return Objection(causes[gone[0]].reason, said)


def failing(situation: Situation) -> Objection | None:
    """Modes with a share whose pods are ready for Kubernetes and get no request from the proxies."""
    shared = situation.intent.weights if situation.intent is not None else {}
    modes = [name for name in situation.ready if name in shared and name in situation.failing]
    if not modes:
        return None
    said, reasons = [], []
    for name in modes:
        sight = situation.sights[name]
        check = situation.intent.checks[name] if situation.intent is not None else health.CONNECTION
        if sight.passing:
            reasons.append("PodsEjected")
            problem = "its ready pods failed requests and get none for now"
        else:
            reasons.append("HealthCheckFailing")
            problem = f"its pods are ready for Kubernetes and fail the proxies' health check ({check})"
        said.append(f"mode {name}: {problem}; {_consequence(situation, name)}")
    return Objection("HealthCheckFailing" if "HealthCheckFailing" in reasons else reasons[0], "; ".join(said))


def available(situation: Situation) -> Objection:
    """What there is to say where every mode answers: pods that get no request."""
    shared = situation.intent.weights if situation.intent is not None else {}
    sights = situation.sights
    notes = [
        f"mode {name}: some ready pods fail the proxies' health check"
        for name in situation.ready
        if name in shared and name in sights and sights[name].passing < sights[name].pods
    ]
    return Objection("Available", "; ".join(("every mode with a share has ready pods", *notes)))


def _cause(situation: Situation, mode: Mode | None) -> Objection:
    """Why a mode has no ready pod. None: it left the spec and is still routed to."""
    if mode is None:
        return Objection("PodsNotReady", "it has no ready pod and is no longer in the spec")
    deployment = situation.observed.deployments.get(mode.deployment_ref.name)
    if deployment is None:
        return Objection("DeploymentNotFound", f"Deployment {mode.deployment_ref.name} does not exist")
    service = mode_service_key(situation.policy, mode.name)
    if service in situation.observed.conflicts:
        return Objection("NameConflict", f"the name of its Service, {service.name}, is taken")
    refusal = situation.observed.refusals.get(service)
    if refusal is not None:
        return Objection(refusals.reason(refusal), refusals.sentence(service, refusal))
    if not is_selectable(deployment):
        return Objection("UnusableSelector", f"the pods of Deployment {deployment.name} cannot be selected")
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
    return Objection("PodsNotReady", f"no pod of Deployment {deployment.name} is ready")


# What happens to the traffic


def _each_mode(
    situation: Situation, reason: str, says: Callable[[Mode, DeploymentView | None], str | None]
) -> Objection | None:
    said = [
        f"mode {mode.name}: {problem}; {_consequence(situation, mode)}"
        for mode in situation.policy.spec.modes
        if (problem := says(mode, situation.observed.deployments.get(mode.deployment_ref.name))) is not None
    ]
    return Objection(reason, "; ".join(said)) if said else None


def _consequence(situation: Situation, mode: Mode | str) -> str:
    """Where the share of a mode with a problem goes."""
    name = mode if isinstance(mode, str) else mode.name
    intent = situation.intent
    share = intent.weights.get(name, 0.0) if intent is not None else 0.0
    if intent is None or share == 0:
        return "it takes no traffic" if isinstance(mode, str) or mode.weight == 0 else "it takes no traffic yet"
    taker = shares.stand_in(intent, name, situation.answering)
    if taker is None:
        return "no mode can take its share, requests are answered 503"
    if taker == name and name in situation.failing:
        return "no other mode is better off, so it is tried all the same"
    if taker == name:
        return f"its {shares.percent(share)}% goes to the pods that still are there"
    return f"its {shares.percent(share)}% goes to {taker}"


UNRESOLVED: tuple[Check, ...] = (_taken, _missing, _unselectable, _overlapping)
"""The checks of `ResolvedRefs`, in order."""
