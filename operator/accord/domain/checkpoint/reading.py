"""What a check of a training says: made by `detection`, read by the decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from accord.api.v1alpha1.checkpointpolicy import Signal

Outcome = Literal["Pass", "Suspect", "Fail", "Inconclusive", "QueryFailed"]
"""Fail asks for a rollback, and it is confirmed. Suspect pauses promotion. Inconclusive and QueryFailed change nothing:
they neither pause promotion nor end a pause."""

UNANSWERED = frozenset({"QueryFailed", "NoEndpoint"})
"""Reasons of a check that had no answer at all."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint that the trainer reports as committed."""

    step: int
    loss: float | None = None
    """Mean loss of a minibatch over the window before it."""
    reward: float | None = None
    """Mean return of an episode over the window before it."""
    number: int | None = None
    """How many the trainer had committed then, by its own count; 0 for one that it went on from."""
    sums: str | None = None
    """What was reported since the snapshot before, for `names.SUMS_ANNOTATION`."""


@dataclass(frozen=True)
class Reading:
    """One check of one policy. Steps are environment steps, counted over all attempts."""

    outcome: Outcome
    at: datetime
    message: str = ""
    """A sentence with the figures, or what is missing. No timestamps."""
    reason: str = ""
    """In one word, for a condition: `Healthy`, `NonFinite`, those of signals (see `detection.signals`),
    `InsufficientData`, `NoMetrics`, `Stale`, `NoEndpoint`, `QueryFailed`."""
    attempt: int | None = None
    """Attempt of the run whose data this is; None for a training that is not a TrainingRun."""
    step: int | None = None
    """Newest step that was judged."""
    signal: Signal | None = None
    """What was seen; only with Fail and Suspect."""
    rule: str | None = None
    """Which rule spoke, on which kind of series."""
    onset: int | None = None
    """Step before which nothing of the fault is in the data: a target must be from before it. Only with Fail."""
    baseline: float | None = None
    """Level before."""
    recent: float | None = None
    """Level now."""
    limit: float | None = None
    """Level from which on it is a fault."""
    share: float | None = None
    """Of returns: the share of what had been learnt that is lost."""
    samples: int | None = None
    """Independent samples in the recent window."""
    run: str | None = None
    """Uid of the run whose data this is: one that is made anew under its name begins with attempt 1, too."""
    saved: tuple[Saved, ...] = ()
    """Checkpoints that the data shows as committed, oldest first; the newest is what may be snapshotted now."""
