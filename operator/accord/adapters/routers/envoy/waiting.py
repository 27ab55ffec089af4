"""Waiting without polling: requests that are held until their answer changes."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable


class Waiters:
    """Futures by what they wait for. Everything happens on one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, set[asyncio.Future[None]]] = {}
        self.closed = False

    async def wait(self, what: Hashable, seconds: float) -> None:
        """Return when `what` is woken, after that time, or at once when all is closed."""
        if self.closed or seconds <= 0:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(what, set()).add(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            waiting = self._waiting.get(what)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[what]

    def wake(self, what: Hashable) -> None:
        """Release everything that waits for `what`."""
        for future in self._waiting.get(what, ()):
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """Release everything, and hold nothing from now on."""
        self.closed = True
        for what in list(self._waiting):
            self.wake(what)

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())
