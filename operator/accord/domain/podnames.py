"""What pods are called by the controllers that make them. This pattern is written nowhere else.

The API server adds five characters to what a controller begins with (`metadata.generateName`): a Job with its own name
and a hyphen; the ReplicaSet of a Deployment with the name of that, a hash of the template, and hyphens.
"""

from __future__ import annotations

import re

_ADDED = "[a-z0-9]+"


def of_job(job: str) -> str:
    """A regular expression (RE2) for the pods of the Jobs that the regular expression `job` is for."""
    return f"{job}-{_ADDED}"


def of_deployment(deployment: str) -> str:
    """The same for the pods of Deployments."""
    return f"{deployment}-{_ADDED}-{_ADDED}"


def job_of(pod: str) -> str:
    """The inverse of `of_job`: the Job that a pod is named after; empty where it can be none of a Job."""
    job, _, added = pod.rpartition("-")
    return job if re.fullmatch(_ADDED, added) else ""
