"""The checkpoint that a pod is to serve: the one of the step that it is told, verified, and never merely the newest.

A volume made from a snapshot may hold newer checkpoints than the one it is named after: what was saved before the
snapshot was cut is in it, too. A CheckpointPolicy therefore writes the step that is served into the annotation
`accord.dev/checkpoint-step` of the serving pods. By the downward API it becomes CHECKPOINT_STEP:

    env:
    - {name: CHECKPOINT_DIR, value: /checkpoints}
    - name: CHECKPOINT_STEP
      valueFrom: {fieldRef: {fieldPath: "metadata.annotations['accord.dev/checkpoint-step']"}}

A service in Python asks `served()`. For any other, `python -m accord_trainer.serve --to DIRECTORY` in an init container
puts the files of that checkpoint, and no others, where the service looks for them.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from accord_trainer.sdk.contract import ContractError
from accord_trainer.sdk.manifest import MANIFEST, Checkpoint, CheckpointError, directory_name, read, verify

DIRECTORY, STEP = "CHECKPOINT_DIR", "CHECKPOINT_STEP"
_STEP = re.compile(r"[0-9]{1,12}")


def served(environment: Mapping[str, str] | None = None) -> Checkpoint | None:
    """The checkpoint that CHECKPOINT_DIR and CHECKPOINT_STEP say, every byte of it verified; None for step 0 or none:
    no checkpoint is served yet.

    ContractError for variables that say nothing; CheckpointError for a checkpoint that is missing, torn or damaged.
    """
    given = os.environ if environment is None else environment
    step = step_of(given.get(STEP, ""))
    if step == 0:
        return None
    if not given.get(DIRECTORY):
        raise ContractError(f"{DIRECTORY} is not set: it names the directory where the volume is mounted")
    return find(Path(given[DIRECTORY]), step)


def step_of(text: str) -> int:
    """The step in CHECKPOINT_STEP; 0 where it is empty, as long as no CheckpointPolicy has set the annotation."""
    if text and not _STEP.fullmatch(text):
        raise ContractError(f"{STEP}={text!r} is not the step of a checkpoint")
    return int(text or 0)


def find(directory: Path, step: int) -> Checkpoint:
    """The checkpoint of `step` in `directory`, every byte of it verified. Whatever else is there does not count.

    `directory` is a trainer's volume or a copy of it, or the checkpoint itself: with method SubPath nothing else is
    mounted. CheckpointError, with what is there instead, if there is none or it does not verify.
    """
    name = directory_name(step)
    if (directory / MANIFEST).exists():
        return verify(directory, name=name)
    if not (directory / name).is_dir():
        found = sorted(path.name for path in directory.glob("step-*"))
        raise CheckpointError(f"there is no {name}, only {', '.join(found) or 'an empty volume'}")
    return verify(directory / name)


def copy(checkpoint: Checkpoint, to: Path) -> Checkpoint:
    """Put the files of a checkpoint, its manifest last, into the directory `to`, and verify them there.

    Each is written under another name first. So this may be cut short and begun again: as long as there is no manifest,
    nothing is there. CheckpointError if the disk refuses, or another checkpoint is there already.
    """
    name = directory_name(checkpoint.step)
    if (to / MANIFEST).exists():
        there = read(to, name=name)
        if there.files != checkpoint.files:
            raise CheckpointError(f"{to} holds another checkpoint of step {there.step} already")
        return verify(to, name=name)
    try:
        for file in (*sorted(checkpoint.files), MANIFEST):
            target = to / file
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".tmp-{secrets.token_hex(4)}")
            try:
                shutil.copyfile(checkpoint.path / file, temporary)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(f"{name} cannot be copied to {to}: {error}") from error
    return verify(to, name=name)
