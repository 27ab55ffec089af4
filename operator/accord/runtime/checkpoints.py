"""CheckpointPolicy in the runtime: gathers what a decision needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from accord.adapters.kubernetes.needs import OWN, READ, Needs, Permission
from accord.adapters.kubernetes.resources import (
    CHECKPOINT_POLICIES,
    CLAIMS,
    DEPLOYMENTS,
    PODS,
    SNAPSHOTS,
    TRAINING_RUNS,
)
from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.domain.checkpoint import names
from accord.domain.checkpoint.assessment import judged_since, training_of
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.detection import live
from accord.domain.checkpoint.detection.memory import Interval
from accord.domain.checkpoint.observed import Observed
from accord.domain.checkpoint.pods import ServingPod, selector
from accord.domain.checkpoint.reading import UNANSWERED, Reading
from accord.domain.checkpoint.subject import Subject
from accord.domain.checkpoint.views import ClaimView, DeploymentView, RunView
from accord.domain.conditions import find
from accord.domain.plan import ObjectKey, Plan
from accord.domain.warned import Warned
from accord.ports.checkpoints import Store
from accord.runtime.book import AnyInquiry, Book, Inquiry
from accord.runtime.index import Change, Index, is_ours
from accord.runtime.kinds import Traits
from accord.runtime.parsed import Parsed
from accord.runtime.refusals import Refusals
from accord.runtime.slim import is_made_by_us

Decide = Callable[[Observed, Store, datetime], Plan]
_Ref = tuple[str, str, str]
"""Kind, namespace and name of an object that a policy refers to."""


class CheckpointPolicies:
    """The kind CheckpointPolicy. Implements `accord.runtime.kinds.Kind` and `LooksAtPods`."""

    resource = CHECKPOINT_POLICIES
    traits = Traits(
        names.POLICY_LABEL,
        Needs(
            watches=(DEPLOYMENTS, CLAIMS, TRAINING_RUNS),
            optional=(SNAPSHOTS,),
            permissions=(
                Permission(
                    TRAINING_RUNS,
                    ("patch",),
                    "Mark a TrainingRun that a rollback restarts or stops (annotations alone).",
                ),
                Permission(
                    DEPLOYMENTS,
                    (*READ, "patch"),
                    "Point the Deployment of a CheckpointPolicy at a checkpoint (one field and one annotation).",
                ),
                Permission(
                    CLAIMS,
                    OWN,
                    "A volume made from the snapshot of each checkpoint that is served, which goes when nothing mounts "
                    "it any more.",
                ),
                Permission(
                    SNAPSHOTS,
                    OWN,
                    "A snapshot of each checkpoint. Watched without a label selector, so that one that loses its "
                    "labels is not lost; of others only metadata is kept in memory. Needed only where "
                    "CheckpointPolicies use method VolumeSnapshot.",
                ),
                Permission(
                    PODS,
                    ("list",),
                    "List the pods of the Deployment of a CheckpointPolicy, by its selector, only while it rolls over, "
                    "and those of a namespace before a volume made from a snapshot is deleted: whether one mounts it.",
                ),
            ),
        ),
        is_owner=False,
        acts_on_status=True,
        is_named_after=names.is_of,
    )

    def __init__(
        self,
        index: Index,
        stores: Mapping[str, Store],
        decide: Decide,
        readings: Book[Reading],
        snapshots_served: Callable[[], bool],
    ) -> None:
        """`stores` by `method`; `readings` is what a sampler writes in.

        `snapshots_served` says whether the API server knows VolumeSnapshots.
        """
        self._index, self._stores, self._decide, self._readings = index, stores, decide, readings
        self._snapshots_served = snapshots_served
        self._parsed = Parsed(CheckpointPolicy)
        self._users = index.index_by("checkpointpolicy-ref", _refs)
        self._made = index.index_by("checkpointpolicy-made", _made_for)
        self._strays = index.index_by("checkpointpolicy-stray", _stray_in)
        """By namespace: snapshots of our making that do not say whose they are, as somebody has taken their labels."""
        self._mounting = index.index_by("checkpointpolicy-mounting", _mounting_in)
        """By namespace: Deployments that mount a claim."""
        self._pods: dict[ObjectKey, tuple[ServingPod, ...]] = {}
        self.refusals = Refusals()
        self.inquiries: Sequence[AnyInquiry] = (Inquiry(live.QUESTION, self.read, readings),)

    def read(self, key: ObjectKey) -> Subject | None:
        """What is to be checked, or None. Raises pydantic.ValidationError where the policy cannot be read."""
        manifest = self._index.get(key)
        if manifest is None:
            return None
        policy = self._parsed.of(manifest)
        run = self._run(policy)
        if policy.spec.training_run_ref is not None and run is None:
            return Subject(policy)
        since = judged_since(policy, run)
        if run is None:
            return Subject(policy, None, since, memory=self._memory(key, policy))
        # Prometheus remembers the pods of an earlier run of this name, which were named alike.
        told = find(policy.status.conditions, "Healthy")
        begins = [moment for moment in (since, run.created) if moment is not None]
        return Subject(
            policy,
            run.attempt,
            max(begins, default=None),
            run.ended,
            run.uid,
            run.created,
            self._memory(key, policy),
            is_unknown=told is not None and told.reason in UNANSWERED,
            recorded=run.job,
        )

    def on_change(self, change: Change) -> Iterable[ObjectKey]:
        """Say which policies are concerned."""
        key = change.key
        if key.kind == self.resource.kind:
            return self._concerned_by_policy(change)
        if key.kind in (SNAPSHOTS.kind, CLAIMS.kind):
            return self._concerned_by_made(change) | self._referring(key)
        if key.kind == DEPLOYMENTS.kind:
            # A claim that is mounted no more may go.
            unmounted = _mounts(change.old) - _mounts(change.new)
            freed = {ref for claim in unmounted for ref in self._maker(key.namespace, claim)}
            return self._referring(key) | freed
        if key.kind == TRAINING_RUNS.kind:
            concerned = self._referring(key)
            for policy in concerned:
                self._readings.want(policy)
            return concerned
        return ()

    def plan(self, manifest: Manifest, conflicts: Mapping[ObjectKey, str], now: datetime) -> Plan:
        """Gather and decide. A refusal counts only as long as that object is wanted."""
        key = ObjectKey.of(manifest)
        policy = self._parsed.of(manifest)
        store = self._stores[policy.spec.method]
        return self.refusals.decide(key, lambda: self._decide(self._gather(key, policy, conflicts), store, now))

    def awaited_pods(self, manifest: Manifest) -> str | None:
        """Those of the serving Deployment, while a switch waits for them. Implements `LooksAtPods`."""
        self._pods.pop(ObjectKey.of(manifest), None)
        with contextlib.suppress(ValidationError):
            policy = self._parsed.of(manifest)
            deployment, switch = self._deployment(policy), policy.status.switch
            if deployment is None or switch is None or switch.patched_at is None or deployment.is_rolled_out:
                return None
            return selector(deployment.selector)
        return None

    def pods_seen(self, manifest: Manifest, pods: Iterable[Manifest]) -> None:
        """Keep what the next decision reads of them."""
        serving = self._parsed.of(manifest).spec.serving
        if serving is not None:
            found = (ServingPod.of(pod, serving.volume) for pod in pods)
            self._pods[ObjectKey.of(manifest)] = tuple(pod for pod in found if pod is not None)

    def unexplained(self, manifest: Manifest) -> str | None:
        """A pod that was just seen and has no container yet. Implements `AsksWhy`."""
        pods = self._pods.get(ObjectKey.of(manifest), ())
        return next((pod.uid for pod in pods if pod.uncreated and pod.uid), None)

    def explained(self, manifest: Manifest, uid: str, warned: Warned | None) -> None:
        """Keep it with the pod."""
        key = ObjectKey.of(manifest)
        pods = self._pods.get(key, ())
        self._pods[key] = tuple(replace(pod, warned=warned) if pod.uid == uid else pod for pod in pods)

    def forget(self, key: ObjectKey) -> None:
        """The policy is gone."""
        self._pods.pop(key, None)
        self._parsed.forget(key)
        self.refusals.forget(key)

    def _concerned_by_policy(self, change: Change) -> set[ObjectKey]:
        if change.new is not None:
            return {change.key}
        # Another policy may have waited for the Deployment.
        refs = [ref for ref in _refs(change.old or {}) if ref[0] == DEPLOYMENTS.kind]
        return {other for ref in refs for other in self._users(ref)}

    def _concerned_by_made(self, change: Change) -> set[ObjectKey]:
        made_for = {policy for policy in map(_policy_of, (change.old, change.new)) if policy is not None}
        known = {policy for policy in made_for if self._index.get(policy) is not None}
        return known | self._concerned_by_stray(change)

    def _concerned_by_stray(self, change: Change) -> set[ObjectKey]:
        """Whom a snapshot concerns that only its name tells the policy of."""
        key = change.key
        if not any(each is not None and _is_stray(each) for each in (change.old, change.new)):
            return set()
        policies = self._index.all(self.resource.api_version, self.resource.kind)
        return {each for each, _ in policies if each.namespace == key.namespace and names.is_of(each.name, key.name)}

    def _referring(self, key: ObjectKey) -> set[ObjectKey]:
        return set(self._users((key.kind, key.namespace, key.name)))

    def _maker(self, namespace: str, claim: str) -> Iterable[ObjectKey]:
        policy = _policy_of(self._index.get(ObjectKey("v1", CLAIMS.kind, namespace, claim)))
        return () if policy is None or self._index.get(policy) is None else (policy,)

    def _run(self, policy: CheckpointPolicy) -> RunView | None:
        ref = policy.spec.training_run_ref
        if ref is None:
            return None
        key = ObjectKey(TRAINING_RUNS.api_version, TRAINING_RUNS.kind, policy.metadata.namespace, ref.name)
        manifest = self._index.get(key)
        return None if manifest is None else RunView.of(manifest)

    def _memory(self, key: ObjectKey, policy: CheckpointPolicy) -> tuple[Interval, ...]:
        """Of the checkpoints of this training that are not put aside: the training comes from those."""
        training = names.training(training_of(policy, self._run(policy)))
        return tuple(
            checkpoint.remembers
            for checkpoint in self._snapshots(key)
            if checkpoint.remembers is not None and checkpoint.training == training and not checkpoint.quarantined
        )

    def _snapshots(self, key: ObjectKey) -> tuple[Checkpoint, ...]:
        """Those that were made for the policy, whatever has become of their labels."""
        made = [m for child, m in self._made(key).items() if child.kind == SNAPSHOTS.kind]
        strays = self._strays(key.namespace).items()
        made += [manifest for child, manifest in strays if names.is_of(key.name, child.name)]
        kept = (Checkpoint.of_snapshot(manifest) for manifest in made)
        return tuple(checkpoint for checkpoint in kept if checkpoint is not None)

    def _gather(self, key: ObjectKey, policy: CheckpointPolicy, conflicts: Mapping[ObjectKey, str]) -> Observed:
        made = self._made(key)
        observed = Observed(
            policy=policy,
            run=self._run(policy),
            deployment=self._deployment(policy),
            snapshots=self._snapshots(key),
            pods=self._pods.get(key, ()),
            claims=self._claims(key, policy, made),
            mounted=frozenset().union(*map(_mounts, self._mounting(key.namespace).values())),
            snapshots_served=self._snapshots_served(),
            rival=self._rival(key, policy),
            reading=self._readings.get(key),
            conflicts=conflicts,
            refusals=self.refusals.of(key),
        )
        source = observed.source_name
        claim = self._index.get(ObjectKey("v1", CLAIMS.kind, key.namespace, source)) if source is not None else None
        return observed if claim is None else observed.with_source(ClaimView.of(claim))

    def _claims(
        self, key: ObjectKey, policy: CheckpointPolicy, made: Mapping[ObjectKey, Manifest]
    ) -> dict[str, ClaimView]:
        """Those that carry the policy's label; and what is served, where somebody has taken its labels away."""
        found = {child.name: ClaimView.of(m) for child, m in made.items() if child.kind == CLAIMS.kind}
        serving, deployment = policy.spec.serving, self._deployment(policy)
        mounted = (
            deployment.mounted(serving.volume).claim_name if serving is not None and deployment is not None else None
        )
        recorded = [record.claim_name for record in (policy.status.serving, policy.status.switch) if record is not None]
        for name in (mounted, *recorded):
            manifest = self._index.get(ObjectKey("v1", CLAIMS.kind, key.namespace, name)) if name else None
            if manifest is None or name in found or _policy_of(manifest) not in (None, key):
                continue
            claim = ClaimView.of(manifest)
            if claim.snapshot == claim.name and names.is_of(key.name, claim.name):
                found[claim.name] = claim
        return found

    def _deployment(self, policy: CheckpointPolicy) -> DeploymentView | None:
        if policy.spec.serving is None:
            return None
        name = policy.spec.serving.deployment_ref.name
        manifest = self._index.get(ObjectKey("apps/v1", DEPLOYMENTS.kind, policy.metadata.namespace, name))
        return None if manifest is None else DeploymentView.of(manifest)

    def _rival(self, key: ObjectKey, policy: CheckpointPolicy) -> str | None:
        """An older policy with the same Deployment: server-side apply has one manager, and with it one owner."""
        if policy.spec.serving is None:
            return None
        ref = (DEPLOYMENTS.kind, key.namespace, policy.spec.serving.deployment_ref.name)
        older = [(policy.metadata.creation_timestamp or "", key.name)]
        for other in self._users(ref):
            manifest = self._index.get(other)
            if manifest is not None and not manifest["metadata"].get("deletionTimestamp"):
                older.append((manifest["metadata"].get("creationTimestamp") or "", other.name))
        name = min(older)[1]
        return None if name == key.name else name


