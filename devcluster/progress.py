"""Progress on the terminal: one quiet line per stage with the time it took, and a total at the end."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

TICK = 1.0
SLOW_TICK = 60.0
"""Seconds between signs of life of a running stage: on a terminal, and in a log."""


class Progress:
    """Prints stages as they finish. Not for concurrent stages: one at a time."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout
        self._started = time.monotonic()

    @contextlib.contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Time what happens inside; on a terminal the elapsed seconds tick along."""
        began = time.monotonic()
        done = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(title, began, done), daemon=True)
        ticker.start()
        mark = "failed"
        try:
            yield
            mark = "ok"
        finally:
            done.set()
            ticker.join()
            clear = "\r\033[K" if self._out.isatty() else ""
            self._write(f"{clear}  {mark:<6} {title:<58} {_elapsed(began)}\n")

    def say(self, text: str) -> None:
        """A plain line."""
        self._write(text + "\n")

    def total(self, text: str) -> None:
        """The last line, with the time since the beginning."""
        self._write(f"{text} ({_elapsed(self._started).strip()})\n")

    def _tick(self, title: str, began: float, done: threading.Event) -> None:
        terminal = self._out.isatty()
        start, end = ("\r\033[K", "") if terminal else ("", "\n")
        while not done.wait(TICK if terminal else SLOW_TICK):
            self._write(f"{start}  …      {title:<58} {_elapsed(began)}{end}")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _elapsed(since: float) -> str:
    seconds = time.monotonic() - since
    return f"{int(seconds // 60)}m{int(seconds % 60):02d}s" if seconds >= 60 else f"{seconds:5.1f}s"
