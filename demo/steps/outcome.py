"""What an experiment found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """A claim, whether it held, and the figures. `explanation` helps the reader where it did not."""

    claim: str
    holds: bool
    measured: str
    explanation: str = ""

    @property
    def sentence(self) -> str:
        """The claim and what was measured, as one sentence for people and for assertions."""
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return f"{self.claim}: {verdict}. Measured: {self.measured}." + (
            f" {self.explanation}" if self.explanation and not self.holds else ""
        )


def split_text(shares: Mapping[str, float], order: Mapping[str, float], digits: int = 1) -> str:
    """`60.2/29.9/9.9`, in the order of the modes."""
    return "/".join(f"{shares.get(mode, 0):.{digits}f}" for mode in order)


def furthest(shares: Mapping[str, float], target: Mapping[str, float]) -> float:
    """The largest distance of a share from its target, in percentage points."""
    return max(abs(shares.get(mode, 0) - target.get(mode, 0)) for mode in {*shares, *target})


def failures_text(examples: Iterable[Mapping[str, Any]]) -> str:
    """The first failures of a load, in words."""
    return "; ".join(f"{entry['kind']} at {entry['at']}: {entry['detail']}" for entry in list(examples)[:3])
