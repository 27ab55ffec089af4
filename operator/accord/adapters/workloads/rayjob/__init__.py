from collections.abc import Callable

from accord.adapters.kubernetes.needs import OWN, Needs, Permission
from accord.adapters.kubernetes.resources import RAY_JOBS, Resource
from accord.adapters.workloads.rayjob.workload import RayJobWorkload

__all__ = ["NEEDS", "RayJobWorkload", "make"]

NEEDS = Needs(
    (),
    (RAY_JOBS,),
    (Permission(RAY_JOBS, OWN, "A RayJob for each attempt of a TrainingRun whose engine is KubeRay."),),
)


def make(serves: Callable[[Resource], bool]) -> RayJobWorkload:
    """For a cluster of which `serves` says whether it knows RayJobs."""
    return RayJobWorkload(lambda: serves(RAY_JOBS))
