"""What the operator would do for one policy in a world where all goes well: pods start, proxies answer at once.

Pass after pass is decided and carried out on paper until nothing is left to do, by the same code that decides in the
cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.conditions import find
from accord.domain.plan import ObjectKey
from accord.domain.rehearsal import Given, Outcome, owned
from accord.domain.traffic import names
from accord.domain.traffic.decide import decide
from accord.domain.traffic.observed import (
    DeploymentView,
    Endpoint,
    Observed,
    RouterView,
    Unsupported,
)
from accord.domain.traffic.progress import Settled
from accord.domain.traffic.resources import is_selectable, mode_service_key

_NOW = datetime(2000, 1, 1, tzinfo=UTC)
"""Any time: nothing that is printed depends on it."""
_PASSES = 10
_TOLD = ("Accepted", "ResolvedRefs", "ModesAvailable")
"""Conditions that follow from manifests; the others need a cluster."""


@dataclass(frozen=True)
class Stage:
    """What there is besides the policy: manifests by identity, and what the router contributes."""

    given: Given
    objects: Callable[[TrafficPolicy], tuple[Manifest, ...]]
    """What the router wants in the cluster for the policy as it stands."""
    unsupported: tuple[Unsupported, ...]


def rehearse(manifest: Manifest, stage: Stage) -> Outcome:
    """Let everything happen that the operator would do for the TrafficPolicy in `manifest`."""
    outcome = Outcome()
    children = {key: given for key, given in stage.given.items() if _owner(given) == _name(manifest)}
    for _ in range(_PASSES):
        facts = _gather(TrafficPolicy.model_validate(manifest), stage, children)
        plan = decide(facts, _NOW)
        if plan.status in (None, manifest.get("status")) and not plan.apply and not plan.delete:
            break
        for wanted in plan.apply:
            outcome.applied[ObjectKey.of(wanted)] = children[ObjectKey.of(wanted)] = wanted
        for key in plan.delete:
            outcome.deleted.append(key)
            del children[key]
        if plan.status is not None:
            manifest = {**manifest, "status": plan.status}
    policy = TrafficPolicy.model_validate(manifest)
    outcome.conditions = list(policy.status.conditions)
    outcome.left = outcome.applied
    outcome.problems = list(_problems(policy, outcome, {**stage.given, **outcome.left}))
    told = find(outcome.conditions, "ResolvedRefs")
    outcome.notes = told.message.split("; ")[1:] if told is not None and told.status == "True" else []
    outcome.remarks = owned(manifest) if outcome.applied else ()
    return outcome


def _problems(policy: TrafficPolicy, outcome: Outcome, given: Given) -> Iterator[str]:
    """Why the policy would not become ready, as far as manifests can tell."""
    namespace = policy.metadata.namespace
    for index, mode in enumerate(policy.spec.modes):
        wanted = mode.deployment_ref.name
        if ObjectKey("apps/v1", "Deployment", namespace, wanted) in given:
            continue
        service = names.mode_service(policy.metadata.name, mode.name)
        elsewhere = sorted(key.namespace for key in given if (key.kind, key.name) == ("Deployment", wanted))
        hint = f" in namespace {namespace} (it is in {elsewhere[0]})" if elsewhere else ""
        yield (
            f"spec.modes[{index}].deploymentRef: Deployment {wanted} not found{hint}: "
            f"add its manifest with -f (Service {service} is made from it)"
        )
    for type_ in _TOLD:
        told = find(outcome.conditions, type_)
        if told is not None and told.status == "False" and told.reason != "DeploymentNotFound":
            yield told.message


def _gather(policy: TrafficPolicy, stage: Stage, children: Mapping[ObjectKey, Manifest]) -> Observed:
    namespace, objects = policy.metadata.namespace, stage.objects(policy)
    found = {
        mode.deployment_ref.name: DeploymentView.of(stage.given[key])
        for mode in policy.spec.modes
        if (key := ObjectKey("apps/v1", "Deployment", namespace, mode.deployment_ref.name)) in stage.given
    }
    modes = [mode.name for mode in policy.spec.modes]
    leaving = [mode.name for mode in policy.status.modes if mode.name not in modes]
    wanted = {mode_service_key(policy, name) for name in modes}
    wanted |= {ObjectKey.of({**m, "metadata": {**m["metadata"], "namespace": namespace}}) for m in objects}
    conflicts = {key: _holder(stage.given[key]) for key in wanted & stage.given.keys() - children.keys()}
    ready = set(leaving) | {
        mode.name
        for mode in policy.spec.modes
        if (view := found.get(mode.deployment_ref.name)) is not None
        and view.replicas > 0
        and is_selectable(view)
        and mode_service_key(policy, mode.name) not in conflicts
    }
    return Observed(
        policy=policy,
        deployments=found,
        children=children,
        endpoints={name: (Endpoint("192.0.2.1", name in ready),) for name in (*modes, *leaving)},
        router=RouterView(
            objects=objects,
            unsupported=stage.unsupported,
            progress=Settled("all ready proxies have accepted the routes"),
        ),
        conflicts=conflicts,
    )


def _name(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def _owner(manifest: Manifest) -> tuple[str, str] | None:
    """Namespace and name of the policy whose child this is, by its labels: all that a manifest in Git can say."""
    meta = manifest["metadata"]
    labels = meta.get("labels") or {}
    policy = labels.get(names.POLICY_LABEL)
    if labels.get(names.MANAGED_BY_LABEL) != names.MANAGED_BY or policy is None:
        return None
    return meta["namespace"], policy


def _holder(manifest: Manifest) -> str:
    owner = _owner(manifest)
    return f"TrafficPolicy {owner[1]}" if owner is not None else "another owner (its manifest is given, too)"
