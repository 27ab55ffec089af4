"""A run that rests while a rollback of it waits: for approval, or for what keeps it from being completed.

A CheckpointPolicy that has seen a training go wrong, and must ask a person before it goes back or has to wait for room,
keeps that in its status (`status.rollback`). The run reads it there: nothing is written to pause a run, so nothing can
be left behind when the policy is deleted, the rollback is rejected or the operator dies. From its approval, or its
first wait, on until the run is restarted it rests; what would be trained meanwhile is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accord.api.base import Manifest
from accord.domain.checkpoint.names import (
    APPROVED_ANNOTATION,
    REJECTED_ANNOTATION,
    training,
    training_of,
)

_BEGUN = frozenset({"Restoring", "Switching", "RollingOut", "Reverting", "Retrying", "Restarting"})


@dataclass(frozen=True)
class Pause:
    """What one CheckpointPolicy asks of the run that it refers to."""

    policy: str
    namespace: str
    training: str
    """Digest of the uid of the run that went wrong: another run of that name is not meant."""
    attempt: int
    """The attempt that went wrong; a later one is not meant."""
    signal: str
    step: int | None
    """What the rollback would go back to."""
    needs_approval: bool
    """Whether it waits for a person; else for the target to be served."""

    @classmethod
    def of(cls, policy: Manifest | None) -> Pause | None:
        """From a CheckpointPolicy as the API server has it; None where it does not pause its run."""
        if policy is None or policy["metadata"].get("deletionTimestamp"):
            return None
        meta, record = policy["metadata"], (policy.get("status") or {}).get("rollback") or {}
        rollback = (policy.get("spec") or {}).get("rollback") or {}
        annotations, id_ = meta.get("annotations") or {}, record.get("id")
        asks = record.get("phase") == "AwaitingApproval"
        begun = record.get("phase") in _BEGUN and bool(record.get("waitingSince"))
        # A step that a person names is no sign that the training is wrong.
        waits = begun and record.get("signal") != "Manual" and annotations.get(REJECTED_ANNOTATION) != id_
        approved = bool(record) and annotations.get(APPROVED_ANNOTATION) == id_
        # With Ignore the training goes on whatever the answer is.
        wanted = rollback.get("whileWaiting", "Pause") == "Pause" and rollback.get("training") != "Ignore"
        if not (asks or waits or approved) or not wanted or not record.get("attempt"):
            return None
        return cls(
            policy=meta["name"],
            namespace=meta["namespace"],
            training=training_of(str(record.get("id", ""))),
            attempt=int(record["attempt"]),
            signal=str(record.get("signal", "")),
            step=record.get("toStep"),
            needs_approval=asks and not approved,
        )


def standing(pauses: Iterable[Pause], uid: str, attempt: int) -> Pause | None:
    """The pause of this attempt of the run with that uid; of several policies, the first by name."""
    meant = [pause for pause in pauses if (pause.training, pause.attempt) == (training(uid), attempt)]
    return min(meant, key=lambda pause: pause.policy, default=None)


def in_words(pause: Pause) -> str:
    """Who pauses the run, why, and what ends it."""
    who = f"CheckpointPolicy {pause.policy} paused attempt {pause.attempt} ({pause.signal})"
    command = f"accord approve {pause.policy} -n {pause.namespace}"
    if not pause.needs_approval:
        return (
            f"{who}: its rollback is waiting, see `kubectl describe cp {pause.policy}`; training resumes from step "
            f"{pause.step} once that is served. To cancel the rollback: {command} --reject"
        )
    return (
        f"{who}: its rollback waits for approval. To roll back to step {pause.step}: {command}; to reject it: "
        f"{command} --reject"
    )


def reason(pause: Pause) -> str:
    """The same in one word."""
    return "AwaitingApproval" if pause.needs_approval else "AwaitingRollback"


def in_short(pause: Pause) -> str:
    """The same in half a sentence, while the pod still ends."""
    what = "is waiting for approval of a rollback" if pause.needs_approval else "is waiting to complete a rollback"
    return f"CheckpointPolicy {pause.policy} {what}"
