"""What the operator would do for a CheckpointPolicy when the trainer has saved its first checkpoint and all goes well.

Pass after pass is decided and carried out on paper, by the same code that decides in the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import API_VERSION
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.decide import decide
from accord.domain.checkpoint.names import SERVED_STEP_ANNOTATION
from accord.domain.checkpoint.observed import Observed
from accord.domain.checkpoint.reading import Reading, Saved
from accord.domain.checkpoint.store import Store
from accord.domain.checkpoint.views import ClaimView, DeploymentView, Mount, RunView
from accord.domain.conditions import timestamp
from accord.domain.plan import ObjectKey
from accord.domain.rehearsal import Given, Outcome
from accord.domain.training import resources

_NOW = datetime(2000, 1, 1, tzinfo=UTC)
"""Any time: nothing that is printed depends on it."""
_PASSES = 20
_FIRST_STEP = 500
"""Where no TrainingRun says how often it saves."""
_REMARKS = (
    "shown for the first checkpoint; of a Deployment only the fields that the operator sets. In the cluster",
    "other names end in a hash of the TrainingRun's uid",
)


def rehearse(manifest: Manifest, given: Given, stores: Mapping[str, Store]) -> Outcome:
    """Let the first checkpoint be saved, and everything happen that follows from it. `stores` by `method`."""
    outcome = Outcome(remarks=_REMARKS)
    policy = CheckpointPolicy.model_validate(manifest)
    observed = _gather(policy, given)
    for number in range(_PASSES):
        now = _NOW + timedelta(hours=number)
        plan = decide(observed, stores[policy.spec.method], now)
        if plan.status in (None, manifest.get("status")) and not plan.apply and not plan.patch and not plan.delete:
            break
        for wanted in (*plan.apply, *plan.patch):
            outcome.applied[ObjectKey.of(wanted)] = _without_uid(wanted)
        outcome.deleted += plan.delete
        if plan.status is not None:
            manifest = {**manifest, "status": plan.status}
        observed = _carried_out(observed, plan.apply, plan.patch, CheckpointPolicy.model_validate(manifest), now)
    outcome.conditions = list(CheckpointPolicy.model_validate(manifest).status.conditions)
    outcome.problems = list(_missing(policy, given)) or outcome.stalled
    return outcome


def run_of(manifest: Manifest) -> set[ObjectKey]:
    """The TrainingRun that a CheckpointPolicy refers to: without it there is nothing to plan from."""
    ref = manifest["spec"].get("trainingRunRef")
    return {ObjectKey(API_VERSION, TrainingRun.kind, manifest["metadata"]["namespace"], ref["name"])} if ref else set()


def _missing(policy: CheckpointPolicy, given: Given) -> Iterator[str]:
    """Objects that the policy refers to and nobody gave."""
    namespace = policy.metadata.namespace
    if policy.spec.training_run_ref is not None and _run(policy, given) is None:
        name = policy.spec.training_run_ref.name
        yield f"spec.trainingRunRef: TrainingRun {name} not found: add its manifest with -f"
    if policy.spec.serving is not None:
        name = policy.spec.serving.deployment_ref.name
        if ObjectKey("apps/v1", "Deployment", namespace, name) not in given:
            yield f"spec.serving.deploymentRef: Deployment {name} not found: add its manifest with -f"


def _gather(policy: CheckpointPolicy, given: Given) -> Observed:
    namespace, run = policy.metadata.namespace, _run(policy, given)
    view, step, source = None, _FIRST_STEP, None
    if policy.spec.training_run_ref is not None:
        ref = policy.spec.training_run_ref.name
        claim_name = resources.claim_name(run) if run is not None else f"{ref}-checkpoints"
        view = RunView(name=ref, uid="", attempt=1, claim_name=claim_name, finished=False)
        step = run.spec.checkpoints.save_frequency if run is not None else step
        source = resources.claim(run) if run is not None else None
    name = view.claim_name if view is not None else policy.spec.source.claim_name if policy.spec.source else None
    source = given.get(ObjectKey("v1", "PersistentVolumeClaim", namespace, name or ""), source)
    deployment = None
    if policy.spec.serving is not None:
        deployment = given.get(ObjectKey("apps/v1", "Deployment", namespace, policy.spec.serving.deployment_ref.name))
    return Observed(
        policy=policy,
        run=view,
        deployment=_rolled_out(deployment) if deployment is not None else None,
        source_claim=ClaimView.of(source) if source is not None else None,
        reading=Reading("Pass", _NOW, "all is well", attempt=1 if view else None, step=step, saved=(Saved(step),)),
    )


def _run(policy: CheckpointPolicy, given: Given) -> TrainingRun | None:
    if policy.spec.training_run_ref is None:
        return None
    key = ObjectKey(API_VERSION, TrainingRun.kind, policy.metadata.namespace, policy.spec.training_run_ref.name)
    manifest = given.get(key)
    return TrainingRun.model_validate(manifest) if manifest is not None else None


def _carried_out(
    observed: Observed,
    applied: tuple[Manifest, ...],
    patches: tuple[Manifest, ...],
    policy: CheckpointPolicy,
    now: datetime,
) -> Observed:
    """The world after a pass."""
    snapshots, claims, deployment = list(observed.snapshots), dict(observed.claims), observed.deployment
    for manifest in applied:
        meta = {**manifest["metadata"], "uid": "", "creationTimestamp": timestamp(now)}
        live = {**manifest, "metadata": meta, "status": {"readyToUse": True, "phase": "Bound"}}
        if manifest["kind"] == "VolumeSnapshot":
            made = Checkpoint.of_snapshot(live)
            snapshots += [made] if made is not None else []
        else:
            claims[meta["name"]] = ClaimView.of(live)
    for patch in patches:
        deployment = _patched(deployment, patch) if deployment is not None else None
    return replace(observed, policy=policy, snapshots=tuple(snapshots), claims=claims, deployment=deployment)


def _rolled_out(manifest: Manifest) -> DeploymentView:
    """As its controller would have it."""
    view = DeploymentView.of({**manifest, "metadata": {"uid": "", **manifest["metadata"]}, "status": {}})
    return replace(
        view, observed=True, updated=view.replicas, available=view.replicas, existing=view.replicas, paused=False
    )


def _patched(view: DeploymentView, patch: Manifest) -> DeploymentView:
    template = patch["spec"]["template"]
    step = int(template["metadata"]["annotations"][SERVED_STEP_ANNOTATION])
    pod = template["spec"]
    claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod.get("volumes", ())}
    paths = {
        (container["name"], mount["mountPath"]): mount.get("subPath")
        for container in (*pod.get("containers", ()), *pod.get("initContainers", ()))
        for mount in container["volumeMounts"]
    }

    def mounted(mount: Mount) -> Mount:
        return replace(mount, sub_path=paths.get((mount.container, mount.path), mount.sub_path))

    mounts = {volume: tuple(map(mounted, each)) for volume, each in view.mounts.items()}
    return replace(view, volumes={**view.volumes, **claims}, mounts=mounts, step=step)


def _without_uid(manifest: Manifest) -> Any:
    meta = {name: value for name, value in manifest["metadata"].items() if name != "uid"}
    return {**manifest, "metadata": meta}
