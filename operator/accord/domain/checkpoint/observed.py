"""What is known about one CheckpointPolicy when a decision is made about it: facts only, gathered by the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.pods import ServingPod
from accord.domain.checkpoint.reading import Reading
from accord.domain.checkpoint.views import ClaimView, DeploymentView, RunView
from accord.domain.plan import ObjectKey, Refusal


@dataclass(frozen=True)
class Observed:
    """One policy and everything around it, at one moment."""

    policy: CheckpointPolicy
    run: RunView | None = None
    """The TrainingRun that the policy refers to, if it exists."""
    deployment: DeploymentView | None = None
    """The Deployment that serves, if it exists."""
    pods: tuple[ServingPod, ...] = ()
    """Pods of that Deployment, while they are waited for."""
    snapshots: tuple[Checkpoint, ...] = ()
    """VolumeSnapshots that carry the policy's label."""
    claims: Mapping[str, ClaimView] = field(default_factory=dict)
    """Claims that carry the policy's label, by name."""
    source_claim: ClaimView | None = None
    """The claim that the trainer writes to, if it exists."""
    mounted: frozenset[str] = frozenset()
    """Claims that the pod template of any Deployment of the namespace names."""
    snapshots_served: bool = True
    """Whether the API server knows VolumeSnapshots."""
    rival: str | None = None
    """An older policy that serves with the same Deployment."""
    reading: Reading | None = None
    """The last check of the training."""
    conflicts: Mapping[ObjectKey, str] = field(default_factory=dict)
    """Objects that exist under a name we need and belong to somebody else: who, in words."""
    refusals: Mapping[ObjectKey, Refusal] = field(default_factory=dict)
    """Objects that the API server refused to take, last time it was asked."""

    @property
    def source_name(self) -> str | None:
        """Name of the claim that the trainer writes to."""
        spec = self.policy.spec
        if spec.source is not None:
            return spec.source.claim_name
        return self.run.claim_name if self.run is not None else None

    @property
    def run_name(self) -> str:
        """The TrainingRun, or the claim of a training that is none: the value of `names.RUN_LABEL`."""
        ref = self.policy.spec.training_run_ref
        return ref.name if ref is not None else self.source_name or ""

    def with_source(self, claim: ClaimView) -> Observed:
        """The same, with the claim that the trainer writes to."""
        return replace(self, source_claim=claim)