def _refs(manifest: Manifest) -> Iterable[_Ref]:
    """What a policy refers to."""
    if manifest.get("kind") != CHECKPOINT_POLICIES.kind:
        return ()
    namespace, spec = manifest["metadata"]["namespace"], manifest.get("spec") or {}
    named = (
        (TRAINING_RUNS.kind, (spec.get("trainingRunRef") or {}).get("name")),
        (CLAIMS.kind, (spec.get("source") or {}).get("claimName")),
        (DEPLOYMENTS.kind, ((spec.get("serving") or {}).get("deploymentRef") or {}).get("name")),
    )
    return [(kind, namespace, name) for kind, name in named if name]


def _made_for(manifest: Manifest) -> tuple[ObjectKey, ...]:
    """The policy that a snapshot or a claim was made for."""
    policy = _policy_of(manifest) if manifest["kind"] in (SNAPSHOTS.kind, CLAIMS.kind) else None
    return () if policy is None else (policy,)


def _stray_in(manifest: Manifest) -> tuple[str, ...]:
    return (manifest["metadata"]["namespace"],) if _is_stray(manifest) else ()


def _mounting_in(manifest: Manifest) -> tuple[str, ...]:
    return (manifest["metadata"]["namespace"],) if _mounts(manifest) else ()


def _mounts(manifest: Manifest | None) -> frozenset[str]:
    """The claims that a Deployment mounts."""
    if manifest is None or manifest["kind"] != DEPLOYMENTS.kind:
        return frozenset()
    pod = ((manifest.get("spec") or {}).get("template") or {}).get("spec") or {}
    claims = ((volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in pod.get("volumes") or ())
    return frozenset(claim for claim in claims if claim)


def _is_stray(manifest: Manifest) -> bool:
    """Whether it is a snapshot of our making whose labels do not say for which policy it was made."""
    if manifest["kind"] != SNAPSHOTS.kind or not (is_ours(manifest) or is_made_by_us(manifest)):
        return False
    return names.parse_checkpoint(manifest["metadata"]["name"]) is not None and _policy_of(manifest) is None


def _policy_of(manifest: Manifest | None) -> ObjectKey | None:
    """The policy that a snapshot or a claim was made for, by its label. That of a snapshot must agree with its name,
    which nobody can change.
    """
    if manifest is None or not is_ours(manifest):
        return None
    meta = manifest["metadata"]
    name = (meta.get("labels") or {}).get(names.POLICY_LABEL)
    if not name or (manifest["kind"] == SNAPSHOTS.kind and not names.is_of(name, meta["name"])):
        return None
    return ObjectKey(CHECKPOINT_POLICIES.api_version, CHECKPOINT_POLICIES.kind, meta["namespace"], name)
