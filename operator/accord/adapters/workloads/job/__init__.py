"""An attempt is a batch/v1 Job of one pod."""

from accord.adapters.kubernetes.needs import OWN, Needs, Permission
from accord.adapters.kubernetes.resources import JOBS
from accord.adapters.workloads.job.workload import JobWorkload

__all__ = ["NEEDS", "JobWorkload"]

NEEDS = Needs((JOBS,), (), (Permission(JOBS, OWN, "A Job for each attempt of a TrainingRun."),))
