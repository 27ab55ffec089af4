"""Copies a directory that somebody may be writing to.

A snapshot of a disk is of one moment. A copy takes a while, and what it sees may never have been there at once. So it
is repeated, only what changed, until a whole pass sees no change: then it is what was there at each moment of that
pass. A writer that never rests gets the last pass, which may hold half of one of its writes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PASSES = 100
"""A pass after the first takes milliseconds; a trainer writes for less than a second and rests for longer."""
TICK = 0.02
"""Seconds, more than the step of the clock that older kernels stamp files with: of what was written less than that
before it was looked at, a later change might not show.
"""
BLOCK = 64 * 1024 * 1024
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR)
"""What the kernel says of a file that was deleted, or has become something else, since the directory was read."""
NO_SHORT_WAY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What it says where a file system cannot copy by itself."""


@dataclass(frozen=True)
class Entry:
    """What tells whether a file is still the same."""

    mode: int
    inode: int
    owner: tuple[int, int]
    size: int
    modified: int
    changed: int
    """Nanoseconds; no program can set this one back."""


Listing = dict[str, Entry]
"""Path below the directory → entry; `.` is the directory itself."""


@dataclass
class Copy:
    """A directory and its copy, which is brought nearer with each pass."""

    source: Path
    target: Path
    _copied: Listing = field(default_factory=dict)

    def run(self, passes: int = PASSES) -> bool:
        """Whether the copy is of one moment. The target must not exist. FileNotFoundError without a source."""
        self.target.mkdir()
        exact = False
        listed, seen = time.time_ns(), self._list()
        for _ in range(passes):
            self._bring_over(seen)
            before, settled = seen, _newest(seen) + TICK * 1e9 < listed
            listed, seen = time.time_ns(), self._list()
            exact = settled and seen == before and len(self._copied) == len(seen) - 1
            if exact:
                break
            if seen == before:
                time.sleep(TICK)
        self._finish(before)
        return exact

    def _list(self) -> Listing:
        listing = {".": _entry(self.source.lstat())}
        waiting = [self.source]
        while waiting:
            # a directory that went away since its parent was read is one that the next pass does not see
            with _unless_gone(), os.scandir(waiting.pop()) as found:
                for each in found:
                    with _unless_gone():
                        entry = _entry(each.stat(follow_symlinks=False))
                        listing[os.path.relpath(each.path, self.source)] = entry
                        if stat.S_ISDIR(entry.mode):
                            waiting.append(Path(each.path))
        return listing

    def _bring_over(self, seen: Listing) -> None:
        stale = [path for path, entry in self._copied.items() if seen.get(path) != entry]
        for path in sorted(stale, reverse=True):  # what is in a directory before the directory
            entry = self._copied[path]
            now = seen.get(path)
            if stat.S_ISDIR(entry.mode) and now is not None and stat.S_ISDIR(now.mode):
                continue  # still a directory: only something in it changed
            _remove(self.target / path)
            del self._copied[path]
        for path in sorted(seen):  # a directory before what is in it
            if path != "." and self._copied.get(path) != seen[path]:
                with _unless_gone():
                    _copy(self.source / path, self.target / path, seen[path])
                    self._copied[path] = seen[path]

    def _finish(self, seen: Listing) -> None:
        """Times of directories last: to put something into one changes them."""
        for path in sorted(seen, reverse=True):
            entry = seen[path]
            if stat.S_ISDIR(entry.mode) and (path == "." or path in self._copied):
                _dress(self.target / path, entry)


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno not in GONE:
            raise


def _newest(listing: Listing) -> int:
    return max(entry.changed for entry in listing.values())


def _entry(found: os.stat_result) -> Entry:
    size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
    owner = (found.st_uid, found.st_gid)
    return Entry(found.st_mode, found.st_ino, owner, size, found.st_mtime_ns, found.st_ctime_ns)


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _copy(source: Path, target: Path, entry: Entry) -> None:
    if stat.S_ISDIR(entry.mode):
        target.mkdir(exist_ok=True)
        return
    if stat.S_ISLNK(entry.mode):
        target.symlink_to(source.readlink())
    elif stat.S_ISREG(entry.mode):
        _copy_file(source, target)
    elif stat.S_ISFIFO(entry.mode):
        os.mkfifo(target)
    else:
        return  # sockets and devices hold no data
    _dress(target, entry)


def _copy_file(source: Path, target: Path) -> None:
    """Shares the blocks where the file system can do that."""
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _copy_content(reading, writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_content(reading: int, writing: int) -> None:
    try:
        while os.copy_file_range(reading, writing, BLOCK):
            pass
    except OSError as problem:
        if problem.errno not in NO_SHORT_WAY:
            raise
        with open(reading, "rb", closefd=False) as source, open(writing, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target)


def _dress(target: Path, entry: Entry) -> None:
    """Owner, mode and time, in this order: a new owner takes special bits of the mode away."""
    os.chown(target, *entry.owner, follow_symlinks=False)
    if not stat.S_ISLNK(entry.mode):
        target.chmod(stat.S_IMODE(entry.mode))
    os.utime(target, ns=(entry.modified, entry.modified), follow_symlinks=False)
