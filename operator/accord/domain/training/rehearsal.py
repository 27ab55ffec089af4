"""What the operator would do for a TrainingRun that is new: its claim, and what runs the first attempt."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import Condition
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.plan import ObjectKey
from accord.domain.rehearsal import Outcome, owned
from accord.domain.training.decide import decide
from accord.domain.training.observed import Observed
from accord.domain.training.workload import Workload, chosen

_NOW = datetime(2000, 1, 1, tzinfo=UTC)
"""Any time: nothing that is printed depends on it."""


def rehearse(manifest: Manifest, workloads: Mapping[str, Workload]) -> Outcome:
    """The first pass."""
    run = TrainingRun.model_validate(manifest)
    plan = decide(Observed(run), chosen(workloads, run), _NOW)
    outcome = Outcome(applied={ObjectKey.of(wanted): _without_owner(wanted, manifest) for wanted in plan.apply})
    outcome.conditions = [Condition.model_validate(each) for each in (plan.status or {}).get("conditions") or ()]
    outcome.problems = outcome.stalled
    outcome.remarks = owned(manifest) if outcome.applied else ()
    return outcome


def _without_owner(wanted: Manifest, owner: Manifest) -> Manifest:
    """Without the owner reference where there is no uid to refer to."""
    if owner["metadata"].get("uid"):
        return wanted
    return {**wanted, "metadata": {name: v for name, v in wanted["metadata"].items() if name != "ownerReferences"}}
