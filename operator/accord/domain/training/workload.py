"""What the decision asks of whatever runs an attempt. `adapters/workloads` answers; every method is pure."""

from __future__ import annotations

from typing import Protocol

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.plan import ObjectKey
from accord.domain.training.restart import Restart
from accord.domain.training.views import AttemptView, Problem


class Workload(Protocol):
    """A way to run attempts: one object for each, whose pods carry the labels of the run and of the attempt.

    Metrics carry no labels of pods: those of the trainer are asked for by its pod's name (`podnames.of_job`).
    """

    @property
    def kind(self) -> str:
        """The kind of that object."""

    def key(self, run: TrainingRun, attempt: int) -> ObjectKey:
        """Identity of the object of one attempt. Two replicas that think of one at once must make the same one."""

    def unsupported(self, run: TrainingRun) -> Problem | None:
        """Why this spec cannot be run in this way; None where it can."""

    def wanted(
        self, run: TrainingRun, attempt: int, failed_before: int, restart: Restart | None = None
    ) -> tuple[Manifest, ...]:
        """The objects of a new attempt, which goes on from `restart` where that is given. The last is that of `key`.

        `failed_before` is how many pods failed in earlier attempts.
        """

    def view(self, live: Manifest) -> AttemptView:
        """What an object of `key` says of its attempt. Total."""

    def adjusted(self, run: TrainingRun, live: AttemptView) -> Manifest | None:
        """The object of the current attempt with what changes in place; None where nothing is to be written."""

    def given_up(self, run: TrainingRun, live: AttemptView) -> Manifest:
        """The object of an attempt that a rollback ends, so that it fails with its pods and makes no other ones."""

    def limits_differ(self, run: TrainingRun, live: AttemptView) -> bool:
        """Whether the object has other limits (failures, time) than the spec says."""
