"""Who may write into a checkpoint directory: the process that asked last, unless its attempt is over.

The file `.claim` holds the number of the claim and who made it. Numbers only grow, over attempts, restarts of pods and
runs that were made anew on the same volume. They fence off a writer that is not yet dead (in a pod on a node that was
cut off, say), and they say which of two checkpoints is newer.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from accord_trainer.sdk import durable
from accord_trainer.sdk.manifest import CheckpointError, directory_name
from accord_trainer.sdk.retention import superseded_step

TEMPORARY = ".tmp-"
"""Prefix of everything that is not committed; whoever claims the directory deletes it."""
_FILE = ".claim"


@dataclass(frozen=True)
class Writer:
    """A process that writes checkpoints: an attempt of a run. `uid` tells runs of one name apart."""

    run: str
    uid: str
    attempt: int


class Claim:
    """One process's claim on one directory."""

    def __init__(self, directory: Path, writer: Writer) -> None:
        self._directory = directory
        self._writer = writer
        self.number: int | None = None
        """The number of this claim, from 1, once it is made."""

    def take(self, highest: Callable[[], int]) -> int:
        """Claim the directory, once, and clear away what writers before us left unfinished; the number of the claim.

        `highest` tells the highest number in the manifests of the directory, for the case that `.claim` was lost.
        CheckpointError if a later attempt of the same run has claimed it, or it cannot be written.
        """
        if self.number is not None:
            return self.number
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            number, holder = self._read()
            if holder.uid == self._writer.uid and holder.attempt > self._writer.attempt:
                raise self._superseded(holder)
            self._clear()
            self.number = max(number, highest()) + 1
            temporary = self._directory / f"{TEMPORARY}claim-{secrets.token_hex(4)}"
            durable.write(temporary, json.dumps({"number": self.number, **asdict(self._writer)}).encode())
            temporary.replace(self._directory / _FILE)
            durable.sync_directory(self._directory)
        except OSError as error:
            raise CheckpointError(f"the checkpoint directory {self._directory} cannot be used: {error}") from error
        return self.number

    def check(self) -> None:
        """CheckpointError if somebody else has claimed the directory meanwhile."""
        number, holder = self._read()
        if self.number is None or number > self.number:
            raise self._superseded(holder)

    def _read(self) -> tuple[int, Writer]:
        try:
            content = json.loads((self._directory / _FILE).read_bytes())
            holder = Writer(str(content["run"]), str(content["uid"]), int(content["attempt"]))
            return int(content["number"]), holder
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0, Writer("", "", 0)

    def _superseded(self, holder: Writer) -> CheckpointError:
        return CheckpointError(
            f"attempt {holder.attempt} of run {holder.run or 'unnamed'} has taken over {self._directory}: "
            f"this attempt {self._writer.attempt} of run {self._writer.run or 'unnamed'} must stop training"
        )

    def _clear(self) -> None:
        for path in sorted(self._directory.iterdir()):
            if path.name.startswith(TEMPORARY):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif (step := superseded_step(path.name)) is not None:
                # Without a successor: its writer died between setting it aside and committing.
                original = self._directory / directory_name(step)
                if not original.exists():
                    path.rename(original)
