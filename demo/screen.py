"""The live table on a terminal, and plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from demo.steps.outcome import Outcome, split_text

WIDEST_BAR, NARROWEST_BAR, BESIDE_BAR = 40, 8, 71
"""Characters: a bar (100 %) takes what the terminal has left beside the figures; without room for one, plain lines."""
PLAIN_EVERY = 10.0
"""Seconds between lines where stdout is no terminal."""


@dataclass(frozen=True)
class Row:
    """One mode at one moment, in percent. `live` is what the load got in the last seconds, `actual` what Prometheus
    measured over the policy's window.
    """

    mode: str
    target: float
    effective: float
    actual: float | None
    live: float | None
    alert: bool
    pods: int


class Screen:
    """Writes the story; the table stays at the bottom of a terminal and is drawn over."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._tty = out.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = 0
        self._last_plain = 0.0
        self._lock = threading.RLock()

    def heading(self, text: str) -> None:
        """What happens next."""
        self.say(f"\n{self._bold(text)}")

    def say(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self._clear()
            self._write(f"{text}\n")

    def outcome(self, outcome: Outcome, seconds: float) -> None:
        """A claim and what came of it."""
        mark = self._colour("ok  ", 32) if outcome.holds else self._colour("FAIL", 31)
        self.say(f"  {mark} {outcome.claim} ({seconds:.0f} s)\n       {outcome.measured}")
        if not outcome.holds and outcome.explanation:
            self.say(f"       {outcome.explanation}")

    def table(self, rows: list[Row], note: str) -> None:
        """The split at this moment."""
        width = shutil.get_terminal_size().columns - BESIDE_BAR
        if self._tty and width >= NARROWEST_BAR:
            head = "  mode        target  effective  measured    off    live  pods"
            lines = ["", head, *(self._line(row, min(width, WIDEST_BAR)) for row in rows), f"  {note}"]
            with self._lock:
                self._clear()
                self._write("\n".join(lines) + "\n")
                self._drawn = len(lines)
        elif time.monotonic() - self._last_plain >= PLAIN_EVERY:
            self._last_plain = time.monotonic()
            targets: Mapping[str, float] = {row.mode: row.target for row in rows}
            live = split_text({row.mode: row.live or 0 for row in rows}, targets, 0)
            actual = split_text({row.mode: row.actual or 0 for row in rows}, targets, 0)
            alerts = [row.mode for row in rows if row.alert]
            said = f"  alert: {', '.join(alerts)}" if alerts else ""
            self._write(
                f"     | target {split_text(targets, targets, 0)}  live {live}  Prometheus {actual}  {note}{said}\n"
            )

    def _line(self, row: Row, width: int) -> str:
        filled = round(width * (row.live or 0) / 100)
        target = min(round(width * row.target / 100), width - 1)
        bar = ["█" if position < filled else "·" for position in range(width)]
        bar[target] = "│"
        actual = "–" if row.actual is None else f"{row.actual:.1f}%"
        off = "" if row.actual is None else f"{row.actual - row.target:+.1f}"
        live = "–" if row.live is None else f"{row.live:.1f}%"
        alert = self._colour(" ALERT", 31) if row.alert else ""
        return (
            f"  {row.mode[:11]:<11} {row.target:5.0f}% {row.effective:9.1f}% {actual:>9} {off:>6} {live:>7}"
            f" {row.pods:>5} {''.join(bar)}{alert}"
        )

    def _clear(self) -> None:
        if self._drawn:
            self._write(f"\033[{self._drawn}A\033[J")
            self._drawn = 0

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._tty else text

    def _colour(self, text: str, code: int) -> str:
        return f"\033[{code}m{text}\033[0m" if self._tty else text

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
