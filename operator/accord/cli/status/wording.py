"""How figures and times are written."""

from __future__ import annotations

from datetime import datetime

from accord.domain.conditions import parse_timestamp

_UNITS = ((172_800, 86_400, "d"), (10_800, 3_600, "h"), (120, 60, "m"))
"""From how many seconds on a unit is used, its seconds, its letter: as kubectl shows ages."""


def span(seconds: float) -> str:
    """`95s`, `17m`, `5h`, `3d`."""
    for least, unit, letter in _UNITS:
        if seconds >= least:
            return f"{int(seconds // unit)}{letter}"
    return f"{max(0, int(seconds))}s"


def ago(since: str, now: datetime) -> str:
    """`17m ago`."""
    return f"{span((now - parse_timestamp(since)).total_seconds())} ago"


def lasting(since: str, now: datetime) -> str:
    """`for 17m`."""
    return f"for {span((now - parse_timestamp(since)).total_seconds())}"


def ahead(until: str, now: datetime) -> str:
    """`in 17m`; `due` where that time is over."""
    left = (parse_timestamp(until) - now).total_seconds()
    return f"in {span(left)}" if left > 0 else "due"


def percent(value: float) -> str:
    """A percentage with at most one decimal."""
    return f"{round(value, 1):g}%"


def figure(value: float) -> str:
    """Four digits that count."""
    return f"{value:.4g}"


def count(number: int, word: str) -> str:
    """`1 pod`, `2 pods`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
