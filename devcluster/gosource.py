"""Files from the source of Go modules, for what is not a program: CRDs, schemas and protocol definitions."""

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
    return _download(paths.TOOLS / tool, module)


def released(module: str, version: str) -> Path:
    """Where the source of a version of `module` is that no program is built from.

    Downloaded when Go's cache does not have it, and checked against Go's checksum database. Raises DevclusterError.
    """
    return _download(paths.TOOLS, f"{module}@{version}")


def _download(directory: Path, module: str) -> Path:
    done = subprocess.run(
        [programs.go_program(), "mod", "download", "-json", module],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DevclusterError(f"go mod download {module} failed: {(done.stderr or done.stdout).strip()}")
    return Path(json.loads(done.stdout)["Dir"])
