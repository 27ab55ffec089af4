"""Without CSI snapshots: a directory of the trainer's own volume, which several nodes must be able to mount.

Nothing is copied and nothing is deleted: how many checkpoints there are is the trainer's affair
(`spec.checkpoints.keep` of a TrainingRun). What is known of them is in the policy's status alone.
"""

from __future__ import annotations

from accord.api.base import Manifest
from accord.domain.checkpoint import names
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.observed import Observed
from accord.domain.checkpoint.reading import Saved
from accord.domain.checkpoint.views import ClaimView
from accord.domain.conditions import parse_timestamp
from accord.domain.plan import ObjectKey
from accord.ports.checkpoints import Place, Problem

_SHARED = frozenset({"ReadWriteMany", "ReadOnlyMany"})


class SubPathStore:
    """Method SubPath. Implements `accord.ports.checkpoints.Store`."""

    def problem(self, observed: Observed) -> Problem | None:
        """Serving pods and the trainer's pod mount one volume, on whatever node they are."""
        claim = observed.source_claim
        if claim is None or not claim.access_modes or _SHARED & set(claim.access_modes):
            return None
        return Problem(
            "VolumeNotShared",
            f"method SubPath needs a volume that several nodes can mount: make claim {claim.name} ReadWriteMany, or "
            "use method VolumeSnapshot",
        )

    def checkpoints(self, observed: Observed, training: str) -> tuple[Checkpoint, ...]:
        """Those that the status has recorded for this training, and those that the trainer has reported since."""
        status, meta = observed.policy.status, observed.policy.metadata
        if status.training is not None and names.training(status.training) != training:
            return ()
        begin = parse_timestamp(meta.creation_timestamp or "1970-01-01T00:00:00Z")
        records = (each for each in status.checkpoints if each.training in ("", training))
        known = {c.identity: c for c in (Checkpoint.of_record(r, training, begin) for r in records)}
        if observed.reading is None:
            return tuple(known.values())
        attempt = observed.reading.attempt or 0
        for saved in observed.reading.saved:
            # A trainer that went on from a checkpoint reports it at first as its own, and so does one that found that
            # of an earlier training.
            resumed = any(step == saved.step and c.is_good for (step, _), c in known.items())
            resumed = resumed or (not known and _is_of_earlier(observed, training, saved))
            if saved.step > 0 and (saved.step, attempt) not in known and not resumed:
                known[saved.step, attempt] = Checkpoint(
                    saved.step,
                    attempt,
                    observed.reading.at,
                    training,
                    ready=True,
                    loss=saved.loss,
                    reward=saved.reward,
                )
        return tuple(known.values())

    def capture(
        self, observed: Observed, training: str, attempt: int, saved: Saved, passed_over: int = 0
    ) -> Manifest | None:
        """It is where it must be already."""
        return None

    def quarantine(
        self, observed: Observed, checkpoint: Checkpoint, why: str, target: tuple[int, int] | None
    ) -> Manifest | None:
        """The status says so."""
        return None

    def relabel(self, observed: Observed, checkpoint: Checkpoint, training: str) -> Manifest | None:
        """There is no object."""
        return None

    def origin(self, observed: Observed, checkpoint: Checkpoint | None) -> ClaimView | None:
        """The trainer's."""
        return observed.source_claim

    def place(self, observed: Observed, checkpoint: Checkpoint) -> Place:
        """Its directory."""
        return Place(observed.source_name or "", names.directory(checkpoint.step))

    def discard(self, observed: Observed, checkpoint: Checkpoint) -> ObjectKey | None:
        """The trainer does."""
        return None


def _is_of_earlier(observed: Observed, training: str, saved: Saved) -> bool:
    """Whether an earlier training has saved what is served, and that step is all that this one has reported."""
    serving, reading = observed.policy.status.serving, observed.reading
    if serving is None or reading is None or serving.training in (None, training) or serving.step != saved.step:
        return False
    return all(each.step == saved.step for each in reading.saved)
