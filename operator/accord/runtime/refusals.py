"""What the API server did not take of each object's wishes: the user's to know, and no longer than it is wished for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from accord.domain.plan import ObjectKey, Plan, Refusal
from accord.domain.refusals import PASSING, is_refusal


@dataclass(frozen=True)
class _Entry:
    refusal: Refusal
    told: bool
    """Whether a decision knows of it: a fault of the server is only tried again for a while."""
    since: datetime


class Refusals:
    """A book that a kind keeps."""

    def __init__(self) -> None:
        self._book: dict[ObjectKey, dict[ObjectKey, _Entry]] = {}

    def failed(self, key: ObjectKey, child: ObjectKey, refusal: Refusal, now: datetime) -> bool:
        """A write of `child` was not taken; whether the next decision knows of it.

        Without an answer (status 0) nothing is known of the object, and nothing could be written about it.
        """
        if refusal.status == 0:
            return False
        before = self._book.get(key, {}).get(child)
        since = now if before is None else before.since
        told = is_refusal(refusal.status, refusal.message) or now - since >= PASSING
        self._book.setdefault(key, {})[child] = _Entry(refusal, told, since)
        return told

    def contested(self, key: ObjectKey, child: ObjectKey, message: str, now: datetime) -> None:
        """`child` is left alone, for somebody else changes it back. Known until it is not wanted otherwise any more."""
        self._book.setdefault(key, {})[child] = _Entry(Refusal(0, message), told=True, since=now)

    def taken(self, key: ObjectKey, child: ObjectKey) -> None:
        """Whatever was refused before. That a write was taken does not say that it lasts."""
        entry = self._book.get(key, {}).get(child)
        if entry is not None and entry.refusal.status != 0:
            self._drop(key, child)

    def of(self, key: ObjectKey) -> Mapping[ObjectKey, Refusal]:
        """What is refused now, by the object that was wanted."""
        return {child: entry.refusal for child, entry in self._book.get(key, {}).items() if entry.told}

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._book.pop(key, None)

    def clear(self) -> None:
        """Nothing is written for a while, so that nothing is known any more."""
        self._book.clear()

    def decide(self, key: ObjectKey, decide: Callable[[], Plan]) -> Plan:
        """The decision, taken again without the refusals of what it wants no more."""
        plan = decide()
        known = self._book.get(key, {})
        outdated = known.keys() - {*map(ObjectKey.of, (*plan.apply, *plan.patch)), *plan.delete}
        if not outdated:
            return plan
        for child in outdated:
            self._drop(key, child)
        return decide()

    def _drop(self, key: ObjectKey, child: ObjectKey) -> None:
        entries = self._book.get(key, {})
        entries.pop(child, None)
        if not entries:
            self._book.pop(key, None)
