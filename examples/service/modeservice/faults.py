"""A switch that makes a process fail on purpose, for demonstrations and tests."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 3600.0
"""Seconds after which a fault ends at the latest: nobody should find one switched on the next morning."""


@dataclass
class Fault:
    """Answers carry `code` until the monotonic time `until`; 0 is no fault."""

    code: int = 0
    until: float = float("inf")

    def active(self, now: float) -> int:
        """The status to fail with at monotonic time `now`, or 0."""
        return self.code if now < self.until else 0

    @classmethod
    def from_query(cls, mode: str, duration: str, now: float) -> Fault:
        """The fault that `?mode=500&for=60` asks for; `mode=off` ends one. ValueError says what is wrong."""
        if mode == "off":
            return cls()
        if not mode.isdecimal() or not 400 <= int(mode) <= 599:
            raise ValueError(f"mode={mode!r}: give a status from 400 to 599, or off")
        try:
            seconds = float(duration)
        except ValueError:
            raise ValueError(f"for={duration!r}: give a number of seconds") from None
        if not 0 < seconds <= LONGEST:
            raise ValueError(f"for={duration!r}: give more than 0 and at most {LONGEST:.0f} seconds")
        return cls(int(mode), now + seconds)
