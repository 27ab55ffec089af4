"""A writer that is killed anywhere: there is always a verified checkpoint, and at most the save under way is lost.

Three ways to die: SIGKILL at random moments; SIGKILL before each single file operation of a save; and the same with the
power gone too, so that only what was fsynced is left.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import accord_trainer
from accord_trainer.sdk import Checkpoint, CheckpointStore

SAVE_EVERY = 500
WRITER = """
import os, sys
from accord_trainer.sdk import CheckpointStore
store = CheckpointStore(sys.argv[1], attempt=int(sys.argv[2]), keep=3)
resumed = store.resume("latest")
step = resumed.step if resumed else 0
while True:
    step += 500
    store.save(step, {"model.bin": os.urandom(200_000), "state.json": str(step).encode()})
    os.write(1, b"%d\\n" % step)
"""


def test_a_writer_killed_at_random_moments_loses_at_most_the_save_under_way(tmp_path: Path) -> None:
    chance = random.Random(20)
    environment = {**os.environ, "PYTHONPATH": str(Path(accord_trainer.__file__).parents[1])}
    before = 0
    for attempt in range(1, 11):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(chance.randint(1, 4))]
            time.sleep(chance.uniform(0, 0.01))  # somewhere in the save that follows
            writer.kill()
            lines += writer.stdout.readlines()
        acknowledged = int(lines[-1])
        assert acknowledged > before
        found = CheckpointStore(tmp_path).latest_verified()
        assert found is not None
        assert found.step in (acknowledged, acknowledged + SAVE_EVERY)
        assert found.file("state.json").read_bytes() == str(found.step).encode()
        before = found.step


class Tape:
    """Counts the file operations of this process, kills it before one of them, notes what the others made durable."""

    def __init__(self, kill_before: int, notes: Path) -> None:
        self._kill_before = kill_before
        self._count = 0
        self._notes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._write = os.write
        for name in ("mkdir", "open", "write", "fsync", "rename", "replace", "unlink", "rmdir"):
            setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            self._count += 1
            if self._count == self._kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = operation(*arguments, **keywords)
            if name == "fsync":
                path = Path(f"/proc/self/fd/{arguments[0]}").readlink()
                self._note("sync", str(path), [each.name for each in path.iterdir()] if path.is_dir() else None)
            elif name in ("rename", "replace"):
                self._note("rename", os.fspath(arguments[0]), os.fspath(arguments[1]))
            return result

        return run

    def _note(self, *note: Any) -> None:
        self._write(self._notes, json.dumps(note).encode() + b"\n")


def _killed_before(number: int, save: Callable[[], object], notes: Path) -> bool:
    """Run `save` in a child that dies before its operation of that number. False if it finished before."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Tape(number, notes)
            save()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


