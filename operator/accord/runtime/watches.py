"""Keeps the watches running. Their handlers only hand events over; nothing of them writes.

kopf lists, watches and reconnects (`kopf_watcher`). What it does not do is added around it: here a watch that ends for
good is noticed and all are started again (kopf logs it and goes on without), and `sweep` finds the deletions that a
watch missed while it was disconnected.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from accord.adapters.kubernetes.connection import Connection
from accord.runtime.kopf_watcher import Handler, KopfWatcher
from accord.runtime.optional import Served

log = logging.getLogger(__name__)

_START_LIMIT = 3.0
_RESTART_CAP = 15.0


class Watches:
    """Watches of all resources in the given namespaces (all when empty)."""

    def __init__(
        self,
        connection: Connection,
        served: Served,
        namespaces: Sequence[str],
        handle: Handler,
        restarted: Callable[[], None],
    ) -> None:
        """`restarted` is called before all watches are started again."""
        self._connection, self._served, self._namespaces = connection, served, namespaces
        self._handle, self._restarted = handle, restarted
        self.down_since: float | None = time.monotonic()
        """Since when the watches do not run (monotonic seconds), None while they do."""

    async def run(self, took_signals: Callable[[], None]) -> None:
        """Watch until cancelled; start over when a watch ends. `took_signals` is called whenever kopf has taken SIGTERM
        and SIGINT for itself.
        """
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            problem = await self._once(took_signals)
            if asyncio.get_running_loop().time() - began > 60:
                failures = 0
            delay = min(_RESTART_CAP, 0.5 * 2.0 ** min(failures, 10))
            failures += 1
            log.warning("watches failed, restarting in %.1f s: %s", delay, problem)
            await asyncio.sleep(delay)
            self._restarted()

    async def _once(self, took_signals: Callable[[], None]) -> str:
        """Run kopf until one of its tasks ends, or there is something else to watch; returns why."""
        await self._served.refresh()
        kopf = KopfWatcher(self._connection, self._served.resources, self._namespaces, self._handle)
        tasks = await kopf.start(took_signals)
        try:
            watchers = await _watching(kopf, tasks)
            if isinstance(watchers, str):
                return watchers
            tasks |= watchers
            self.down_since = None
            tasks.add(asyncio.create_task(self._served.until_changed(), name="discovery"))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return "; ".join(sorted(_ending(task) for task in done))
        finally:
            if self.down_since is None:
                self.down_since = time.monotonic()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.5)


async def _watching(kopf: KopfWatcher, tasks: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]] | str:
    """The task of each watch, once all run; or why they do not."""
    deadline = float("inf")
    while True:
        watchers = kopf.watches()
        ended = [task for task in tasks | watchers if task.done()]
        if ended:
            return "; ".join(sorted(_ending(task) for task in ended))
        if len(watchers) >= kopf.expected:
            return watchers
        if watchers:
            deadline = min(deadline, asyncio.get_running_loop().time() + _START_LIMIT)
        if asyncio.get_running_loop().time() > deadline:
            return f"the API server has only {len(watchers)} of {kopf.expected} resources: are all CRDs installed?"
        await asyncio.sleep(0.05)


def _ending(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return f"{task.get_name()} was cancelled"
    error = task.exception()
    if error is not None:
        return f"{task.get_name()} ended: {error!r}"
    words = task.result()
    return words if isinstance(words, str) else f"{task.get_name()} ended"
