"""What a rule says of one series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["Pass", "Suspect", "Fail", "Inconclusive"]


@dataclass(frozen=True)
class Finding:
    """The answer. `outcome` is Inconclusive only where there is too little data; `message` says then what is there."""

    outcome: Outcome
    message: str = ""
    baseline: float | None = None
    """Level before."""
    recent: float | None = None
    """Level now."""
    limit: float | None = None
    """Level from which on it is a fault."""
    share: float | None = None
    """Of what was learnt, lost."""
    samples: int | None = None
    """In the recent level."""
    onset: int | None = None
    """Last step before which nothing of the fault is seen; only with Fail, and with what
    is Suspect of one series."""
