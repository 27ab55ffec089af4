"""What makes a directory a checkpoint: its manifest, and every file exactly as the manifest says.

A checkpoint is a directory `step-00000500`. Its `manifest.json` holds

- `format` 1, `run`, `runUid`, `attempt`, `claim`, `step`, `createdAt` (RFC 3339, UTC);
- `schedule`: the values in force (`entropyCoef`, `learningRate`); `metrics`, say `reward`; `versions` of its writer;
- `files`: size in bytes and sha256 of every file, by its path in the directory;
- `checksum`: sha256 of the rest of the manifest, as JSON with sorted keys and without blanks.

`checksum`, `claim` and `runUid` may be missing, so that a trainer without this SDK can write a manifest with its own
means; the attempt then stands for the claim. Numbers that JSON does not know are the strings `NaN`, `Infinity` and
`-Infinity`. Files that the manifest does not name are ignored.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1
_NAME = re.compile(r"step-([0-9]{8,})")


class CheckpointError(Exception):
    """A checkpoint cannot be used or written; the text names it and says why."""


@dataclass(frozen=True)
class FileEntry:
    """One file of a checkpoint."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint, as its manifest describes it."""

    path: Path
    step: int
    attempt: int
    claim: int = 0
    run: str = ""
    run_uid: str = ""
    created_at: str = ""
    schedule: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, int]:
        """What "newer" means: a later claim on the directory (`claim.py`), then a later step. After a rollback, steps
        begin again below those that were reached before.
        """
        return self.claim, self.step

    def file(self, name: str) -> Path:
        """Path of one of its files. CheckpointError if the manifest does not name it."""
        if name not in self.files:
            raise CheckpointError(f"{self.path.name} holds no {name!r}, only {', '.join(sorted(self.files))}")
        return self.path / name


def directory_name(step: int) -> str:
    """500 → `step-00000500`. ValueError for a negative step."""
    if step < 0:
        raise ValueError(f"a step cannot be negative: {step}")
    return f"step-{step:08d}"


def step_of(name: str) -> int | None:
    """`step-00000500` → 500; None if that is not the name of a checkpoint."""
    match = _NAME.fullmatch(name)
    return int(match.group(1)) if match and directory_name(int(match.group(1))) == name else None


def render(checkpoint: Checkpoint) -> bytes:
    """The manifest of a checkpoint."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "run": checkpoint.run,
        "runUid": checkpoint.run_uid,
        "attempt": checkpoint.attempt,
        "claim": checkpoint.claim,
        "step": checkpoint.step,
        "createdAt": checkpoint.created_at,
        "schedule": {name: _number(value) for name, value in checkpoint.schedule.items()},
        "metrics": {name: _number(value) for name, value in checkpoint.metrics.items()},
        "versions": dict(checkpoint.versions),
        "files": {name: asdict(entry) for name, entry in sorted(checkpoint.files.items())},
    }
    content["checksum"] = _checksum(content)
    return json.dumps(content, indent=2, allow_nan=False).encode() + b"\n"


def read(directory: Path, *, name: str | None = None) -> Checkpoint:
    """The checkpoint in a directory, its manifest and the sizes of its files checked, but not their content.

    `name` is what the directory is called in the trainer's volume, where it is mounted under another name. Raises
    CheckpointError with the first thing that is wrong.
    """
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{directory.name} has no {MANIFEST}: it was never completed") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{directory.name}/{MANIFEST} cannot be read: {error}") from error
    try:
        checkpoint = _parse(directory, name or directory.name, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{directory.name}/{MANIFEST} is damaged: {error!r}") from error
    for name, entry in checkpoint.files.items():
        _check_size(directory, name, entry)
    return checkpoint


def verify(directory: Path, *, name: str | None = None) -> Checkpoint:
    """The checkpoint in a directory, every byte of it checked. CheckpointError with the first thing that is wrong."""
    checkpoint = read(directory, name=name)
    for file, entry in checkpoint.files.items():
        try:
            found = file_entry(directory / file)
        except OSError as error:
            raise CheckpointError(f"{directory.name}/{file} cannot be read: {error}") from error
        if found != entry:
            raise CheckpointError(f"{directory.name}/{file} is damaged: its sha256 is not that of the manifest")
    return checkpoint


def file_entry(path: Path) -> FileEntry:
    """Size and sha256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(digest, file.tell())


def _parse(directory: Path, name: str, content: Any) -> Checkpoint:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r} is not known here, only {FORMAT}")
    if "checksum" in content and content["checksum"] != _checksum(content):
        raise ValueError("its own checksum does not match")
    if step_of(name) != content["step"]:
        raise ValueError(f"it says step {content['step']!r}")
    files = {
        _inside(file): FileEntry(str(entry["sha256"]), int(entry["size"])) for file, entry in content["files"].items()
    }
    if not files:
        raise ValueError("it names no files")
    return Checkpoint(
        path=directory,
        step=int(content["step"]),
        attempt=int(content["attempt"]),
        claim=int(content.get("claim", content["attempt"])),
        run_uid=str(content.get("runUid", "")),
        run=str(content.get("run", "")),
        created_at=str(content.get("createdAt", "")),
        schedule={name: float(value) for name, value in content.get("schedule", {}).items()},
        metrics={name: float(value) for name, value in content.get("metrics", {}).items()},
        versions={name: str(value) for name, value in content.get("versions", {}).items()},
        files=files,
    )


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name == MANIFEST:
        raise ValueError(f"{name!r} is not a file of this checkpoint")
    return name


def _check_size(directory: Path, name: str, entry: FileEntry) -> None:
    path = directory / name
    try:
        size = path.stat(follow_symlinks=False).st_size
    except OSError as error:
        raise CheckpointError(f"{directory.name}/{name} is missing: {error.strerror}") from error
    if path.is_symlink() or not path.is_file():
        raise CheckpointError(f"{directory.name}/{name} is not a regular file")
    if size != entry.size:
        raise CheckpointError(f"{directory.name}/{name} has {size} bytes, the manifest says {entry.size}")


def _number(value: float) -> float | str:
    value = float(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _checksum(content: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
