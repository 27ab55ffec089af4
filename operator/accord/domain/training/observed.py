"""What is known about one TrainingRun when a decision is made about it: facts only, gathered by the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.plan import ObjectKey, Refusal
from accord.domain.training.pauses import Pause
from accord.domain.training.progress import Progress
from accord.domain.training.ratings import Ratings
from accord.domain.training.views import JobView, PodView


@dataclass(frozen=True)
class Observed:
    """One run and everything around it, at one moment."""

    run: TrainingRun
    jobs: tuple[JobView, ...] = ()
    """Jobs whose controller is this run."""
    pods: tuple[PodView, ...] = ()
    """Pods that carry the run's name, of whatever Job: one whose Job is gone may still be at work."""
    claim: Manifest | None = None
    """The claim that the operator makes, as it lives."""
    conflicts: Mapping[ObjectKey, str] = field(default_factory=dict)
    """Objects that exist under a name we need and belong to somebody else: who, in words."""
    refusals: Mapping[ObjectKey, Refusal] = field(default_factory=dict)
    """Objects that the API server refused to take, last time it was asked."""
    pauses: tuple[Pause, ...] = ()
    """CheckpointPolicies that want a training of this name to rest."""
    progress: Progress | None = None
    """What was measured last."""
    ratings: Ratings | None = None
    """What users were last seen to think."""
