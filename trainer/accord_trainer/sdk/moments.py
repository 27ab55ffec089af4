"""Running sums behind the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Self


class Moments:
    """Number, sum and sum of squares of a series.

    Readers subtract two of these sums to get the mean and the spread of what lies between, so they must not drift:
    what rounding takes away from each is carried along (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur
    Summation endlicher Summen", 1974).
    """

    __slots__ = ("_lost", "_lost_squares", "_sum", "_sumsq", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = self._lost = 0.0
        self._sumsq = self._lost_squares = 0.0

    def add(self, value: float) -> None:
        """Count one more value."""
        self.count += 1
        total = self._sum + value
        self._lost += (self._sum - total) + value if abs(self._sum) >= abs(value) else (value - total) + self._sum
        self._sum = total
        square = value * value
        total = self._sumsq + square
        self._lost_squares += (
            (self._sumsq - total) + square if self._sumsq >= square else (square - total) + self._sumsq
        )
        self._sumsq = total

    @property
    def sum(self) -> float:
        """Sum of the values."""
        return self._sum + self._lost

    @property
    def sumsq(self) -> float:
        """Sum of their squares."""
        return self._sumsq + self._lost_squares

    def copy(self) -> Self:
        """The sums as they are now."""
        return self.of(self.state())

    def state(self) -> list[float]:
        """The sums as plain numbers, for `of`."""
        return [self.count, self._sum, self._lost, self._sumsq, self._lost_squares]

    @classmethod
    def of(cls, state: Sequence[float]) -> Self:
        """The sums that `state` described."""
        moments = cls()
        count, moments._sum, moments._lost, moments._sumsq, moments._lost_squares = state
        moments.count = int(count)
        return moments


class Histogram:
    """Counts a series by upper bounds, which must ascend; +Inf is added."""

    def __init__(self, bounds: Sequence[float]) -> None:
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError(f"bucket bounds must ascend: {list(bounds)}")
        self._bounds = tuple(float(bound) for bound in bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one more value. NaN is above every bound."""
        self._counts[bisect_left(self._bounds, value) if value == value else -1] += 1
        self._sum += value

    def cumulative(self) -> tuple[list[tuple[str, float]], float]:
        """Counts up to each bound, with the bounds as Prometheus writes them, and the sum."""
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(repr, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        return buckets, self._sum
