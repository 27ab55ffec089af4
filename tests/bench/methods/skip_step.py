"""OLMo's rule for skipping an update: a loss that is too many standard deviations above the mean of those before it.

OLMo-core, with which OLMo 2 was trained (arXiv:2501.00656), leaves an optimizer's step out where the loss is
`sigma_factor` (6) standard deviations above the mean of the last `rolling_interval_length` (128). It begins when half
of them are there, and keeps the losses of skipped steps among them (`SkipStepOptimizer`). It also looks at the norm of
the gradient, which none of these runs reports. There a loss is one of a batch, and a skip costs one update; here it is
the mean of a PPO update, and so many skips in a row are an alarm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from tests.bench.methods.recorded import Alarm, Run


def alarms(run: Run, *, sigmas: float, interval: int, row: int) -> Iterator[Alarm]:
    """`row` skips, one after the other, are an alarm."""
    losses: deque[float] = deque(maxlen=interval)
    skipped, good = 0, 0
    for step, loss in run.losses:
        # Whether there are enough is asked when the newest one is among them, too.
        enough = len(losses) + 1 >= max(3, interval // 2)
        if enough and loss - np.mean(losses) > sigmas * np.std(losses, ddof=1):
            skipped += 1
        else:
            skipped, good = 0, step
        losses.append(loss)
        if skipped == row:
            yield Alarm(step, good)
