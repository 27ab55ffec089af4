"""Whether promotion is paused: what a check has said stands until something answers it.

A hold begins with a check that says Suspect or Fail. It ends with one that passes, with a rollback, or with a person
who rejects one. A check that cannot say (no data, no answer of Prometheus) leaves it as it is.
"""

from __future__ import annotations

from datetime import datetime

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicyStatus, Detection, Hold
from accord.domain.checkpoint.detection.signals import SIGNALS
from accord.domain.checkpoint.names import training_of
from accord.domain.checkpoint.reading import Reading
from accord.domain.conditions import parse_timestamp, timestamp


def standing(
    status: CheckpointPolicyStatus, detection: Detection, reading: Reading | None, training: str, now: datetime
) -> Hold | None:
    """The hold as of now.

    `reading` is the newest check, if it is one of the attempt that goes on now; `training` is the digest of the
    training's identity that records of rollbacks begin with.
    """
    if not is_watched(detection):
        return None
    before = status.hold
    answered = _answered(status, training)
    if before is not None and answered is not None and parse_timestamp(before.since) <= answered:
        before = None
    if reading is None or (answered is not None and reading.at <= answered):
        return before
    if reading.outcome == "Pass":
        return None
    if reading.outcome not in ("Suspect", "Fail") or reading.signal is None:
        return before
    if (
        before is not None
        and before.attempt == reading.attempt
        and (before.outcome, reading.outcome)
        != (
            "Suspect",
            "Fail",
        )
    ):
        return before
    return Hold(
        outcome="Fail" if reading.outcome == "Fail" else "Suspect",
        signal=reading.signal,
        attempt=reading.attempt,
        since=before.since if before is not None else timestamp(now),
        message=reading.message,
    )


def is_watched(detection: Detection) -> bool:
    """Whether anything is looked for. Nothing could end a hold where nothing is any more."""
    return detection.nan_policy == "Fail" or any(signal.rule(detection).enabled for signal in SIGNALS)


def _answered(status: CheckpointPolicyStatus, training: str) -> datetime | None:
    """When a rollback of this training was last carried through, or rejected by a person."""
    ended = [
        r.completed_at for r in status.history if training_of(r.id) == training and r.phase in ("Done", "Rejected")
    ]
    return max((parse_timestamp(at) for at in ended if at is not None), default=None)
