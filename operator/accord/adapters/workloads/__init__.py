"""Ways to run attempts, which implement the port `accord.ports.workload.Workload`: a folder each, and their table."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from accord.adapters.kubernetes.needs import Needs
from accord.adapters.kubernetes.resources import Resource
from accord.adapters.workloads import job, rayjob
from accord.ports.workload import Workload

Serves = Callable[[Resource], bool]
"""Whether the API server knows an optional resource."""


class Row(NamedTuple):
    """A line of the table."""

    make: Callable[[Serves], Workload]
    needs: Needs
    """What is watched for it, and may be done with it."""


WORKLOADS: Mapping[str, Row] = {
    "Job": Row(lambda _: job.JobWorkload(), job.NEEDS),
    "RayJob": Row(rayjob.make, rayjob.NEEDS),
}
"""By `spec.engine.type`: a Job of one pod, or a RayJob of KubeRay."""


def made(serves: Serves) -> dict[str, Workload]:
    """All of them, for a cluster that has those resources."""
    return {name: row.make(serves) for name, row in WORKLOADS.items()}
