"""CUSUM, one-sided: Page, Continuous inspection schemes, Biometrika 41 (1954).

A sum of what is below the reference level, less a slack, in standard deviations; the level is that of a burn-in. A
policy that learns leaves it behind, upwards: where `relearns` is set, a sum of what is above it that grows as large
begins a new burn-in, so that a fall is measured by what was learnt.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.methods.recorded import Alarm, Run
from tests.bench.methods.standard import Moments


def alarms(run: Run, *, burn_in: int, slack: float, limit: float, relearns: bool) -> Iterator[Alarm]:
    """`slack` and `limit` in standard deviations. After each alarm, and each new level, there is a new burn-in."""
    moments, low, high, onset = Moments(), 0.0, 0.0, 0
    for step, value in run.returns:
        if moments.count < burn_in or moments.deviation == 0:
            moments.add(value)
            onset = step
            continue
        off = (value - moments.mean) / moments.deviation
        low, high = max(low - off - slack, 0.0), max(high + off - slack, 0.0)
        if low > limit:
            yield Alarm(step, onset)
        if low > limit or (relearns and high > limit):
            moments, low, high = Moments(), 0.0, 0.0
        if low == 0:
            onset = step
