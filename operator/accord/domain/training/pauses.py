"""A run that rests while a rollback of it waits for approval.

A CheckpointPolicy that has seen a training go wrong, and must ask a person before it goes back, keeps that in its
status (`status.rollback`). The run reads it there: nothing is written to pause a run, so nothing can be left behind
when the policy is deleted, the rollback is rejected or the operator dies. From its approval on until the run is
restarted it rests just the same; what would be trained meanwhile is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accord.api.base import Manifest
from accord.domain.checkpoint.names import APPROVED_ANNOTATION, training, training_of


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
    is_approved: bool

    @classmethod
    def of(cls, policy: Manifest | None) -> Pause | None:
        """From a CheckpointPolicy as the API server has it; None where it does not pause its run."""
        if policy is None or policy["metadata"].get("deletionTimestamp"):
            return None
        meta, record = policy["metadata"], (policy.get("status") or {}).get("rollback") or {}
        rollback = (policy.get("spec") or {}).get("rollback") or {}
        waits = record.get("phase") == "AwaitingApproval"
        approved = bool(record) and (meta.get("annotations") or {}).get(APPROVED_ANNOTATION) == record.get("id")
        # With Ignore the training goes on whatever the answer is.
        wanted = rollback.get("whileWaiting", "Pause") == "Pause" and rollback.get("training") != "Ignore"
        if not (waits or approved) or not wanted or not record.get("attempt"):
            return None
        return cls(
            policy=meta["name"],
            namespace=meta["namespace"],
            training=training_of(str(record.get("id", ""))),
            attempt=int(record["attempt"]),
            signal=str(record.get("signal", "")),
            step=record.get("toStep"),
            is_approved=approved,
        )


def standing(pauses: Iterable[Pause], uid: str, attempt: int) -> Pause | None:
    """The pause of this attempt of the run with that uid; of several policies, the first by name."""
    meant = [pause for pause in pauses if (pause.training, pause.attempt) == (training(uid), attempt)]
    return min(meant, key=lambda pause: pause.policy, default=None)


def in_words(pause: Pause) -> str:
    """Who pauses the run, why, and what ends it."""
    who = f"CheckpointPolicy {pause.policy} paused attempt {pause.attempt} ({pause.signal})"
    if pause.is_approved:
        return f"{who}: rollback approved, and training goes on from step {pause.step} when that is served"
    command = f"accord approve {pause.policy} -n {pause.namespace}"
    return (
        f"{who}: its rollback waits for approval. To go back to step {pause.step}: {command}; to go on as it is: "
        f"{command} --reject"
    )
