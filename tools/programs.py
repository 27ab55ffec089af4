"""Programs that the checks call. Go programs are those that `devcluster` builds, in the versions it pins."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from devcluster.progress import Progress

from devcluster import commands, preflight, programs

ROOT = Path(__file__).resolve().parent.parent


class CommandError(Exception):
    """A program failed; the message is the command and what it said."""


def run(command: Sequence[str | Path], *, input: str | None = None) -> str:  # noqa: A002 - as subprocess calls it
    """Standard output of `command`, run in the root of the repository. Raises CommandError."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, input=input, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CommandError(f"{' '.join(map(str, command))}\n{(done.stdout + done.stderr).strip()}")
    return done.stdout


def go_program(name: str) -> Path:
    """A program of the devcluster's build, built now if it is missing."""
    if not programs.path(name).exists():
        programs.ensure([name], Progress())
    return programs.path(name)


def debian_program(name: str, package: str) -> str:
    """A program of a Debian package, installed where it is missing and that is possible. Raises DevclusterError."""
    preflight.install([preflight.Requirement(name, package, lambda: commands.find(name) is not None)])
    return str(commands.find(name))
