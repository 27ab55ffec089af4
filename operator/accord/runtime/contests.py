"""A brake: what somebody else changes back again and again is left alone for a while, and named.

Kept in memory alone. A new leader finds out anew, which costs it a few writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from accord.domain.children import Difference
from accord.domain.plan import ObjectKey

LIMIT = 5
"""Writes of one value within WINDOW, with none of another value between them, after which it is left alone."""
WINDOW = timedelta(minutes=5)
TRUCE = timedelta(minutes=10)
"""Then it is tried again: the other side may have given up."""


@dataclass
class _Writes:
    times: dict[Difference, list[datetime]] = field(default_factory=dict)
    rewritten: bool = False


@dataclass(frozen=True)
class Contest:
    """A value that does not stay."""

    over: Difference
    left: timedelta
    """Until it is written again."""
    on_admission: bool = False
    """Whether the answer to the last write showed it changed already: no other client did that."""


class Contests:
    """The writes of the last minutes, by the object that asked for them and the one that was written."""

    def __init__(self) -> None:
        self._writes: dict[ObjectKey, dict[ObjectKey, _Writes]] = {}

    def wrote(
        self,
        key: ObjectKey,
        child: ObjectKey,
        differences: tuple[Difference, ...],
        now: datetime,
        *,
        rewritten: bool = False,
    ) -> None:
        """`child` was there, and was written because of these differences. `rewritten`: the answer lacks some of it."""
        children = self._writes.setdefault(key, {})
        # Snapshots and Jobs come and go for as long as their owner lives.
        for each in [each for each, writes in children.items() if not _recent(writes, now)]:
            del children[each]
        writes = children.setdefault(child, _Writes())
        kept = _recent(writes, now)
        for difference in differences:
            # What is wanted there was something else in between: that it changes is our own doing.
            for other in [each for each in kept if each.path == difference.path != () and each != difference]:
                del kept[other]
            kept[difference] = [*kept.get(difference, ()), now][-LIMIT:]
        writes.times, writes.rewritten = kept, rewritten

    def standing(
        self, key: ObjectKey, child: ObjectKey, differences: tuple[Difference, ...], now: datetime
    ) -> Contest | None:
        """What of these differences is contested; None where one of them is not, and the write is worth it."""
        writes = self._writes.get(key, {}).get(child)
        if writes is None or not differences:
            return None
        left = [_left(writes.times.get(difference, []), now) for difference in differences]
        if min(left) <= timedelta(0):
            return None
        return Contest(differences[0], min(left), writes.rewritten)

    def forget(self, key: ObjectKey) -> None:
        """The object that asked is gone."""
        self._writes.pop(key, None)

    def clear(self) -> None:
        """Somebody else writes from now on."""
        self._writes.clear()


def _recent(writes: _Writes, now: datetime) -> dict[Difference, list[datetime]]:
    """The writes that still count, by what they were for."""
    kept = {of: [at for at in times if now - at < max(WINDOW, TRUCE)] for of, times in writes.times.items()}
    return {of: times for of, times in kept.items() if times}


def _left(times: list[datetime], now: datetime) -> timedelta:
    if len(times) < LIMIT or times[-1] - times[0] > WINDOW:
        return timedelta(0)
    return times[-1] + TRUCE - now
