"""Which part of a spec an attempt is made from: when it changes, the attempt is no longer what the spec asks for."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from accord.api.v1alpha1.trainingrun import TrainingRun

_OF_THE_RUN = {
    "suspend",
    "priority_class",
    "backoff_limit",
    "active_deadline_seconds",
    "ttl_after_finished",
    "ttl_after_given_up",
    "retuning",
}
"""Fields that are followed without a new attempt."""


def inputs(run: TrainingRun) -> str:
    """A short hash of everything that needs a new attempt when it changes.

    Values that are the defaults are left out, so that a later version with more fields does not restart what runs.
    The size of the volume is no reason either; and with `queueName`, Kueue owns the Job, so nothing of it is changed
    in place.
    """
    spec = run.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_OF_THE_RUN)
    monitoring = spec.pop("monitoring", {})
    spec["port"] = monitoring.get("port")
    spec.get("checkpoints", {}).pop("volumeClaim", None)
    if not spec.get("checkpoints"):
        spec.pop("checkpoints", None)
    if run.spec.queue_name is not None:
        spec["limits"] = [run.spec.backoff_limit, run.spec.active_deadline_seconds]
    return _digest(spec)


def hyperparameters(run: TrainingRun) -> str:
    """A short hash of what retuning may change."""
    spec = run.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include={"schedules", "ppo"})
    return _digest(spec)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
