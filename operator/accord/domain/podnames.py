"""What pods are called by the controllers that make them. This pattern is written nowhere else.

The API server adds five characters to what a controller begins with (`metadata.generateName`): a Job with its own name
and a hyphen; a RayJob with that of its RayCluster, which is its own with five characters, and what the pod is; the
ReplicaSet of a Deployment with the name of that, a hash of the template, and hyphens.
"""

from __future__ import annotations

import re

_ADDED = "[a-z0-9]+"
_POD = re.compile(f"(.*)-{_ADDED}")
_HEAD = re.compile(f"(.+)-{_ADDED}-head-{_ADDED}")


def of_job(job: str) -> str:
    """A regular expression (RE2) for the pods of the Jobs, and the heads of the RayJobs, that `job` is one for."""
    return f"{job}-{_ADDED}(-head-{_ADDED})?"


def of_deployment(deployment: str) -> str:
    """The same for the pods of Deployments."""
    return f"{deployment}-{_ADDED}-{_ADDED}"


def job_of(pod: str) -> str:
    """The inverse of `of_job`: the Job or RayJob that a pod is named after; empty where it can be neither's."""
    found = _HEAD.fullmatch(pod) or _POD.fullmatch(pod)
    return "" if found is None else found[1]
