"""What the decision asks of whatever runs an attempt. `adapters/workloads` answers; every method is pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.plan import ObjectKey
from accord.domain.training.restart import Restart
from accord.domain.training.views import AttemptView, End, PodView, Problem


class Workload(Protocol):
    """A way to run attempts: one object for each, whose pods carry the labels of the run and of the attempt.

    Metrics carry no labels of pods: those of the newest attempt are asked for by the name of its object, which the
    run's status records and its pod is named after (`podnames.of_job`).
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
        """What an object of `key` says of its attempt: whether it is suspended and by whom, and how it ended. Total."""

    def pod(self, live: Manifest) -> PodView:
        """What a pod of an attempt says: whether it is at work, what it waits for, how its trainer ended. Total."""

    def lost(self, live: AttemptView, pods: Sequence[PodView], now: datetime) -> End | None:
        """How an attempt with these pods has ended, where its object does not know that; None where it goes on.

        Pods that were seen to end, or told to, are among them when they are gone.
        """

    def pod_matcher(self, run: str) -> str:
        """A regular expression (RE2) for the names of the pods of all attempts of the run of that name."""

    def adjusted(self, run: TrainingRun, live: AttemptView) -> Manifest | None:
        """The object of the current attempt with what changes in place; None where nothing is to be written."""

    def given_up(self, run: TrainingRun, live: AttemptView) -> Manifest | None:
        """The object of an attempt that a rollback ends, so that it fails with its pods and makes no other ones. None
        where that cannot be said: then it goes.
        """

    def limits_differ(self, run: TrainingRun, live: AttemptView) -> bool:
        """Whether the object has other limits (failures, time) than the spec says."""


def chosen(workloads: Mapping[str, Workload], run: TrainingRun) -> Workload:
    """What runs the attempts of a run, out of a table by `spec.engine.type`."""
    return workloads[run.spec.engine.type]
