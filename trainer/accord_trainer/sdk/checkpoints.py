"""Checkpoints that are either whole or not there, whenever the process dies.

A save writes into `.tmp-…`, fsyncs every file, writes the manifest last, and then renames the directory to its name and
fsyncs the parent. Before the rename nobody sees it; after it nothing in it changes. Readers believe only what
verifies (`manifest.py`) and fall back to the one before, saying so in the log.

Writers are fenced (`claim.py`): once another process has claimed the directory, the one before can no longer commit.
"""

from __future__ import annotations

import logging
import platform
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import accord_trainer
from accord_trainer.sdk import durable, manifest
from accord_trainer.sdk.claim import TEMPORARY, Claim, Writer
from accord_trainer.sdk.contract import RESUME_LATEST, RESUME_NEVER, Contract
from accord_trainer.sdk.manifest import Checkpoint, CheckpointError
from accord_trainer.sdk.retention import Retention, superseded_name

_log = logging.getLogger(__name__)

Content = bytes | Callable[[Path], object]
"""What goes into a file: bytes, or a function that writes it (or a directory of files) at the path it is given."""


class CheckpointStore:
    """The checkpoints in one directory, for one attempt of one run.

    One process writes at a time: the one that claimed the directory last, by `resume`, `save` or `claim`. Reading, by
    `latest_verified` and `load`, needs no claim and changes nothing.

    `keep` is the number of verified checkpoints that a save leaves. `versions` goes into every manifest, say
    `{"torch": torch.__version__}`.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        run: str = "",
        run_uid: str = "",
        attempt: int = 1,
        keep: int = 20,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}: the newest checkpoint is never deleted")
        self.directory = Path(directory)
        self.writer = Writer(run, run_uid, attempt)
        self.keep = keep
        own = {"accord-trainer": accord_trainer.__version__, "python": platform.python_version()}
        self.versions = {**own, **(versions or {})}
        self._claim = Claim(self.directory, self.writer)
        self._last: Checkpoint | None = None
        self._verified: set[Path] = set()
        self._reported: set[str] = set()

    @classmethod
    def of(cls, contract: Contract, versions: Mapping[str, str] | None = None) -> Self:
        """The store that the contract describes."""
        return cls(
            contract.checkpoint_dir,
            run=contract.run,
            run_uid=contract.run_uid,
            attempt=contract.attempt,
            keep=contract.checkpoint_keep,
            versions=versions,
        )

    def save(
        self,
        step: int,
        files: Mapping[str, Content],
        *,
        schedule: Mapping[str, float] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> Checkpoint:
        """Commit a checkpoint and prune old ones. When it returns, the checkpoint survives a power cut.

        If nothing was trained since this store's last save or resume (the step is the same), that checkpoint is
        returned and nothing is written. One that another attempt left under the same step (an attempt that was rolled
        back, say) is set aside first.

        CheckpointError if the disk refuses or a later attempt has taken over; what was there before stays.
        """
        target = self.directory / manifest.directory_name(step)
        if not files:
            raise ValueError("a checkpoint needs at least one file")
        claim = self.claim()
        if self._last is not None and self._last.step == step:
            return self._last
        temporary = self.directory / f"{TEMPORARY}{target.name}-{secrets.token_hex(4)}"
        try:
            temporary.mkdir()  # not by tempfile, whose mode 0700 would lock a serving pod of another user out
            for name, content in files.items():
                _write(temporary, name, content)
            described = Checkpoint(
                path=target,
                step=step,
                attempt=self.writer.attempt,
                claim=claim,
                run=self.writer.run,
                run_uid=self.writer.uid,
                created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                schedule=schedule or {},
                metrics=metrics or {},
                versions=self.versions,
                files=durable.seal(temporary),
            )
            durable.write(temporary / manifest.MANIFEST, manifest.render(described))
            durable.sync_directory(temporary)
            self._claim.check()
            self._set_aside(target)
            temporary.rename(target)
            durable.sync_directory(self.directory)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(f"the checkpoint of step {step} cannot be written: {error}") from error
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._last = described
        self._verified.add(target)
        self._prune_quietly()
        return described

    def latest_verified(self) -> Checkpoint | None:
        """The newest checkpoint that verifies, or None. Each newer one that does not is named in the log."""
        return self._first_verified(self._candidates())

    def load(self, step: int) -> Checkpoint:
        """The checkpoint of a step, verified now. CheckpointError if it is missing or does not verify."""
        return manifest.verify(self.directory / manifest.directory_name(step))

    def resume(self, resume_from: str) -> Checkpoint | None:
        """Claim the directory for this attempt and return what it starts from; None means from step 0.

        `resume_from` is the value of RESUME_FROM: `latest`, empty for a fresh start, or the name of a checkpoint. If
        the one named does not verify, the newest before it counts. If this attempt has saved already (its pod was
        restarted), its own newest checkpoint counts. CheckpointError if a checkpoint is named and none is left.
        """
        self.claim()
        if resume_from == RESUME_NEVER:
            return None
        candidates = self._candidates()
        if resume_from == RESUME_LATEST:
            self._last = self._first_verified(candidates)
            return self._last
        named = manifest.step_of(resume_from)
        if named is None:
            raise CheckpointError(
                f"RESUME_FROM={resume_from!r} is neither {RESUME_LATEST!r} nor a checkpoint such as step-00000500"
            )
        own = [each for each in candidates if self._is_own(each)]
        others = [each for each in candidates if not self._is_own(each)]
        wanted = [each for each in others if each.step == named] + [each for each in others if each.step < named]
        found = self._first_verified(own + wanted)
        if found is None:
            raise CheckpointError(
                f"RESUME_FROM names {resume_from}, but in {self.directory} neither it nor one before it verifies"
            )
        self._last = found
        return found

    def prune(self, protect: Collection[int] = ()) -> list[Path]:
        """Delete all but the `keep` newest checkpoints; those of the steps in `protect` stay too. Returns what went.

        Only those count whose manifests and sizes are right, and the newest of them only after reading every byte;
        without one, nothing is deleted.
        """
        whole = self._candidates()
        while whole and not (whole[0].path in self._verified or self._verifies(whole[0])):
            del whole[0]
        names = Retention(self.keep, protect).outdated(whole, _list(self.directory))
        for name in names:
            self._delete(self.directory / name)
        return [self.directory / name for name in names]

    def claim(self) -> int:
        """Take the directory for this process, as `resume` and `save` do; the number of the claim.

        CheckpointError if a later attempt of the run has taken it.
        """
        return self._claim.take(lambda: max((each.claim for each in self._candidates()), default=0))

    def _is_own(self, checkpoint: Checkpoint) -> bool:
        # Without a uid, on a desk, attempts cannot be told apart: then what RESUME_FROM names is meant.
        return self.writer.uid != "" and (checkpoint.run_uid, checkpoint.attempt) == (
            self.writer.uid,
            self.writer.attempt,
        )

    def _set_aside(self, target: Path) -> None:
        if target.exists():
            _log.info("another %s is there already and is set aside", target.name)
            target.rename(target.with_name(superseded_name(target.name, secrets.token_hex(4))))
            self._verified.discard(target)

    def _candidates(self) -> list[Checkpoint]:
        """Checkpoints whose manifests are in order, the newest first."""
        found = []
        for name in _list(self.directory):
            if manifest.step_of(name) is not None:
                try:
                    found.append(manifest.read(self.directory / name))
                except CheckpointError as error:
                    self._report(error)
        return sorted(found, key=lambda each: each.order, reverse=True)

    def _first_verified(self, candidates: Iterable[Checkpoint]) -> Checkpoint | None:
        return next((each for each in candidates if self._verifies(each)), None)

    def _verifies(self, candidate: Checkpoint) -> bool:
        try:
            manifest.verify(candidate.path)
        except CheckpointError as error:
            self._report(error)
            return False
        self._verified.add(candidate.path)
        return True

    def _report(self, error: CheckpointError) -> None:
        if str(error) not in self._reported:
            self._reported.add(str(error))
            _log.warning("checkpoint not used: %s; falling back to the one before", error)

    def _delete(self, path: Path) -> None:
        # First out of sight in one move: a half-deleted checkpoint would look like a damaged one.
        trash = self.directory / f"{TEMPORARY}trash-{secrets.token_hex(4)}"
        path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
        self._verified.discard(path)

    def _prune_quietly(self) -> None:
        try:
            self.prune()
        except OSError as error:
            _log.warning("old checkpoints in %s cannot be deleted: %s", self.directory, error)


def _write(directory: Path, name: str, content: Content) -> None:
    if name in ("", ".", "..", manifest.MANIFEST) or "/" in name:
        raise ValueError(f"{name!r} cannot be the name of a file in a checkpoint")
    if isinstance(content, bytes):
        durable.write(directory / name, content)
        return
    content(directory / name)
    if not (directory / name).exists():
        raise CheckpointError(f"the writer of {name} wrote no file of that name (some libraries add a suffix)")


def _list(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return []
