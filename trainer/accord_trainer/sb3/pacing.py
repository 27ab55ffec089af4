"""Training no faster than somebody can watch: for demonstrations, and for environments that must not be hurried."""

from __future__ import annotations

import time
from collections.abc import Callable

_NAP = 0.2
"""Seconds of one sleep at most, so that a request to stop is heard."""
_DEBT = 0.05
"""Seconds that may be caught up: what an update took is not, or the steps after it would come in a burst."""


class Pace:
    """Holds a loop back to so many steps a second; without a number it holds nothing back."""

    def __init__(
        self,
        steps_per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """ValueError unless the number is positive."""
        if steps_per_second is not None and not steps_per_second > 0:
            raise ValueError(f"steps per second must be more than 0, not {steps_per_second:g}")
        self._seconds = None if steps_per_second is None else 1 / steps_per_second
        self._clock, self._sleep = clock, sleep
        self._due = clock()

    def wait(self, stop: Callable[[], bool] = lambda: False) -> None:
        """After a step: until the next one may begin, or `stop()` is true."""
        if self._seconds is None:
            return
        self._due = max(self._due + self._seconds, self._clock() - _DEBT)
        while (left := self._due - self._clock()) > 0 and not stop():
            self._sleep(min(left, _NAP))
