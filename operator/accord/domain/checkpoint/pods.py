"""The pods of the serving Deployment, as far as they tell why a checkpoint is not served.

Sources: `PodStatus` and `ContainerStatus` of core/v1. kube-scheduler writes the condition `PodScheduled`, kubelet the
containers' states, the node lifecycle controller `Ready` of pods whose node does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accord.api.base import Manifest
from accord.domain import podstatus
from accord.domain.checkpoint import names
from accord.domain.conditions import parse_timestamp
from accord.domain.warned import Warned

_NOT_CREATED = frozenset({"ContainerCreating", "PodInitializing"})
_NOT_RUN = frozenset({"ContainerStatusUnknown", "Unknown", "ContainerCannotRun", "StartError"})
"""Reasons of an end that no program caused: the node was lost or restarted, or the runtime could not start it."""


@dataclass(frozen=True)
class ServingPod:
    """A pod of the serving Deployment that has not been told to end."""

    name: str
    created: datetime
    owner: str
    """Uid of its ReplicaSet."""
    step: str
    """What its template says that it serves."""
    claims: frozenset[str]
    unscheduled: str | None
    """Why not scheduled, in the scheduler's words."""
    lost: bool
    """Whether its node does not answer any more."""
    image: str | None
    """An image that cannot be pulled."""
    misconfigured: str | None
    """Why a container cannot be started, in the runtime's words."""
    uncreated: bool
    """Whether it has a node, but no container yet: a volume is not mounted, or an image is being pulled."""
    ends: int
    """How often a container that reads the checkpoint has ended."""
    ending: str | None
    """How the last of those ended."""
    foreign_ending: str | None
    """The same of a container that does not read it."""
    unready: str | None
    """A container that runs and is not ready."""
    uid: str = ""
    warned: Warned | None = None
    """What Kubernetes last warned of it, where it is not created."""

    @classmethod
    def of(cls, manifest: Manifest, volume: str) -> ServingPod | None:
        """From the object as the API server has it; `volume` is what the checkpoint is in. None for a pod that is being
        deleted, or has ended for a reason of its node's.
        """
        meta, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        if meta.get("deletionTimestamp") or status.get("phase") in ("Failed", "Succeeded"):
            return None
        containers = _containers(status)
        mounting = _mounting(spec, volume)
        own = [c for c in containers if c.get("name") in mounting]
        waiting = [(c, (c.get("state") or {}).get("waiting") or {}) for c in containers]
        init = {each["name"] for each in spec.get("initContainers") or ()}
        endings = [found for c in own if (found := _ends(c, is_init=c.get("name") in init))[0]]
        scheduled = podstatus.condition(status, "PodScheduled")
        return cls(
            name=meta["name"],
            created=parse_timestamp(meta["creationTimestamp"]),
            owner=next((o["uid"] for o in meta.get("ownerReferences") or () if o.get("controller")), ""),
            step=(meta.get("annotations") or {}).get(names.SERVED_STEP_ANNOTATION, "0"),
            claims=frozenset(
                claim
                for each in spec.get("volumes") or ()
                if (claim := (each.get("persistentVolumeClaim") or {}).get("claimName"))
            ),
            unscheduled=scheduled.get("message") or "not scheduled" if _is(scheduled, "False") else None,
            lost=podstatus.is_lost(status),
            image=next((c.get("image") or "?" for c, why in waiting if why.get("reason") in podstatus.IMAGE), None),
            misconfigured=next(
                (
                    f"container {c.get('name')}: {why.get('message') or why['reason']}"
                    for c, why in waiting
                    if why.get("reason") in podstatus.CONFIG
                ),
                None,
            )
            or _not_run(containers),
            uncreated=_is_uncreated(scheduled, waiting),
            ends=max((count for count, _ in endings), default=0),
            ending=next((words for _, words in endings), None),
            foreign_ending=next(
                (words for c in containers if c not in own and (words := _ends(c, is_init=c.get("name") in init)[1])),
                None,
            ),
            uid=meta.get("uid", ""),
            unready=next((c["name"] for c in own if _runs(c) and not c.get("ready") and c["name"] not in init), None),
        )


def newest(pods: Iterable[ServingPod], claim: str, step: int | None) -> list[ServingPod]:
    """Those of the newest ReplicaSet that serves this checkpoint, by name."""
    found = [pod for pod in pods if claim in pod.claims and pod.step == str(step or 0)]
    if not found:
        return []
    owner = max(found, key=lambda pod: (pod.created, pod.owner)).owner
    return sorted((pod for pod in found if pod.owner == owner), key=lambda pod: pod.name)


def selector(of: Manifest) -> str | None:
    """A LabelSelector (meta/v1) as the API server takes it in a query; None where it selects nothing."""
    terms = [f"{key}={value}" for key, value in sorted((of.get("matchLabels") or {}).items())]
    for each in of.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[each["operator"]]
        )
    return ",".join(terms) or None


def _is(condition: Manifest, status: str) -> bool:
    return bool(condition.get("status") == status)


def _containers(status: Manifest) -> list[Manifest]:
    return [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]


def _mounting(spec: Manifest, volume: str) -> set[str]:
    """Containers that read the checkpoint: those that mount the volume, and those that share an emptyDir with them, as
    where an init container copies it.
    """
    mounts = {
        container["name"]: {mount.get("name") for mount in container.get("volumeMounts") or ()}
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    }
    shared = {each["name"] for each in spec.get("volumes") or () if "emptyDir" in each}
    carriers = {volume}
    for names_ in mounts.values():
        if volume in names_:
            carriers |= names_ & shared
    return {container for container, names_ in mounts.items() if names_ & carriers}


def _runs(container: Manifest) -> bool:
    return (container.get("state") or {}).get("running") is not None


def _is_uncreated(scheduled: Manifest, waiting: list[tuple[Manifest, Manifest]]) -> bool:
    return _is(scheduled, "True") and all(why.get("reason") in _NOT_CREATED for _, why in waiting)


def _ends(container: Manifest, *, is_init: bool) -> tuple[int, str | None]:
    """How often a container has ended that should not have, and how the last time."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated")
    count = int(container.get("restartCount") or 0) + (1 if ended else 0)
    how = ended or last.get("terminated") or {}
    done = is_init and ended is not None and ended.get("exitCode") == 0
    if count == 0 or done or how.get("reason") in _NOT_RUN:
        return 0, None
    reason = how.get("reason") or ""
    code = f"exit code {how['exitCode']}" if "exitCode" in how else "an unknown exit code"
    said = f", {reason}" if reason not in ("", "Error", "Completed") else ""
    return count, f"container {container.get('name')} ended with {code}{said}"


def _not_run(containers: Iterable[Manifest]) -> str | None:
    for container in containers:
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            how = state.get("terminated") or {}
            if how.get("reason") in ("ContainerCannotRun", "StartError"):
                return f"container {container.get('name')}: {how.get('message') or how['reason']}"
    return None
