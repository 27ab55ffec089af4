"""Series in standard deviations of their own past: returns have no scale that is known before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from tests.bench.methods.recorded import Sample

Reference = Literal["start", "past"]
"""What a value is measured by: the first episodes, or all before it."""


class Moments:
    """Mean and variance so far (Welford, Technometrics 4, 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.count += 1
        off = value - self.mean
        self.mean += off / self.count
        self._squares += off * (value - self.mean)

    @property
    def deviation(self) -> float:
        """Standard deviation of a value."""
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0


class Scaled(NamedTuple):
    """A value in standard deviations."""

    step: int
    value: float


def standardised(samples: Iterable[Sample], burn_in: int, reference: Reference) -> Iterator[Scaled]:
    """Values after the burn-in, which goes on for as long as all values are the same."""
    moments = Moments()
    for step, value in samples:
        ready = moments.count >= burn_in and moments.deviation > 0
        if ready:
            yield Scaled(step, (value - moments.mean) / moments.deviation)
        if not ready or reference == "past":
            moments.add(value)
