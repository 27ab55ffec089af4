"""What checkpoints remember of the training that led to them.

Each snapshot carries the sums of what was reported between the snapshot before and its own checkpoint, so that a
baseline lies in the checkpoints and not in the reach of a query: neither how long Prometheus keeps its samples nor how
rare updates are matters, and one question needs to reach no further than the newest snapshot.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from accord.domain.checkpoint.detection.series import Moment, Name, Segment
from accord.domain.checkpoint.detection.signals import OF_SERIES

_LONGEST = 2000
"""Characters of an annotation that are read: ours have some hundred a series."""


class Sums(NamedTuple):
    """Of one series."""

    values: int
    total: float
    squares: float
    units: int
    """Independent samples among the values: updates of a loss, episodes of a return."""


@dataclass(frozen=True)
class Interval:
    """What was reported after `after` until `until`, steps of the training."""

    after: int
    until: int
    at: float
    """When Prometheus saw its end: Unix time in seconds."""
    since: float
    """When it saw its beginning."""
    attempt: int
    series: Mapping[Name, Sums]

    def encode(self) -> str:
        """For an annotation."""
        series: dict[str, Any] = {name: list(sums) for name, sums in self.series.items()}
        times = {"after": self.after, "until": self.until, "since": self.since, "at": self.at}
        return json.dumps(times | series, separators=(",", ":"))

    def moment(self) -> Moment:
        """As if it were one look at the trainer."""
        return Moment.of(self.until, self.at, {name: self._segment(sums) for name, sums in self.series.items()})

    def _segment(self, sums: Sums) -> Segment:
        return Segment(self.after, self.until, sums.values, sums.total, sums.squares, sums.units)


def decode(text: str | None, attempt: int) -> Interval | None:
    """The inverse of `encode`; None for anything else, as somebody may have edited it."""
    if text is None or len(text) > _LONGEST:
        return None
    try:
        whole = json.loads(text, parse_int=_whole)
        series = {name: _sums(whole[name]) for name in OF_SERIES if name in whole}
        found = Interval(
            _step(whole["after"]), _step(whole["until"]), _finite(whole["at"]), _finite(whole["since"]), attempt, series
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if found.after <= found.until and found.since <= found.at else None


def between(moments: Iterable[Moment], since: float, at: float, attempt: int) -> Interval | None:
    """The sums of what the looks after `since` until `at` showed. None where there were none, or not finite ones."""
    within = [moment for moment in moments if moment.at is not None and since < moment.at <= at]
    series: dict[Name, Sums] = {}
    begun: list[int] = []
    for name in OF_SERIES:
        reports = [moment.report(name) for moment in within]
        if "NotFinite" in reports and OF_SERIES[name].is_proof:
            return None
        segments = [report for report in reports if isinstance(report, Segment)]
        if segments:
            begun.append(min(segment.first for segment in segments))
            series[name] = Sums(
                sum(each.values for each in segments),
                sum(each.total for each in segments),
                # Of segments without squares, the means stand for all their values.
                sum(each.squares or each.total * each.mean for each in segments),
                sum(each.units for each in segments),
            )
    if not series:
        return None
    earliest = min(moment.at for moment in within if moment.at is not None)
    return Interval(min(begun), within[-1].step, at, since if math.isfinite(since) else earliest - 1, attempt, series)


def chain(intervals: Iterable[Interval], until: int, since: float) -> list[Interval]:
    """Those that follow each other without an overlap, oldest first, up to step `until` and from after time `since`.

    Two snapshots that were made without knowing of each other have begun at the same place: the later one has both.
    """
    found: list[Interval] = []
    for each in sorted(intervals, key=lambda interval: interval.at, reverse=True):
        if each.until > until or each.since < since:
            continue
        if not found or (each.at <= found[-1].since and each.until <= found[-1].until):
            found.append(each)
    return found[::-1]


def _sums(found: Any) -> Sums:
    values, total, squares, units = found
    sums = Sums(_step(values), _finite(total), _finite(squares), _step(units))
    if sums.values < 1 or sums.units < 1:
        raise ValueError(found)
    return sums


def _whole(digits: str) -> int:
    if len(digits) > 18:
        raise ValueError(digits)
    return int(digits)


def _step(found: Any) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ValueError(found)
    return found


def _finite(found: Any) -> float:
    if not isinstance(found, (int, float)) or isinstance(found, bool) or not math.isfinite(found):
        raise ValueError(found)
    return float(found)
