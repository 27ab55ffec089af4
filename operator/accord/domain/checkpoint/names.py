"""Names, labels and annotations of everything that a CheckpointPolicy makes or marks."""

from __future__ import annotations

import hashlib
import re

from accord.domain.numbers import whole
from accord.domain.traffic.names import MANAGED_BY, MANAGED_BY_LABEL
from accord.domain.training.names import ATTEMPT_LABEL

POLICY_LABEL = "accord.dev/policy"
"""On snapshots and claims: the policy that they were made for. A policy made anew under that name finds them by it."""
RUN_LABEL = "accord.dev/run"
"""The TrainingRun, or the claim of a training that is none."""
TRAINING_LABEL = "accord.dev/training"
"""Digest of the training's identity: a run that is made anew under the same name is another training."""
RUN_UID_LABEL = "accord.dev/run-uid"
"""The uid of that TrainingRun."""
STEP_LABEL = "accord.dev/step"
QUARANTINE_LABEL = "accord.dev/quarantined"
"""On a snapshot, `"true"`: never to be served again."""
LOSS_ANNOTATION = "accord.dev/loss"
REWARD_ANNOTATION = "accord.dev/reward"
SUMS_ANNOTATION = "accord.dev/sums"
"""On a snapshot: the sums of what was reported since the one before (see `detection/memory.py`)."""
SAVES_ANNOTATION = "accord.dev/saves"
"""On a snapshot: how many checkpoints the trainer had committed then, by its own count."""
PASSED_OVER_ANNOTATION = "accord.dev/passed-over"
"""On a snapshot: how many checkpoints of the training have none so far, as a newer one came first."""
ORIGIN_ANNOTATION = "accord.dev/origin"
"""On a snapshot: what the claim was like that it is of, as JSON (see `views.ClaimView.remember`)."""
ROLLBACK_ANNOTATION = "accord.dev/rollback"
"""On a quarantined snapshot: the rollback that quarantined it, or why else."""
TARGET_ANNOTATION = "accord.dev/rollback-to"
"""On a quarantined snapshot: `<step>-a<attempt>` of the checkpoint that its rollback went back to."""
SERVED_STEP_ANNOTATION = "accord.dev/checkpoint-step"
"""On the pod template of the serving Deployment: what it serves; `0` for no checkpoint."""
APPROVED_ANNOTATION = "accord.dev/approved-rollback"
"""On a policy: id of the rollback that a person wants."""
REJECTED_ANNOTATION = "accord.dev/rejected-rollback"
"""On a policy: id of the rollback that a person does not want."""

FAILED_TO_SERVE = "FailedToServe"
"""Value of ROLLBACK_ANNOTATION where no rollback did it: serving pods did not start with the checkpoint."""

_CLAIM_LIMIT = 63
"""The API allows more; some drivers make a label of a claim's name."""


def training(identity: str) -> str:
    """The training's identity (a uid) as it is used in names and labels: five hexadecimal digits."""
    return hashlib.sha256(identity.encode()).hexdigest()[:5]


def checkpoint(policy: str, step: int, attempt: int, training: str) -> str:
    """Name of the snapshot of a checkpoint, and of the claim made from it: `<policy>-<step>-a<attempt>-<training>`.

    The policy's name is shortened to a unique beginning where the whole would be too long.
    """
    tail = f"-{step}-a{attempt}-{training}"
    if len(policy) + len(tail) <= _CLAIM_LIMIT:
        return policy + tail
    digest = hashlib.sha256(policy.encode()).hexdigest()[:8]
    kept = policy[: _CLAIM_LIMIT - len(tail) - len(digest) - 1].rstrip("-.")
    return f"{kept}-{digest}{tail}"


def is_of(policy: str, name: str) -> bool:
    """Whether `checkpoint` gives this name to a checkpoint of that policy."""
    parsed = parse_checkpoint(name)
    return parsed is not None and checkpoint(policy, *parsed) == name


_CHECKPOINT = re.compile(r".+-(\d+)-a(\d+)-([0-9a-f]{5})")


def parse_checkpoint(name: str) -> tuple[int, int, str] | None:
    """Step, attempt and training in a name made by `checkpoint`; None for any other."""
    found = _CHECKPOINT.fullmatch(name)
    return None if found is None else (int(found[1]), int(found[2]), found[3])


def directory(step: int) -> str:
    """The directory of a checkpoint in the trainer's volume, as the SDK names it."""
    return f"step-{step:08d}"


def labels(policy: str, run: str, training: str, step: int, attempt: int, uid: str = "") -> dict[str, str]:
    """Labels of what is made for one checkpoint; `uid` is that of its TrainingRun."""
    return {
        MANAGED_BY_LABEL: MANAGED_BY,
        POLICY_LABEL: policy,
        RUN_LABEL: run if len(run) <= _CLAIM_LIMIT else hashlib.sha256(run.encode()).hexdigest()[:_CLAIM_LIMIT],
        TRAINING_LABEL: training,
        ATTEMPT_LABEL: str(attempt),
        STEP_LABEL: str(step),
        **({RUN_UID_LABEL: uid} if uid else {}),
    }


OF_CHECKPOINT = frozenset(labels("", "", "", 0, 0))
"""The labels of everything that is made for a checkpoint."""


def training_of(rollback: str) -> str:
    """The training (see `training`) that a rollback is of: its id begins with that."""
    return rollback.partition("-")[0]


def target(step: int, attempt: int) -> str:
    """Value of TARGET_ANNOTATION."""
    return f"{step}-a{attempt}"


def parse_target(text: str) -> tuple[int, int] | None:
    """The inverse of `target`; None for anything else."""
    step, separator, attempt = text.partition("-a")
    found = whole(step), whole(attempt)
    return (found[0], found[1]) if separator and found[0] is not None and found[1] is not None else None
