"""What a trainer reported of a series: segments, exact between two looks; and blocks, which are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["steps", "updates", "episodes"]
"""What one independent sample is: about a step, an update of the policy (however many minibatches), or an episode."""
Name = Literal["loss", "reward", "approx_kl", "explained_variance"]

_PART = 4
"""Blocks in a recent window, where samples are dense."""
_ROBUST = 5
"""From so many values on, the extreme fifth at either end of a block is left out."""


class Segment(NamedTuple):
    """What was reported in the steps after `first`, up to and including `last`."""

    first: int
    last: int
    values: int
    """Values: episodes, or minibatches."""
    total: float
    """Their sum."""
    squares: float = 0.0
    """Sum of their squares; 0 where it is not known."""
    units: int = 1
    """Independent samples among them: all minibatches of an update are one."""

    @property
    def mean(self) -> float:
        """Of all values."""
        return self.total / self.values


Report = Segment | Literal["NotFinite"] | None
"""What a look at a trainer shows that is new; None where nothing is."""


class Moment(NamedTuple):
    """A look at a trainer."""

    step: int
    loss: Report
    reward: Report
    at: float | None = None
    """Unix time in seconds; None where it is not known."""
    approx_kl: Report = None
    explained_variance: Report = None

    @classmethod
    def of(cls, step: int, at: float | None, reports: Mapping[Name, Report]) -> Moment:
        """With these; what is not among them is not reported."""
        return cls(
            step,
            reports.get("loss"),
            reports.get("reward"),
            at,
            reports.get("approx_kl"),
            reports.get("explained_variance"),
        )

    def report(self, name: Name) -> Report:
        """Of one series."""
        found: Report = getattr(self, name)
        return found


@dataclass(frozen=True)
class Life:
    """A trainer from a start to a restart: looks at it, in order."""

    kinds: Mapping[Name, Kind]
    """Of the series that were reported."""
    moments: Sequence[Moment]


class Block(NamedTuple):
    """Segments next to each other, as one value."""

    first: int
    last: int
    units: int
    value: float
    spread: float
    """Variance of `value` as far as it follows from the values within; 0 where it does not."""


class Sums:
    """Running sums over values at 0, 1, 2, …: mean and line of any stretch without going through it."""

    def __init__(self) -> None:
        # Values are taken from the first one, so that the squares of large ones do not swallow what differs.
        self.origin = 0.0
        self._sums = [0.0]
        self._squares = [0.0]
        self._moments = [0.0]

    def __len__(self) -> int:
        return len(self._sums) - 1

    def add(self, value: float) -> None:
        """One more."""
        index = len(self)
        if index == 0:
            self.origin = value
        shifted = value - self.origin
        self._sums.append(self._sums[-1] + shifted)
        self._squares.append(self._squares[-1] + shifted * shifted)
        self._moments.append(self._moments[-1] + index * shifted)

    def mean(self, begin: int, end: int) -> float:
        """Of the values at `begin`, …, `end - 1`."""
        return self.origin + (self._sums[end] - self._sums[begin]) / (end - begin)

    def line(self, begin: int, end: int, stiffness: float = 0.0) -> tuple[float, float]:
        """Slope by index, and the sum of squared distances from that line. At least two values.

        `stiffness` holds the slope back as so much of squared width more, at which there is none, would.
        """
        n = end - begin
        total = self._sums[end] - self._sums[begin]
        squares = self._squares[end] - self._squares[begin] - total * total / n
        moments = self._moments[end] - self._moments[begin] - total * (begin + end - 1) / 2
        width = n * (n * n - 1) / 12
        slope = moments / (width + stiffness)
        return slope, max(squares - slope * moments, 0.0)


@dataclass
class Blocks:
    """Segments gathered from the first on into blocks of at least `steps` steps."""

    steps: int
    closed: list[Block] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    """`last` of each."""
    units: list[int] = field(default_factory=lambda: [0])
    """Samples in all that are closed before each, and in all of them."""
    sums: Sums = field(default_factory=Sums)
    """Over their values."""
    _open: list[Segment] = field(default_factory=list)
    _first: int = 0
    _units: int = 0

    @classmethod
    def of(cls, window: int) -> Blocks:
        """Empty, for a window of so many steps."""
        return cls(max(window // _PART, 1))

    def first(self, count: int) -> Blocks:
        """As they were when so many were closed."""
        return Blocks(self.steps, self.closed[:count], self.lasts[:count], self.units[: count + 1], self.sums)

    def add(self, segment: Segment) -> bool:
        """One more segment; whether it closed a block."""
        if not self._open:
            self._first = segment.first
        self._open.append(segment)
        self._units += segment.units
        if segment.last - self._first < self.steps:
            return False
        block = _block(self._first, self._open, self._units)
        self.closed.append(block)
        self.lasts.append(block.last)
        self.units.append(self.units[-1] + block.units)
        self.sums.add(block.value)
        self._open, self._units = [], 0
        return True


def _block(first: int, segments: list[Segment], units: int) -> Block:
    count = sum(each.values for each in segments)
    mean = sum(each.total for each in segments) / count
    # Of segments without squares, the means stand for all their values.
    squares = sum(each.squares or each.total * each.mean for each in segments)
    spread = max(squares / count - mean * mean, 0.0) / (count - 1) if units == count > 1 else 0.0
    value = mean
    if len(segments) >= _ROBUST:
        value = _trimmed(sorted(each.mean for each in segments))
    return Block(first, segments[-1].last, units, value, spread)


def _trimmed(ordered: list[float]) -> float:
    cut = len(ordered) // _ROBUST
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)
