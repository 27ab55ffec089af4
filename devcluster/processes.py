"""Finding and ending the processes of the cluster, whoever started them and whatever pid files survived.

A process is ours when its environment carries our marker (everything that the node starts inherits it) or when it is
in our cgroup (what runs in pods). Signals go through a pidfd that is checked again after it was opened, so that a
number that was given to another process meanwhile is never hit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from devcluster import settings
from devcluster.errors import DevclusterError

PROC = Path("/proc")


def ours() -> list[int]:
    """Process ids, in ascending order; zombies are not counted."""
    return sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and is_ours(int(entry.name)))


def is_ours(pid: int) -> bool:
    """By marker or by cgroup."""
    try:
        if (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return False
        environment = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        if f"{settings.MARKER}={settings.NAME}".encode() in environment:
            return True
        groups = (PROC / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(f"{line.split(':', 2)[2]}/".startswith(f"/{settings.CGROUP}/") for line in groups if line.count(":") > 1)


def of_other_clusters() -> bool:
    """Whether a cluster of another name runs on this machine."""
    own = f"{settings.MARKER}={settings.NAME}".encode()
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                for variable in (entry / "environ").read_bytes().split(b"\0"):
                    if variable.startswith(f"{settings.MARKER}=".encode()) and variable != own:
                        return True
    return False


def kill_all(seconds: float = 30) -> int:
    """SIGKILL all of them, again and again until none is left; how many there were at first."""
    deadline = time.monotonic() + seconds
    found = first = ours()
    while found:
        for pid in found:
            _kill(pid)
        time.sleep(0.05)
        found = ours()
        if found and time.monotonic() > deadline:
            raise DevclusterError(f"these processes of the cluster do not end, even by SIGKILL: {found}")
    return len(first)


def describe(pid: int) -> str:
    """A short name for messages."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:80].strip()
    except OSError:
        return str(pid)


def _kill(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if is_ours(pid):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)
