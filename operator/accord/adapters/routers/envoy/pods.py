"""Why the pods of a router's proxies do not come up, in the words of those who know: the API server, through the
Deployment's condition `ReplicaFailure`; the scheduler, the kubelet and the runtime, through the pods' own status
(`PodStatus` and `ContainerStatus` of core/v1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from accord.api.base import Manifest
from accord.domain import podstatus
from accord.domain.words import quote

_QUOTA, _REFUSED = "QuotaExceeded", "PodsRefused"
UNSCHEDULABLE = "Unschedulable"
"""Reason of an obstacle that more room takes away."""


@dataclass(frozen=True)
class Obstacle:
    """What keeps proxies from running: a reason that does not flap, and a sentence."""

    reason: str
    message: str


def refused(deployment: Manifest | None) -> Obstacle | None:
    """That the API server takes no pod of a live Deployment: a quota, PodSecurity, a missing PriorityClass."""
    words = podstatus.refusal(deployment.get("status") or {}) if deployment is not None else None
    if deployment is None or words is None:
        return None
    reason, name = _QUOTA if podstatus.is_over_quota(words) else _REFUSED, deployment["metadata"]["name"]
    return Obstacle(reason, f"the API server refuses pods of Deployment {name}: {quote(words)}")


def obstacle(pods: Iterable[Manifest]) -> Obstacle | None:
    """What is wrong with the first of these pods that something is wrong with."""
    alive = (pod for pod in pods if not pod["metadata"].get("deletionTimestamp"))
    found = (problem for pod in sorted(alive, key=lambda pod: pod["metadata"]["name"]) for problem in _problems(pod))
    return next(found, None)


def _problems(pod: Manifest) -> Iterator[Obstacle]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if (condition.get("type"), condition.get("status")) == ("PodScheduled", "False"):
            words = podstatus.scheduling(condition.get("message"))
            yield Obstacle(UNSCHEDULABLE, f"cannot schedule pod {name}: {quote(words)}")
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        yield from _problem(name, container)


def _problem(pod: str, container: Manifest) -> Iterator[Obstacle]:
    state, name = container.get("state") or {}, container.get("name")
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if waiting.get("reason") in podstatus.IMAGE:
        image = container.get("image") or "?"
        yield Obstacle("ImagePull", f"cannot pull image {image}: see `kubectl describe pod {pod}`")
    elif waiting.get("reason") in podstatus.CONFIG:
        words = quote(waiting.get("message") or waiting["reason"])
        yield Obstacle("ContainerConfig", f"cannot start container {name} of pod {pod}: {words}")
    elif ended:
        how = f"exit code {ended['exitCode']}" if "exitCode" in ended else "an unknown exit code"
        why = f" ({ended['reason']})" if ended.get("reason") not in (None, "", "Error", "Completed") else ""
        yield Obstacle(
            "ContainerCrash",
            f"container {name} of pod {pod} ended with {how}{why}: see `kubectl logs --previous {pod} -c {name}`",
        )
