"""What is known about one TrainingRun when a decision is made about it: facts only, gathered by the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.plan import ObjectKey, Refusal
from accord.domain.training.pauses import Pause
from accord.domain.training.progress import Progress
from accord.domain.training.ratings import Ratings
from accord.domain.training.views import AttemptView, PodView
from accord.domain.warned import Warned


@dataclass(frozen=True)
class Observed:
    """One run and everything around it, at one moment."""

    run: TrainingRun
    jobs: tuple[AttemptView, ...] = ()
    """Objects of attempts (say Jobs) whose controller is this run, and that of its newest attempt where somebody took
    its owner away."""
    pods: tuple[PodView, ...] = ()
    """Pods that carry the run's name, of whatever Job: one whose Job is gone may still be at work."""
    departed: tuple[PodView, ...] = ()
    """The last pods that are gone of those that trained, as they were last seen: ended, or told to. None of those that
    went before the operator began."""
    podless_since: datetime | None = None
    """Since when the newest Job, which is to have one, is seen without a pod at work; None where it has one."""
    refused: Warned | None = None
    """What the Job controller last warned of while that is so."""
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
