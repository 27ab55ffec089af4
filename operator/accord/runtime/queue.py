"""A work queue for level-triggered passes: each key once, never two passes of one key at a time, backoff on failure.

After client-go's `util/workqueue`. The state machine knows neither wall clock nor chance by itself: time, timers and
randomness are handed in.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from accord.observability.metrics import OperatorMetrics

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Outcome:
    """How a pass ended. `failed` asks for a repetition with backoff, at the latest after `requeue_after`; `wrote` says
    that it changed something.
    """

    requeue_after: float | None = None
    wrote: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Backoff:
    """Delays in seconds: `first`, doubled with each repetition up to `cap`, each ± `jitter` (a fraction).

    A pass that writes each time although nobody else does is not getting anywhere: from the `patience`-th such pass in
    a row on it is delayed like a failure, so that a disagreement about one field cannot become a storm of writes.
    """

    first: float = 0.2
    cap: float = 60.0
    jitter: float = 0.2
    patience: int = 10

    def delay(self, repetition: int, chance: float) -> float:
        """Delay before repetition number `repetition` (from 0); `chance` is uniform in [0, 1)."""
        # 2**30 first delays are decades: the exponent is bounded so that years of failures cannot overflow a float.
        return min(self.cap, self.first * 2.0 ** min(repetition, 30)) * (1 + self.jitter * (2 * chance - 1))


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call."""


CallLater = Callable[[float, Callable[[], None]], Timer]


class WorkQueue(Generic[K]):
    """Keys that want a pass. While it is closed nothing is taken in: a standby has nothing to do."""

    def __init__(
        self,
        metrics: OperatorMetrics,
        backoff: Backoff | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._metrics, self._backoff = metrics, backoff or Backoff()
        self._clock, self._call_later, self._chance = clock, call_later, chance
        self._open = False
        self._ready: deque[K] = deque()
        self._since: dict[K, float] = {}
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, tuple[float, Timer]] = {}
        self._failures: dict[K, int] = {}
        self._streaks: dict[K, int] = {}
        self._wakeup = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def open(self) -> None:
        """Take keys from now on."""
        self._open = True

    def close(self) -> None:
        """Forget everything that waits, and take nothing. Passes that run are not touched."""
        self._open = False
        for _, timer in self._timers.values():
            timer.cancel()
        for state in (self._ready, self._since, self._again, self._timers, self._failures, self._streaks):
            state.clear()
        self._wakeup.clear()
        self._metrics.queue_depth.set(0)

    def add(self, key: K) -> None:
        """Want a pass now; while one runs, another after it. A wanted time is not lost by this."""
        if not self._open:
            return
        if key in self._running:
            self._again.add(key)
        elif key not in self._since:
            self._since[key] = self._clock()
            self._ready.append(key)
            self._metrics.queue_depth.set(len(self._ready))
            self._wakeup.set()

    def add_after(self, key: K, delay: float) -> None:
        """Want a pass `delay` seconds from now; the earliest wanted time counts."""
        if not self._open:
            return
        due = self._clock() + delay
        waiting = self._timers.get(key)
        if waiting is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._timers[key] = (due, call_later(delay, lambda: self._due(key)))

    def forget(self, key: K) -> None:
        """The object is gone: drop its timer and what is remembered of its failures."""
        waiting = self._timers.pop(key, None)
        if waiting is not None:
            waiting[1].cancel()
        self._failures.pop(key, None)
        self._streaks.pop(key, None)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def take(self) -> K | None:
        """The next key, or None. The caller must call `done` with it."""
        if not self._ready:
            self._wakeup.clear()
            return None
        key = self._ready.popleft()
        self._metrics.queue_latency.observe(self._clock() - self._since.pop(key))
        self._metrics.queue_depth.set(len(self._ready))
        self._running.add(key)
        self._idle.clear()
        waiting = self._timers.pop(key, None)
        if waiting is not None:
            # The pass that begins now says anew when it wants the next one.
            waiting[1].cancel()
        return key

    def done(self, key: K, outcome: Outcome) -> None:
        """The pass ended."""
        self._running.discard(key)
        if not self._running:
            self._idle.set()
        wanted = key in self._again
        self._again.discard(key)
        if outcome.failed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            self._metrics.queue_retries.inc()
            delay = self._backoff.delay(failures, self._chance())
            self.add_after(key, delay if outcome.requeue_after is None else min(delay, outcome.requeue_after))
            return
        self._failures.pop(key, None)
        streak = self._streaks.get(key, 0) + 1 if outcome.wrote else 0
        if streak:
            self._streaks[key] = streak
        else:
            self._streaks.pop(key, None)
        if wanted or outcome.wrote:
            self._follow_up(key, streak)
        if outcome.requeue_after is not None:
            self.add_after(key, outcome.requeue_after)

    def _follow_up(self, key: K, streak: int) -> None:
        if streak <= self._backoff.patience:
            self.add(key)
            return
        self._metrics.queue_retries.inc()
        self.add_after(key, self._backoff.delay(streak - self._backoff.patience, self._chance()))

    async def work(self, handle: Callable[[K], Awaitable[Outcome]]) -> None:
        """Take keys and handle them, for ever. Run several of these at once; `handle` must not raise."""
        while True:
            key = self.take()
            if key is None:
                await self._wakeup.wait()
                continue
            outcome = Outcome(failed=True)
            try:
                outcome = await handle(key)
            finally:
                self.done(key, outcome)

    async def drained(self) -> None:
        """Wait until no pass runs."""
        await self._idle.wait()
