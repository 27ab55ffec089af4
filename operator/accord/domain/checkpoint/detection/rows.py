"""Lives from rows of a step and what was reported at it, as a CSV has them.

A row is either a look (a row a step or any stride, values held in between) or an event (an episode that ended, or an
update that was made), with nothing in the other column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from accord.domain.checkpoint.detection.held import reports
from accord.domain.checkpoint.detection.series import Kind, Life, Moment, Name, Report
from accord.domain.checkpoint.detection.signals import OF_SERIES

_EVENTS = 0.5
"""Part of the rows that no series of looks would have, from which on rows are events."""


class Row(NamedTuple):
    """One row. None: no value; NaN and infinities are values that the trainer reported."""

    step: int
    loss: float | None
    reward: float | None
    at: float | None = None
    approx_kl: float | None = None
    explained_variance: float | None = None

    @classmethod
    def of(cls, step: int, at: float | None, values: Mapping[Name, float | None]) -> Row:
        """With these; what is not among them is not reported."""
        return cls(
            step,
            values.get("loss"),
            values.get("reward"),
            at,
            values.get("approx_kl"),
            values.get("explained_variance"),
        )

    def value(self, name: Name) -> float | None:
        """Of one series."""
        found: float | None = getattr(self, name)
        return found


def lives(rows: Sequence[Row], *, each: bool, events: bool | None = None) -> list[Life]:
    """One for each start of the trainer: where the step goes back, it was restarted. `each`: every row is a sample, as
    the rule `Ratio` takes them. `events`: rows are events, or looks; None: to be told from the rows.
    """
    new = are_events(rows) if events is None else events
    return [_life(part, each, new) for part in _unbroken(rows)]


def are_events(rows: Sequence[Row]) -> bool:
    """Whether, once both series have begun, most rows hold one of two values only, or share the step before them."""
    begun = max(_first(rows, "loss"), _first(rows, "reward"))
    odd = [
        later.step == earlier.step or (begun < len(rows) and (later.loss is None) != (later.reward is None))
        for earlier, later in pairwise(rows[begun if begun < len(rows) else 0 :])
    ]
    return sum(odd) > _EVENTS * len(odd)


def _first(rows: Sequence[Row], name: Name) -> int:
    """Where a series begins; the number of rows, if it does not."""
    return next((index for index, row in enumerate(rows) if row.value(name) is not None), len(rows))


def _unbroken(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    begin = 0
    for index in range(1, len(rows)):
        if rows[index].step < rows[index - 1].step:
            yield rows[begin:index]
            begin = index
    if rows:
        yield rows[begin:]


def _life(rows: Sequence[Row], each: bool, new: bool) -> Life:
    kinds: dict[Name, Kind] = {}
    found: dict[Name, list[Report]] = {}
    for name in OF_SERIES:
        values = [(row.step, row.value(name)) for row in rows]
        if any(value is not None for _, value in values):
            kinds[name], found[name] = reports(name, values, each, new)
    moments = [
        Moment.of(row.step, row.at, {name: every[index] for name, every in found.items()})
        for index, row in enumerate(rows)
    ]
    return Life(kinds, moments)
