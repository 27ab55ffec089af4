"""Which pod of a run is meant."""

from __future__ import annotations

from collections.abc import Sequence

from accord.api.base import Manifest
from accord.cli.errors import NegativeError
from accord.domain.training.names import ATTEMPT_LABEL


def chosen(run: str, pods: Sequence[Manifest], *, attempt: int | None = None, failed: bool = False) -> Manifest:
    """The one that runs, else the newest that failed, else the newest. NegativeError where there is none."""
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


def attempt_of(pod: Manifest) -> int:
    """By its label; 0 for one without."""
    text = (pod["metadata"].get("labels") or {}).get(ATTEMPT_LABEL, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _phase(pod: Manifest) -> str:
    return str((pod.get("status") or {}).get("phase") or "")
