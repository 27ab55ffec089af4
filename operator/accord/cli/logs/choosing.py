"""Which pod of a run is meant, and which of its containers."""

from __future__ import annotations

from collections.abc import Sequence

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TRAINER_CONTAINER
from accord.cli.errors import NegativeError
from accord.domain.training.names import ATTEMPT_LABEL, SUBMITTER_CONTAINER


def chosen(
    run: str,
    pods: Sequence[Manifest],
    *,
    attempt: int | None = None,
    failed: bool = False,
    container: str | None = None,
) -> Manifest:
    """The one that runs, else the newest that failed, else the newest, of those that have the container if any has;
    without its name, of those that have the trainer's log. NegativeError where there is none.
    """
    # Where none has the container, the API server says so of the pod that is chosen.
    pods = [pod for pod in pods if container in _names(pod)] or _telling(pods)
    candidates = [pod for pod in pods if attempt in (None, attempt_of(pod))]
    if failed:
        candidates = [pod for pod in candidates if _phase(pod) == "Failed"]
    if not candidates:
        which = "no failed pod" if failed else "no pod" if attempt is None else f"no pod of attempt {attempt}"
        known = sorted({attempt_of(pod) for pod in pods})
        left = f"; there are pods of attempts {', '.join(map(str, known))}" if known else ""
        raise NegativeError(f"TrainingRun {run} has {which}{left}")
    ranks = {"Running": 2, "Failed": 1}
    return max(
        candidates,
        key=lambda pod: (
            0 if attempt is not None else ranks.get(_phase(pod), 0),
            attempt_of(pod),
            pod["metadata"].get("creationTimestamp") or "",
            pod["metadata"]["name"],
        ),
    )


def container_of(pod: Manifest) -> str:
    """The container with the trainer's log."""
    return SUBMITTER_CONTAINER if SUBMITTER_CONTAINER in _names(pod) else TRAINER_CONTAINER


def _telling(pods: Sequence[Manifest]) -> list[Manifest]:
    """Those that have the trainer's log.

    On Ray the pod that submits the job prints it. Before there is one, and where it was never made, the head has to
    tell something at least. Workers write only for themselves.
    """
    submitted = {attempt_of(pod) for pod in pods if SUBMITTER_CONTAINER in _names(pod)}
    return [
        pod
        for pod in pods
        if (SUBMITTER_CONTAINER in _names(pod) if attempt_of(pod) in submitted else TRAINER_CONTAINER in _names(pod))
    ]


def _names(pod: Manifest) -> set[str]:
    spec = pod["spec"]
    return {container["name"] for container in (*spec["containers"], *(spec.get("initContainers") or ()))}


def attempt_of(pod: Manifest) -> int:
    """By its label; 0 for one without."""
    text = (pod["metadata"].get("labels") or {}).get(ATTEMPT_LABEL, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _phase(pod: Manifest) -> str:
    return str((pod.get("status") or {}).get("phase") or "")
