"""Showing a volume to a pod: a bind mount. All of this may be repeated at any point."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from pathlib import Path

_LOCK = threading.Lock()


class MountError(Exception):
    """The kernel refused; the text is what mount or umount said."""


def show(source: Path, target: Path, readonly: bool) -> None:
    """`source` appears at `target`. Raises MountError."""
    with _LOCK:
        if not mounted(target):
            target.mkdir(parents=True, exist_ok=True)
            _run("mount", "--bind", str(source), str(target))
        if readonly:  # also when it was mounted: the driver may have been killed in between
            _run("mount", "--options", "remount,bind,ro", str(target))


def hide(target: Path) -> None:
    """Nothing is at `target` any more. Raises MountError."""
    with _LOCK:
        while mounted(target):
            _run("umount", str(target))
        with contextlib.suppress(FileNotFoundError):
            target.rmdir()


def mounted(target: Path) -> bool:
    """Whether something is mounted there. `os.path.ismount` does not see a bind mount within one file system."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4].replace("\\040", " ") == str(target) for line in lines)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MountError(f"{' '.join(command)}: {done.stderr.strip()}")
