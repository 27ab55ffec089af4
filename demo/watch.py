"""Watching the split while the story goes on: fills the live table and remembers the picture."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from demo.picture import Mark, Sample
from demo.screen import Row, Screen
from demo.steps.errors import StepError
from demo.steps.load import Line, Tally
from demo.steps.world import World

LIVE_SPAN = 3.0
"""Seconds of load that count as live; at 150 requests a second a share of 60 % is then good to about 5 points."""


class Watch:
    """Hears the background load and reads the policy; draws on the screen while the story waits."""

    def __init__(self, world: World, screen: Screen) -> None:
        self.samples: list[Sample] = []
        self.marks: list[Mark] = []
        self._world = world
        self._screen = screen
        self._began = time.monotonic()
        self._recent: deque[tuple[float, Tally]] = deque()
        self._targets: dict[str, float] = {}
        self._lock = threading.Lock()
        world.listener = self.hear

    def mark(self, text: str) -> None:
        """Something happens now."""
        self.marks.append(Mark(time.monotonic() - self._began, text))

    def hear(self, line: Line) -> None:
        """A progress line of the background load, from the thread that follows it."""
        at, tally = time.monotonic(), Tally.of(line)
        with self._lock:
            self._recent.append((at, tally))
            while self._recent[0][0] < at - LIVE_SPAN:
                self._recent.popleft()
            live = self._live()
            if self._targets and live:
                self.samples.append(Sample(at - self._began, dict(self._targets), live))

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draws every second for as long as the block runs."""
        done = threading.Event()

        def draw_on() -> None:
            while not done.wait(1.0):
                self.draw()

        artist = threading.Thread(target=draw_on, name="table", daemon=True)
        artist.start()
        try:
            yield
        finally:
            done.set()
            artist.join()

    def draw(self) -> None:
        """The table as of now. The story goes on where the API server is too busy for this."""
        try:
            policy = self._world.policy.live()
        except StepError:
            return
        status = {entry["name"]: entry for entry in policy.get("status", {}).get("modes", [])}
        weights = {mode["name"]: float(mode["weight"]) for mode in policy["spec"]["modes"]}
        with self._lock:
            self._targets = weights
            live = self._live()
            total = self._recent[-1][1] if self._recent else Tally()
        rows = [
            Row(
                mode,
                weight,
                status.get(mode, {}).get("effective", 0.0),
                status.get(mode, {}).get("actual"),
                live.get(mode, 0.0) if live else None,
                bool(status.get(mode, {}).get("alert")),
                int(status.get(mode, {}).get("readyPods", 0)),
            )
            for mode, weight in weights.items()
        ]
        self._screen.table(rows, f"{total.answered:,} requests, {total.failed} failed")

    def _live(self) -> dict[str, float]:
        if len(self._recent) < 2:
            return {}
        return self._recent[-1][1].since(self._recent[0][1]).shares
