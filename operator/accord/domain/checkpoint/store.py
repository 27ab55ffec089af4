"""What the decision asks of whatever keeps the checkpoints. `adapters/stores` answers; every method is pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from accord.api.base import Manifest
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.observed import Observed
from accord.domain.checkpoint.reading import Saved
from accord.domain.checkpoint.views import ClaimView
from accord.domain.plan import ObjectKey


class Problem(NamedTuple):
    """Why something cannot be done: one word for programs, a sentence with what to do for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class Place:
    """Where a Deployment finds a checkpoint."""

    claim_name: str
    sub_path: str | None = None
    manifest: Manifest | None = None
    """The claim, where it has to be made."""


class Store(Protocol):
    """A way to keep checkpoints."""

    def problem(self, observed: Observed) -> Problem | None:
        """Why checkpoints cannot be kept in this way here."""

    def checkpoints(self, observed: Observed, training: str) -> tuple[Checkpoint, ...]:
        """All that are kept, of this training (see `names.training`) and of former ones, in any order."""

    def capture(
        self, observed: Observed, training: str, attempt: int, saved: Saved, passed_over: int = 0
    ) -> Manifest | None:
        """What is to be applied to keep a checkpoint that the trainer has just committed; None for nothing.

        `passed_over` is how many of the training are not kept so far.
        """

    def quarantine(
        self, observed: Observed, checkpoint: Checkpoint, why: str, target: tuple[int, int] | None
    ) -> Manifest | None:
        """What is to be applied so that the checkpoint is never served again, with the id of the rollback (or another
        reason) and its target; None where the record in the status is all there is.
        """

    def relabel(self, observed: Observed, checkpoint: Checkpoint, training: str) -> Manifest | None:
        """What is to be applied so that it has its labels again; None where it has them. `training` goes on now."""

    def origin(self, observed: Observed, checkpoint: Checkpoint | None) -> ClaimView | None:
        """The claim that a checkpoint (of None: the next one) is kept in, or one like it; None where nothing tells."""

    def place(self, observed: Observed, checkpoint: Checkpoint) -> Place:
        """Where it is served from. Without a manifest where it is known neither to exist nor how to make it."""

    def discard(self, observed: Observed, checkpoint: Checkpoint) -> ObjectKey | None:
        """What is to be deleted so that the checkpoint is not kept any more; None for nothing."""
