"""One build of a thing at a time on this machine."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from devcluster import paths


@contextlib.contextmanager
def one_build(name: str) -> Iterator[None]:
    """Wait for the build of this name that is under way; the kernel gives the lock back however a process ends."""
    folder = paths.cache_dir() / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
