"""What Kubernetes says of pods that do not come up, read alike for proxies, modes, trainers and serving pods.

Sources: `PodStatus` and `ContainerStatus` of core/v1, `DeploymentCondition` of apps/v1; the words are those of the API
server's admission and of kube-scheduler.
"""

from __future__ import annotations

from accord.api.base import Manifest
from accord.domain.words import NO_REASON

IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
"""Reasons of a container that waits for its image; kubelet alternates between the first two."""
CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""Reasons of a container that cannot be made as its pod describes it."""


def refusal(status: Manifest) -> str | None:
    """Why the API server takes no pods of a Deployment with this status; None where it does."""
    failure = condition(status, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return str(failure.get("message") or failure.get("reason") or NO_REASON)


def lost_since(status: Manifest) -> str | None:
    """Since when the node of a pod does not answer (RFC 3339); None where it does.

    Kubelet sets both conditions. The node lifecycle controller takes only `Ready` away, and gives no reason, when the
    node does not answer; the pod goes on to be `Running` (k8s.io/kubernetes, pkg/util/node, MarkPodsNotReady).
    """
    return condition(status, "Ready").get("lastTransitionTime") if is_lost(status) else None


def is_lost(status: Manifest) -> bool:
    """Whether the node of a pod does not answer; see `lost_since`. Older clusters say so in its reason or phase."""
    if status.get("reason") == "NodeLost" or status.get("phase") == "Unknown":
        return True
    ready, containers = condition(status, "Ready"), condition(status, "ContainersReady")
    taken_away = ready.get("status") in ("False", "Unknown") and not ready.get("reason")
    return taken_away and containers.get("status") == "True"


def condition(status: Manifest, type_: str) -> Manifest:
    """The condition of that type; empty where there is none."""
    return next((entry for entry in status.get("conditions") or () if entry.get("type") == type_), {})


def is_over_quota(words: str) -> bool:
    """Whether a ResourceQuota is what the API server refuses for."""
    return "exceeded quota" in words or "failed quota" in words


def scheduling(words: str | None) -> str:
    """Why no node takes a pod, without what is said of preemption: that repeats the rest."""
    return (words or "not scheduled").split(" preemption:")[0]
