"""Segments from values that are written down again and again until there is a new one: a CSV, or gauges.

A value that is repeated is one sample, unless values repeat no more than by chance (ratings from 1 to 5, say): then
each row is a sample.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median

from accord.domain.checkpoint.detection.series import Kind, Name, Report, Segment
from accord.domain.checkpoint.detection.signals import OF_SERIES

_MORE = 0.25
"""How far the share of rows that repeat the one before must be from that of chance, on the way to all."""
_DENSE = 5
"""Steps between two samples, at most, where they are taken for one each step."""
_REGULAR = 0.6
"""Part of the distances between samples that are alike, from which on samples are updates and not episodes."""

_STRIDES = 4
"""Rows between two samples, at least, for their distances to tell anything."""

Row = tuple[int, float]
"""Step and value, where there is one."""


def is_held(rows: Sequence[Row]) -> bool:
    """Whether values are held between samples, so that a repeated one is the same sample."""
    if len(rows) < 2:
        return False
    repeated = sum(earlier[1] == later[1] for earlier, later in pairwise(rows)) / (len(rows) - 1)
    by_chance = sum((count / len(rows)) ** 2 for count in Counter(value for _, value in rows).values())
    return repeated > by_chance + _MORE * (1 - by_chance)


def samples(rows: Iterable[Row], held: bool) -> Iterator[Row]:
    """One row for each sample: the first that shows it."""
    before: float | None = None
    for row in rows:
        if not held or row[1] != before:
            yield row
        before = row[1]


def kind(name: Name, found: Sequence[Row], stride: float = 1) -> Kind:
    """What the samples of a series are, from their distances. `stride` is that of rows."""
    distances, unit = _distances(found), OF_SERIES[name].unit
    if not distances:
        return unit
    middle = median(distances)
    if middle <= _DENSE:
        return "steps"
    alike = sum(abs(distance - middle) <= max(middle / 20, 1) for distance in distances)
    regular = len(distances) > 3 and middle >= _STRIDES * stride and alike >= _REGULAR * len(distances)
    return "updates" if regular else unit


def _distances(found: Sequence[Row]) -> list[int]:
    """Steps between samples, but for those at the same step."""
    distances = (later[0] - earlier[0] for earlier, later in pairwise(found))
    return [distance for distance in distances if distance > 0]


def reports(
    name: Name, rows: Sequence[tuple[int, float | None]], each: bool, new: bool = False
) -> tuple[Kind, list[Report]]:
    """What each row reports that is new, and the kind of the series. `each`: every row is a sample, held or not. `new`:
    a value stands only where it is new, and for the steps since the one before it.

    What is not finite before the first finite value is none yet: the mean of no episodes is NaN.
    """
    finite = [(step, value) for step, value in rows if value is not None and math.isfinite(value)]
    held = not each and not new and is_held(finite)
    taken = list(samples(finite, held))
    found: list[Report] = []
    before: float | None = None
    begun = False
    last = previous = _begin(rows)
    if (held or new) and len(taken) > 1:
        # Nobody saw the first one begin: it stands for as many steps as the others do.
        last = min(last, taken[0][0] - int(median(_distances(taken) or [0])))
    for step, value in rows:
        report: Report = None
        if value is not None and not math.isfinite(value):
            if begun:
                report, before, last = "NotFinite", None, step
        elif value is not None and not (held and value == before):
            begun = True
            report = Segment(last if held or new else previous, step, 1, value, value * value)
            before, last = value, step
        found.append(report)
        previous = step
    # Returns that are written down one by one are those of episodes, however regular.
    stride = math.inf if new else median([later[0] - earlier[0] for earlier, later in pairwise(rows)] or [1])
    return kind(name, taken, stride), found


def _begin(rows: Sequence[tuple[int, float | None]]) -> int:
    """The step before the first row: the first row stands for as many steps as the second."""
    return 2 * rows[0][0] - rows[1][0] if len(rows) > 1 else rows[0][0]
