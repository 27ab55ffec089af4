"""What a metrics system answered. Every failure is an answer: a decision must be able to see that it knows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Sample:
    """One series of an instant vector."""

    labels: Mapping[str, str]
    value: float
    at: datetime


Shape = Literal["vector", "matrix"]
"""What a question is meant to return. Any other shape is a failure, so that nobody takes it for an empty answer."""


@dataclass(frozen=True)
class Series:
    """One series of a range: what was scraped, oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """(Unix time in seconds, value). NaN and infinities are values."""


Failure = Literal[
    "UnknownEndpoint", "NotAllowed", "Unreachable", "Timeout", "Refused", "TooLarge", "Partial", "Malformed"
]
"""Why there is no answer, in one word."""


@dataclass(frozen=True)
class Answer:
    """Either samples or series, by the shape asked for (`failure` is None, possibly there are none), or the reason why
    there are none.
    """

    samples: tuple[Sample, ...] = ()
    series: tuple[Series, ...] = ()
    failure: Failure | None = None
    message: str = ""
    size: int = field(default=0, compare=False)
    """Bytes of it, as far as they are known."""

    @property
    def problem(self) -> str:
        """Of a failure, in a sentence."""
        return self.message or f"the query failed: {self.failure}"
