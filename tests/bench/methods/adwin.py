"""ADWIN, as `river` has it, on standardised returns: Bifet and Gavaldà, SIAM Conference on Data Mining (2007).

It tells that the mean has changed, not where to: an alarm is a change after which the mean of the window is lower.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.methods.recorded import Alarm, Run
from tests.bench.methods.standard import Reference, standardised


def alarms(run: Run, *, burn_in: int, reference: Reference, delta: float, clock: int, least: int) -> Iterator[Alarm]:
    """`delta` is the significance, a look every `clock` episodes, each part of the window of `least` at least."""
    from river.drift import ADWIN

    detector = ADWIN(delta=delta, clock=clock, min_window_length=least, grace_period=2 * least)
    steps: list[int] = []
    for step, value in standardised(run.returns, burn_in, reference):
        steps.append(step)
        before = detector.estimation
        detector.update(value)
        if detector.drift_detected and detector.estimation < before:
            yield Alarm(step, steps[max(len(steps) - int(detector.width) - 1, 0)])
