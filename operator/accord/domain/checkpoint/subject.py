"""What is asked about in one check: a policy, and which part of its training's life is judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy, Detection
from accord.api.v1alpha1.meta import ObjectMeta
from accord.domain.checkpoint.detection.memory import Interval
from accord.domain.training import names


@dataclass(frozen=True)
class Watched:
    """The spec as a sampler sees it."""

    monitoring: Detection
    """`endpoint` and `interval` are whom to ask, and how often."""


@dataclass(frozen=True)
class Subject:
    """A policy and its training. A sampler's subject: it has `metadata` and `spec.monitoring`."""

    policy: CheckpointPolicy
    attempt: int | None = None
    """Newest attempt of the TrainingRun; None without one yet, and for a training that is not a TrainingRun."""
    since: datetime | None = None
    """When the training began, or a rollback ended through which it went on: nothing from before it is judged."""
    ended: datetime | None = None
    """When the TrainingRun ended, if it did: nothing new comes then."""
    run: str | None = None
    """Uid of the TrainingRun."""
    began: datetime | None = None
    """When the TrainingRun was created: no pod of it is older."""
    memory: tuple[Interval, ...] = ()
    """What the checkpoints remember that this training comes from, in any order."""
    is_unknown: bool = False
    """Whether the last check had no answer: it is asked for again, also after the end."""
    recorded: str | None = None
    """The object that runs the newest attempt, by the TrainingRun's status."""

    @property
    def job(self) -> str | None:
        """The name that the trainer's pods are named after; None for a training that is not a TrainingRun."""
        ref = self.policy.spec.training_run_ref
        if ref is None:
            return None
        return self.recorded or names.job(ref.name, self.attempt or 1)

    @property
    def remembered(self) -> float | None:
        """Until when: Unix time in seconds. None where nothing is, and where method Ratio wants each step."""
        if self.policy.spec.detection.method == "Ratio":
            return None
        return max((interval.at for interval in self.memory), default=None)

    @property
    def metadata(self) -> ObjectMeta:
        """The policy's."""
        return self.policy.metadata

    @property
    def spec(self) -> Watched:
        """Whom to ask, and how often."""
        return Watched(self.policy.spec.detection)
