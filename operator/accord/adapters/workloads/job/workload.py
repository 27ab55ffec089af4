"""The port, answered with a batch/v1 Job of one pod. Its template is the run's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from accord.adapters.workloads.job import objects
from accord.adapters.workloads.job.view import KIND, JobView
from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain import podnames
from accord.domain.plan import ObjectKey
from accord.domain.training import names
from accord.domain.training.restart import Restart
from accord.domain.training.views import AttemptView, End, PodView, Problem


class JobWorkload:
    """Implements `accord.ports.workload.Workload`."""

    kind = KIND

    def key(self, run: TrainingRun, attempt: int) -> ObjectKey:
        """`<run>-<attempt>`, cut where that is too long for the names of its pods."""
        return objects.job_key(run, attempt)

    def unsupported(self, run: TrainingRun) -> Problem | None:
        """A Job runs whatever a pod may be."""
        return None

    def wanted(
        self, run: TrainingRun, attempt: int, failed_before: int, restart: Restart | None = None
    ) -> tuple[Manifest, ...]:
        """The Job."""
        return (objects.job(run, attempt, failed_before, restart),)

    def view(self, live: Manifest) -> AttemptView:
        """The Job as it lives."""
        return JobView.of(live)

    def pod(self, live: Manifest) -> PodView:
        """The pod, with one container `trainer`."""
        return PodView.of(live)

    def lost(self, live: AttemptView, pods: Sequence[PodView], now: datetime) -> End | None:
        """A Job knows how its pods are."""
        return None

    def pod_matcher(self, run: str) -> str:
        """The pods of a Job are named after it."""
        return podnames.of_job(names.jobs(run))

    def adjusted(self, run: TrainingRun, live: AttemptView) -> Manifest | None:
        """Suspension and limits, unless Kueue holds the Job; and what it is watched by."""
        return objects.job_to_apply(run, live)

    def given_up(self, run: TrainingRun, live: AttemptView) -> Manifest:
        """No more failures are allowed than it has had."""
        return objects.job_given_up(run, live)

    def limits_differ(self, run: TrainingRun, live: AttemptView) -> bool:
        """`backoffLimit` and `activeDeadlineSeconds`."""
        return objects.limits_differ(run, live)
