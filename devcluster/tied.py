"""Programs that end with the thread that started them, however that ends: none is left by a test that was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devcluster.errors import DevclusterError


def start(
    command: Sequence[str | Path], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Begin it, with its output at the end of `log`; `env` is all of its environment (default: that of this process).

    DevclusterError where setpriv is missing. setpriv rather than a function run between fork and exec, which is unsafe
    where other threads run.
    """
    with log.open("ab") as out:
        return subprocess.Popen(
            [_setpriv(), "--pdeathsig=KILL", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,  # Ctrl-C in the terminal must not reach them before the test's own cleanup
        )


def _setpriv() -> str:
    found = shutil.which("setpriv", path=os.environ.get("PATH", "") + ":/usr/bin")
    if found is None:
        raise DevclusterError(
            "setpriv is not installed: it ties the cluster's processes to the test; it is in util-linux."
        )
    return found
