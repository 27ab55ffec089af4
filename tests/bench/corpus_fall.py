"""When the returns of a run began to fall for good: a level, a straight way down, and a level, by least squares.

The offline answer to "when did it change", with all of the run known: nothing of it is the detector's. What it is and
why it is so stands in `tests/bench/corpus/README.md`. Needs nothing but Python.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

_PLACES = 120
"""Where a fall is looked for at first, and then nearer and nearer around the best one."""
_GROWTH = 1.3
"""Between the lengths of a way down that are looked at first."""


class Fall(NamedTuple):
    """Indices of episodes."""

    begin: int
    """The first one below the level before."""
    length: int
    """Those on the way down; 0 where it is at once."""


def fall(returns: Sequence[float], earliest: int) -> Fall:
    """The one that leaves the least sum of squares, of the returns' ranks; it begins at index `earliest` or later."""
    fit = _Fit(_ranks(returns))
    count = len(returns)
    jump = _nearest(fit, [(begin, 0) for begin in _spread(earliest, count - 1)], earliest, slope=False)
    lengths = _lengths(count - earliest)
    downs = [(b, n) for b in _spread(earliest, count - 1) for n in lengths if n <= count - b]
    slope = _nearest(fit, downs, earliest, slope=True)
    # The way down is one number more to choose: Schwarz's criterion (Annals of Statistics 6, 1978) says what that is
    # worth.
    squares, squares_down = fit.squares(*jump), fit.squares(*slope)
    worth = count * math.log(squares / squares_down) if squares_down > 0 else math.inf if squares > 0 else 0.0
    return Fall(*(slope if worth > math.log(count) else jump))


class _Fit:
    """Running sums, so that each try costs the same however long a run is."""

    def __init__(self, values: Sequence[float]) -> None:
        mean = math.fsum(values) / len(values)
        self.count = len(values)
        self._sums = [0.0, *accumulate(value - mean for value in values)]
        self._moments = [0.0, *accumulate(index * (value - mean) for index, value in enumerate(values))]
        self._squares = math.fsum((value - mean) ** 2 for value in values)

    def squares(self, begin: int, length: int) -> float:
        """What is left where values go down from `begin` on, in `length` of them; nothing is gained by a rise."""
        end = min(begin + length, self.count)
        down, rest = end - begin, self.count - end
        # Weight of the lower level: 0 before, 1/(length + 1), 2/(length + 1), … on the way, 1 after.
        part = 1 / (length + 1)
        weights = rest + part * down * (down + 1) / 2
        squares = rest + part * part * down * (down + 1) * (2 * down + 1) / 6
        way = self._moments[end] - self._moments[begin] - (begin - 1) * (self._sums[end] - self._sums[begin])
        both = part * way + self._sums[-1] - self._sums[end]
        width = squares - weights * weights / self.count
        # The values' mean is 0, so this is how far they go down with the weights.
        return self._squares - (both * both / width if width > 0 and both < 0 else 0.0)


def _nearest(fit: _Fit, tries: Iterable[tuple[int, int]], earliest: int, *, slope: bool) -> tuple[int, int]:
    """The best of these, and of those around it, nearer and nearer."""
    best = min(tries, key=lambda each: fit.squares(*each))
    stride = max((fit.count - earliest) // _PLACES, 1)
    while stride:
        begin, length = best
        around = [
            (place, size)
            for place in (begin - stride, begin, begin + stride)
            for size in ((length - stride, length, length + stride) if slope else (0,))
            if earliest <= place < fit.count and 0 <= size <= fit.count - place
        ]
        nearer = min(around, key=lambda each: fit.squares(*each))
        if fit.squares(*nearer) < fit.squares(*best):
            best = nearer
        else:
            stride //= 2
    return best


def _spread(first: int, last: int) -> range:
    return range(first, last + 1, max((last - first) // _PLACES, 1))


def _lengths(most: int) -> list[int]:
    lengths, length = [0], 1.0
    while length < most:
        lengths.append(round(length))
        length = max(length * _GROWTH, length + 1)
    return lengths


def _ranks(values: Sequence[float]) -> list[float]:
    """Mean rank of each: one return that is a thousand times the others is only the highest."""
    ordered = sorted(values)
    return [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]
