"""Conditions that tools understand.

`Ready`, `Reconciling` and `Stalled` follow kstatus (sigs.k8s.io/cli-utils, pkg/kstatus): `Reconciling` and `Stalled`
are present only while True; a failure that will not mend by itself needs `Stalled=True`, because `Ready=False` alone
reads as "in progress" for ever. `lastTransitionTime` moves only when `status` changes, so that an unchanged pass
writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import Condition
from accord.domain.words import shorten

Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Wanted:
    """A condition as a decision states it, without times."""

    type: str
    status: Status
    reason: str
    message: str = ""


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with seconds, as meta/v1 Time is written."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """The inverse of `timestamp`; also reads fractions of a second and offsets."""
    return datetime.fromisoformat(text).astimezone(UTC)


def merge(previous: Sequence[Condition], wanted: Iterable[Wanted], *, generation: int, now: datetime) -> list[Manifest]:
    """The new `status.conditions`: those wanted, in that order, each with the time of its last change of `status`.

    Conditions that are no longer wanted are dropped.
    """
    before = {condition.type: condition for condition in previous}
    merged = []
    for want in wanted:
        old = before.get(want.type)
        since = old.last_transition_time if old is not None and old.status == want.status else timestamp(now)
        merged.append(
            {
                "type": want.type,
                "status": want.status,
                "reason": want.reason,
                "message": shorten(want.message),
                "observedGeneration": generation,
                "lastTransitionTime": since,
            }
        )
    return merged


def find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((condition for condition in conditions if condition.type == type_), None)
