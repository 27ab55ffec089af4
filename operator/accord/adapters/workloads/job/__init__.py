"""An attempt is a batch/v1 Job of one pod."""

from accord.adapters.workloads.job.workload import JobWorkload

__all__ = ["JobWorkload"]
