"""Ways to run attempts, which implement the port `accord.ports.workload.Workload`: a folder each, and their table."""

from collections.abc import Mapping
from typing import NamedTuple

from accord.adapters.kubernetes.needs import Needs
from accord.adapters.workloads import job
from accord.ports.workload import Workload


class Row(NamedTuple):
    """A line of the table."""

    workload: Workload
    needs: Needs
    """What is watched for it, and may be done with it."""


WORKLOADS: Mapping[str, Row] = {"Job": Row(job.JobWorkload(), job.NEEDS)}
