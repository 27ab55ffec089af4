"""An attempt is a batch/v1 Job of one pod."""

from accord.adapters.kubernetes.needs import OWN, READ, Needs, Permission
from accord.adapters.kubernetes.resources import JOBS, WORKLOADS
from accord.adapters.workloads.job.workload import JobWorkload

__all__ = ["NEEDS", "JobWorkload"]

NEEDS = Needs(
    (JOBS,),
    (WORKLOADS,),
    (
        Permission(JOBS, OWN, "A Job for each attempt of a TrainingRun."),
        Permission(
            WORKLOADS,
            (*READ, "patch"),
            "Where Kueue is installed: tell why a queued TrainingRun waits, and suspend one in its place in the queue "
            "(one field, `spec.active`).",
        ),
    ),
)
