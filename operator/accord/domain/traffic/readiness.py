"""From the aspects to `Ready`, `Reconciling` and `Stalled`, as kstatus reads them (sigs.k8s.io/cli-utils, pkg/kstatus).

What is not ready is in progress for a while (objects of one `kubectl apply` arrive in any order, pods take time), and
stalled when it has lasted longer than it should: then a person must look.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from accord.api.v1alpha1.meta import Condition
from accord.domain import refusals
from accord.domain.conditions import Wanted, find, parse_timestamp
from accord.domain.traffic.progress import Pending, Progress, Rejected

_AT_ONCE = timedelta(0)
_SOON = timedelta(minutes=1)
_PODS_START = timedelta(minutes=10)
"""As `progressDeadlineSeconds` of a Deployment, by default."""
_NEVER = timedelta(days=100_000)
"""A rollout takes as long as it takes."""
_PATIENCE = {
    "Accepted": _AT_ONCE,
    "ResolvedRefs": _SOON,
    "ModesAvailable": _PODS_START,
    "Programmed": _PODS_START,
    "PhasesCompleted": _NEVER,
}
_PATIENCE_BY_REASON = {
    "ScaledToZero": _SOON,
    "HealthCheckFailing": _SOON,
    "Suspended": _AT_ONCE,
    "NotAccepted": _AT_ONCE,
}


def readiness(
    aspects: Sequence[Wanted], previous: Sequence[Condition], now: datetime, progress: Progress
) -> tuple[tuple[Wanted, ...], float | None]:
    """`Ready`, and `Reconciling` or `Stalled` where it is not; and after how many seconds one becomes the other.

    What the router says of itself in `progress` has the patience that it asks for.
    """
    failing = [aspect for aspect in aspects if aspect.status == "False"]
    if not failing:
        told = next((aspect for aspect in aspects if aspect.reason == "Suspended"), None)
        if told is not None:
            return (Wanted("Ready", "True", told.reason, told.message),), None
        return (Wanted("Ready", "True", "Ready", "traffic is split as specified"),), None
    left = {aspect: _patience(aspect, progress) - _lasted(aspect, previous, now) for aspect in failing}
    overdue = next((aspect for aspect in failing if left[aspect] <= timedelta(0)), None)
    told = overdue or failing[0]
    ready = Wanted("Ready", "False", told.reason, told.message)
    if overdue is not None:
        return (ready, Wanted("Stalled", "True", told.reason, told.message)), None
    soonest = min((each for aspect, each in left.items() if aspect.type != "PhasesCompleted"), default=None)
    reconciling = Wanted("Reconciling", "True", told.reason, told.message)
    return (ready, reconciling), None if soonest is None else soonest.total_seconds()


def _patience(aspect: Wanted, progress: Progress) -> timedelta:
    if aspect.type == "Programmed" and aspect.reason in refusals.REASONS:
        return _AT_ONCE
    if aspect.type == "Programmed" and isinstance(progress, Pending | Rejected) and aspect.reason == progress.reason:
        return progress.patience or _PATIENCE[aspect.type]
    return _PATIENCE_BY_REASON.get(aspect.reason, _PATIENCE[aspect.type])


def _lasted(aspect: Wanted, previous: Sequence[Condition], now: datetime) -> timedelta:
    """How long the aspect has been false already."""
    before = find(previous, aspect.type)
    if before is None or before.status != aspect.status:
        return timedelta(0)
    return now - parse_timestamp(before.last_transition_time)
