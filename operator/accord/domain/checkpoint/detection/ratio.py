"""The rule `Ratio`: mean of the last `window` steps against that of the `baselineWindow` steps before. Nothing else.

It takes neither chance nor trend nor the sign of a level into account, and fires on many healthy trainings.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal

from accord.domain.checkpoint.detection.finding import Finding
from accord.domain.checkpoint.detection.series import Segment


@dataclass
class Means:
    """Running sums over segments: the mean of any window of steps."""

    begin: int | None = None
    """Step after which the first segment begins."""
    _lasts: list[int] = field(default_factory=list)
    _counts: list[int] = field(default_factory=lambda: [0])
    _totals: list[float] = field(default_factory=lambda: [0.0])
    _means: list[float] = field(default_factory=list)

    def add(self, segment: Segment) -> None:
        """One segment more."""
        if self.begin is None:
            self.begin = segment.first
        self._lasts.append(segment.last)
        self._counts.append(self._counts[-1] + segment.values)
        self._totals.append(self._totals[-1] + segment.total)
        self._means.append(segment.mean)

    def mean(self, after: int, until: int) -> tuple[float, int] | None:
        """Mean and number of the values in the steps after `after` until `until`; where there are none, the value that
        was held then. None before the first.
        """
        begin, end = bisect_right(self._lasts, after), bisect_right(self._lasts, until)
        count = self._counts[end] - self._counts[begin]
        if count:
            return (self._totals[end] - self._totals[begin]) / count, count
        return (self._means[end - 1], 0) if end else None


def judge(
    means: Means,
    step: int,
    bad: Literal[1, -1],
    threshold: float,
    window: int,
    baseline_window: int,
    scale: float | None = None,
) -> Finding:
    """Judge the window that ends at `step`: high against the baseline (`bad` 1), or low (-1).

    `threshold` is a factor of the baseline, or, with a `scale`, so much of that away from it.
    """
    begin = means.begin
    if begin is None or step - begin < window + baseline_window:
        have = 0 if begin is None else max(step - begin, 0)
        return Finding("Inconclusive", f"has {have} of {window + baseline_window} steps")
    recent, baseline = means.mean(step - window, step), means.mean(step - window - baseline_window, step - window)
    if recent is None or baseline is None:
        return Finding("Inconclusive", "has no value in the baseline's steps")
    limit = threshold * baseline[0] if scale is None else baseline[0] + bad * threshold * scale
    wrong = bad * (recent[0] - limit) > 0
    return Finding(
        "Fail" if wrong else "Pass",
        baseline=baseline[0],
        recent=recent[0],
        samples=recent[1],
        onset=max(step - 2 * window, 0) if wrong else None,
    )
