"""The port, answered with a RayJob of KubeRay: a Ray cluster for each attempt, on whose head the trainer runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from accord.adapters.workloads.rayjob import limits, objects, view
from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import Ray, TrainingRun
from accord.domain import podnames
from accord.domain.plan import ObjectKey
from accord.domain.training import names
from accord.domain.training.restart import Restart
from accord.domain.training.views import AttemptView, End, PodView, Problem


class RayJobWorkload:
    """Implements `accord.ports.workload.Workload`."""

    kind = view.KIND

    def __init__(self, installed: Callable[[], bool]) -> None:
        """`installed()`: whether the API server knows RayJobs."""
        self._installed = installed

    def key(self, run: TrainingRun, attempt: int) -> ObjectKey:
        """`<run>-<attempt>`, cut where that is too long for the names of what KubeRay makes of it."""
        return objects.ray_job_key(run, attempt)

    def unsupported(self, run: TrainingRun) -> Problem | None:
        """What Ray cannot do; or that nobody would run it."""
        found = limits.unsupported(run, _ray(run))
        if found is None and not self._installed():
            words = "engine type RayJob needs KubeRay, and the cluster has no RayJobs (ray.io/v1): install KubeRay"
            return Problem("KubeRayNotInstalled", f"{words}; the run starts when it is there")
        return found

    def wanted(
        self, run: TrainingRun, attempt: int, failed_before: int, restart: Restart | None = None
    ) -> tuple[Manifest, ...]:
        """The RayJob."""
        return (objects.ray_job(run, _ray(run), attempt, failed_before, restart),)

    def view(self, live: Manifest) -> AttemptView:
        """The RayJob as it lives."""
        return view.RayJobView.of(live)

    def pod(self, live: Manifest) -> PodView:
        """The head trains; workers and the pod that submits stand beside it."""
        return view.pod_of(live)

    def lost(self, live: AttemptView, pods: Sequence[PodView], now: datetime) -> End | None:
        """Its head is believed more than its status."""
        return view.lost(live, pods, now)

    def pod_matcher(self, run: str) -> str:
        """The heads of RayJobs are named after them."""
        return podnames.of_job(names.jobs(run, objects.NAME_LIMIT))

    def adjusted(self, run: TrainingRun, live: AttemptView) -> Manifest | None:
        """The limit of time, and what it is watched by."""
        return objects.to_apply(run, live)

    def given_up(self, run: TrainingRun, live: AttemptView) -> Manifest | None:
        """A RayJob takes its pods along."""
        return None

    def limits_differ(self, run: TrainingRun, live: AttemptView) -> bool:
        """`activeDeadlineSeconds`."""
        return objects.limits_differ(run, live)


def _ray(run: TrainingRun) -> Ray:
    """Of the spec; the schema asks for it."""
    ray = run.spec.engine.ray
    return Ray(version="") if ray is None else ray
