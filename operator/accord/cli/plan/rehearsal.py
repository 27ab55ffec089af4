"""What the operator would do for one policy in a world where all goes well: pods start, proxies answer at once.

Pass after pass is decided and carried out on paper until nothing is left to do, by the same code that decides in the
cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import Condition
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
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


@dataclass
class Outcome:
    """Objects in the order in which they are applied, those that are deleted, and the conditions in the end."""

    applied: dict[ObjectKey, Manifest] = field(default_factory=dict)
    deleted: list[ObjectKey] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """What there is besides the policy: manifests by identity, and what the router contributes."""

    given: Mapping[ObjectKey, Manifest]
    objects: tuple[Manifest, ...]
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
    outcome.conditions = list(TrafficPolicy.model_validate(manifest).status.conditions)
    return outcome


def _gather(policy: TrafficPolicy, stage: Stage, children: Mapping[ObjectKey, Manifest]) -> Observed:
    namespace = policy.metadata.namespace
    found = {
        mode.deployment_ref.name: DeploymentView.of(stage.given[key])
        for mode in policy.spec.modes
        if (key := ObjectKey("apps/v1", "Deployment", namespace, mode.deployment_ref.name)) in stage.given
    }
    modes = [mode.name for mode in policy.spec.modes]
    leaving = [mode.name for mode in policy.status.modes if mode.name not in modes]
    wanted = {mode_service_key(policy, name) for name in modes}
    wanted |= {ObjectKey.of({**m, "metadata": {**m["metadata"], "namespace": namespace}}) for m in stage.objects}
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
            objects=stage.objects,
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
