"""A trainer that has ended in a pod that goes on: a sidecar among its ordinary containers keeps it.

The Job controller looks at pods, not at containers: it would wait for ever. So the trainer's own exit code counts. 0:
the run is finished, whatever its sidecars do; that is recorded first, then the Job goes and the pod with it. Anything
else: the pod is given a deadline that has passed, so that kubelet ends it as failed. The Job controller counts and
replaces it as any other, and the pod stays, with its logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TRAINER_CONTAINER, TrainingRun
from accord.domain.training import keeping
from accord.domain.training.views import End, PodView

GRACE = timedelta(seconds=30)
"""How long sidecars may go on when the trainer has ended: some send the last lines of a log, and end by themselves."""
COMPLETED = "TrainerCompleted"
"""Reason of such an end."""


def held(pods: Iterable[PodView], attempt: int) -> PodView | None:
    """The pod of the attempt that other containers keep from ending, although its trainer has ended."""
    return next(
        (pod for pod in pods if pod.attempt == attempt and pod.at_work and pod.trainer is not None and pod.others), None
    )


def left(pod: PodView, now: datetime) -> float:
    """Seconds that the other containers of a held pod still have."""
    since = pod.created if pod.trainer is None or pod.trainer.at is None else pod.trainer.at
    return (since + GRACE - now).total_seconds()


def finished(pods: Iterable[PodView], attempt: int, now: datetime) -> End | None:
    """The end of the run by its trainer's exit code, where the pod does not tell it: a sidecar goes on, or has failed.

    A pod that was told to stop is left to the Job controller: some trainers answer that with 0, too.
    """
    for pod in pods:
        if pod.attempt != attempt or pod.disrupted or pod.trainer is None or pod.trainer.code != 0:
            continue
        goes_on = pod.at_work and pod.others and left(pod, now) <= 0
        if goes_on or pod.phase == "Failed":
            how = (
                f"{_containers(pod.others)} kept the pod running" if goes_on else "another container of the pod failed"
            )
            return End(True, pod.trainer.at, COMPLETED, f"{pod.trainer.problem.message}, and {how}")
    return None


def to_end(pods: Iterable[PodView], attempt: int, namespace: str, now: datetime) -> Manifest | None:
    """The part of a held pod that ends it as failed; None where there is none, or it was told already."""
    pod = held(pods, attempt)
    if pod is None or pod.trainer is None or pod.trainer.code == 0 or pod.deleting or left(pod, now) > 0:
        return None
    if pod.deadline is not None and pod.deadline <= keeping.PAST:
        return None
    return keeping.ended(pod, namespace)


def in_words(pod: PodView) -> str:
    """Both containers of a held pod: the one that ended, and what keeps the pod."""
    ended = "" if pod.trainer is None else f"{pod.trainer.problem.message}; "
    return f"{ended}{_containers(pod.others)} still {'runs' if len(pod.others) == 1 else 'run'}"


def remark(run: TrainingRun) -> str | None:
    """What to say of a template with ordinary containers beside the trainer; None where there are none."""
    containers = (run.spec.template.get("spec") or {}).get("containers") or ()
    others = tuple(str(each.get("name")) for each in containers if each.get("name") != TRAINER_CONTAINER)
    if not others:
        return None
    return (
        f"{_containers(others)} may keep the pod running when the trainer has ended: move it to initContainers with "
        "restartPolicy Always"
    )


def _containers(names: tuple[str, ...]) -> str:
    return f"container {names[0]}" if len(names) == 1 else f"containers {', '.join(names)}"
