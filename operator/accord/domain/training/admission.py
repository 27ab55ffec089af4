"""What Kueue says of the object of an attempt, in its Workload: one for each Job that it manages.

Its own conditions, and of those what a person must know (kueue.x-k8s.io/v1beta2, apis/kueue/v1beta2/workload_types.go).
Where a reason of Kueue's stands for several states, its words say which of them (pkg/controller/core,
workload_controller.go; pkg/scheduler/flavorassigner).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from accord.api.base import Manifest
from accord.domain.conditions import parse_timestamp
from accord.domain.plan import ObjectKey
from accord.domain.words import quote

NOT_FOUND, STOPPED, TOO_LARGE = "QueueNotFound", "QueueStopped", "ExceedsQuota"
_MISSING = re.compile(r"doesn't exist|not found|missing")
_CLOSED = re.compile(r"is (stopped|inactive)")
_NEVER_FITS = re.compile(r"maximum capacity")
_CLOSINGS = frozenset({"ClusterQueueStopped", "LocalQueueStopped"})
"""Reasons for which Kueue evicts what a queue had admitted that is stopped."""


@dataclass(frozen=True)
class Said:
    """A condition of the Workload."""

    is_true: bool
    reason: str
    message: str
    since: datetime | None


@dataclass(frozen=True)
class Admission:
    """A Workload."""

    key: ObjectKey
    uid: str
    queue: str
    """Its LocalQueue; empty where it has none."""
    active: bool
    """`spec.active`: whether it may be admitted at all."""
    stopped_by_us: bool
    """Whether it was the operator who last set that."""
    finished: bool
    quota: Said | None
    """QuotaReserved."""
    admitted: bool
    evicted: Said | None
    """Evicted, while that holds: until the quota is reserved again."""

    @classmethod
    def of(cls, manifest: Manifest) -> Admission:
        """From the object as it is kept (`slim`). Total."""
        meta, spec = manifest["metadata"], manifest.get("spec") or {}
        found = {each.get("type"): _said(each) for each in (manifest.get("status") or {}).get("conditions") or ()}
        admitted, finished, evicted = (found.get(name) for name in ("Admitted", "Finished", "Evicted"))
        return cls(
            key=ObjectKey(manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"]),
            uid=meta.get("uid", ""),
            queue=spec.get("queueName") or "",
            active=spec.get("active") is not False,
            stopped_by_us=bool((manifest.get("managers") or {}).get("active")),
            finished=finished is not None and finished.is_true,
            quota=found.get("QuotaReserved"),
            admitted=admitted is not None and admitted.is_true,
            evicted=evicted if evicted is not None and evicted.is_true else None,
        )

    def why(self) -> Said | None:
        """Why it is not admitted, with a reason of one word; None where it is, or Kueue has not said.

        Kueue first repeats why it evicted something, and says what else keeps it only once it has tried again.
        """
        quota = self.quota
        if self.admitted or quota is None:
            return None
        if quota.is_true:
            return Said(False, "Queued", "quota is reserved, and admission checks are not done", quota.since)
        if self.evicted is not None and quota.message == self.evicted.message and self.evicted.reason != "Deactivated":
            return self.why_evicted()
        return Said(False, _reason(quota), quote(quota.message), quota.since)

    def why_evicted(self) -> Said | None:
        """Why Kueue stops, or has stopped, what it had admitted; None where it has not."""
        evicted = self.evicted
        if evicted is None:
            return None
        reason = STOPPED if evicted.reason in _CLOSINGS else evicted.reason
        return Said(False, reason, quote(evicted.message), evicted.since)


def _reason(quota: Said) -> str:
    if _MISSING.search(quota.message) and quota.reason == "Inadmissible":
        return NOT_FOUND
    if _CLOSED.search(quota.message):
        return STOPPED
    if quota.reason == "Pending":
        return TOO_LARGE if _NEVER_FITS.search(quota.message) else "Queued"
    return quota.reason if quota.reason != "Waiting" else "Queued"


def _said(condition: Manifest) -> Said:
    at = condition.get("lastTransitionTime")
    return Said(
        condition.get("status") == "True",
        condition.get("reason") or "",
        condition.get("message") or "",
        parse_timestamp(at) if at else None,
    )
