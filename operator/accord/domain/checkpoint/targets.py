"""Which checkpoint to go back to. The same rule for a live policy and for `accord backtest`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Candidate(NamedTuple):
    """A checkpoint as far as this choice needs it."""

    step: int
    verified: bool = True
    quarantined: bool = False


def choose(candidates: Iterable[tuple[int, bool, bool]], onset: int, steps: int) -> int | None:
    """Step of the newest usable checkpoint that is `steps` back and was saved before `onset`; None if there is none.

    Each candidate is (step, verified, quarantined), in any order; usable ones are verified and not quarantined. The
    newest usable one is 0 back, the one before it 1 back. `onset` is `Reading.onset`, which has a margin in it already.
    """
    usable = sorted({step for step, verified, quarantined in candidates if verified and not quarantined}, reverse=True)
    return next((step for step in usable[steps:] if step < onset), None)