class Disk:
    """What a power cut leaves, according to the notes of a tape."""

    def __init__(self, notes: Path) -> None:
        self.contents: set[Path] = set()
        """Files whose content was fsynced."""
        self.names: set[Path] = set()
        """Files and directories whose directory was fsynced with their names in it."""
        self.renames: list[tuple[Path, Path]] = []
        """Renames, from and to, whose directory was not fsynced since."""
        for line in notes.read_text().splitlines():
            kind, path, what = json.loads(line)
            if kind == "rename":
                self._rename(Path(path), Path(what))
            elif what is None:
                self.contents.add(Path(path))
            else:
                self.names.update(Path(path, name) for name in what)
                self.renames = [each for each in self.renames if each[1].parent != Path(path)]

    def _rename(self, old: Path, new: Path) -> None:
        def moved(paths: set[Path]) -> set[Path]:
            return {new / path.relative_to(old) if path.is_relative_to(old) else path for path in paths}

        self.contents, self.names = moved(self.contents), moved(self.names)
        self.renames.append((old, new))

    def cut_power(self, directory: Path, *, undo_renames: bool) -> None:
        """Take away what was not fsynced: content of files, names in directories and, if asked, renames."""
        for path in sorted(filter(_is_new, directory.rglob("*")), reverse=True):
            if path.parent != directory and path not in self.names:
                path.unlink() if path.is_file() else shutil.rmtree(path)
            elif path.is_file() and path not in self.contents:
                os.truncate(path, path.stat().st_size // 2)
        for old, new in reversed(self.renames) if undo_renames else ():
            if new.exists() and not old.exists():
                new.rename(old)


def _is_new(path: Path) -> bool:
    """Whether the killed child wrote it: what was there before carries an old time."""
    return path.stat().st_mtime > 1_000_000


def _prepare(directory: Path) -> None:
    store = CheckpointStore(directory, attempt=1, keep=3)
    for step in (500, 1000, 1500):
        store.save(step, {"model.bin": b"model %d" % step})
    for path in directory.rglob("*"):
        os.utime(path, (1000, 1000))


def _next_save(directory: Path) -> Checkpoint:
    store = CheckpointStore(directory, attempt=2, keep=3)
    store.resume("latest")
    return store.save(2000, {"model.bin": b"model 2000", "deep": _deep})


def _save_after_rollback(directory: Path) -> Checkpoint:
    store = CheckpointStore(directory, attempt=2, keep=3)
    store.resume("step-00000500")
    return store.save(1000, {"model.bin": b"model 1000 of attempt 2"})


def _deep(path: Path) -> None:
    path.mkdir()
    descriptor = os.open(path / "shard.bin", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"shard")
    os.close(descriptor)


def _deaths(tmp_path: Path, save: Callable[[Path], Checkpoint]) -> Iterator[tuple[Path, Path]]:
    """The directory and the notes of a save that was killed before its first operation, its second, and so on."""
    for number in range(1, 200):
        directory, notes = tmp_path / f"{number}", tmp_path / f"{number}.notes"
        _prepare(directory)
        notes.touch()
        killed = _killed_before(number, lambda where=directory: save(where), notes)  # type: ignore[misc]
        yield directory, notes
        if not killed:
            assert number > 15, "a save is more than a handful of operations"
            return
    pytest.fail("the save never ends")


@pytest.mark.parametrize("power", ["stays", "fails", "fails and renames are undone"])
def test_a_save_killed_before_any_file_operation_loses_nothing_else(tmp_path: Path, power: str) -> None:
    found = None
    for directory, notes in _deaths(tmp_path, _next_save):
        if power != "stays":
            Disk(notes).cut_power(directory, undo_renames="undone" in power)
        found = CheckpointStore(directory, attempt=3).resume("latest")
        assert found is not None
        assert found.order in ((1, 1500), (2, 2000))
        assert found.file("model.bin").read_bytes() == b"model %d" % found.step
        assert not list(directory.glob(".tmp-*"))
    assert found is not None
    assert found.step == 2000, "a save that returned survives"


@pytest.mark.parametrize("power", ["stays", "fails", "fails and renames are undone"])
def test_a_save_that_replaces_one_of_an_earlier_attempt_can_be_killed_anywhere(tmp_path: Path, power: str) -> None:
    found = None
    for directory, notes in _deaths(tmp_path, _save_after_rollback):
        if power != "stays":
            Disk(notes).cut_power(directory, undo_renames="undone" in power)
        found = CheckpointStore(directory, attempt=3).resume("step-00001000")
        assert found is not None
        assert found.order in ((1, 1000), (2, 1000))
        expected = b"model 1000" if found.attempt == 1 else b"model 1000 of attempt 2"
        assert found.file("model.bin").read_bytes() == expected
    assert found is not None
    assert found.attempt == 2, "a save that returned survives"


def test_the_simulated_power_cut_does_tear_what_was_not_synced(tmp_path: Path) -> None:
    """The test above proves nothing unless its power cut would hit a writer without fsync."""
    directory, notes = tmp_path / "careless", tmp_path / "notes"
    directory.mkdir()
    notes.touch()

    def careless() -> None:
        (directory / "step-00000500").mkdir()
        (directory / "step-00000500/model.bin").write_bytes(b"model")

    assert not _killed_before(10_000, careless, notes)
    Disk(notes).cut_power(directory, undo_renames=False)
    assert not (directory / "step-00000500/model.bin").exists()
