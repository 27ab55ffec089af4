"""Page-Hinkley, as `river` has it, on standardised returns.

Page, Continuous inspection schemes, Biometrika 41 (1954): the sum of what is below the mean so far.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.methods.recorded import Alarm, Run
from tests.bench.methods.standard import Reference, standardised


def alarms(
    run: Run, *, burn_in: int, reference: Reference, slack: float, limit: float, memory: float
) -> Iterator[Alarm]:
    """`slack` is river's `delta`, `limit` its `threshold`, `memory` its `alpha`."""
    from river.drift import PageHinkley

    detector = PageHinkley(min_instances=burn_in, delta=slack, threshold=limit, alpha=memory, mode="down")
    onset = 0
    for step, value in standardised(run.returns, burn_in, reference):
        detector.update(value)
        if detector.drift_detected:
            yield Alarm(step, onset)
        # Its sum was never higher: what has changed, has changed since.
        if detector._sum_decrease == detector._max_decrease:
            onset = step
