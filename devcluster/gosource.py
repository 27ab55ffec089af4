"""Files from the source of Go modules that `tools/` pins, for what is not a program: CRDs and protocol definitions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from devcluster import paths, programs
from devcluster.errors import DevclusterError


def folder(tool: str, module: str) -> Path:
    """Where the source of `module` is, in the version that the folder `tool` of `tools/` pins.

    Downloaded when Go's cache does not have it, and checked against go.sum. Raises DevclusterError.
    """
    done = subprocess.run(
        [programs.go_program(), "mod", "download", "-json", module],
        cwd=paths.TOOLS / tool,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DevclusterError(f"go mod download {module} failed: {(done.stderr or done.stdout).strip()}")
    return Path(json.loads(done.stdout)["Dir"])
