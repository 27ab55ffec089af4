"""A build that is killed half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from devcluster.waiting import wait_for


def kill_while_building(code: str, cache: Path, what: str) -> None:
    """Runs `code`, which builds into `cache`, until there are scratch files of `what`."""
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL)
    wait_for("the build to begin", lambda: any(cache.glob(f"programs/.building-{what}-*")), seconds=30, every=0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
