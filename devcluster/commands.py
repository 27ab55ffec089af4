"""Running other programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from devcluster.errors import DevclusterError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(program: str) -> str | None:
    """Where a program is, also when /usr/sbin is not on the PATH of the user."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def run(*command: str, log: Path | None = None, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run to the end and return its stdout; with `log`, all output goes to that file instead."""
    program = find(command[0])
    if program is None:
        raise DevclusterError(f"the program {command[0]} is not installed")
    if log is None:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False, env=env, cwd=cwd)
        said = done.stderr.strip() or done.stdout.strip()
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            out.write(f"\n$ {' '.join(command)}\n".encode())
            out.flush()
            done = subprocess.run(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                env=env,
                cwd=cwd,
            )
        said = f"{last_line(log)} (whole log: {log})"
    if done.returncode != 0:
        raise DevclusterError(f"{' '.join(command[:3])} failed: {said}")
    return done.stdout or ""


def last_line(log: Path) -> str:
    """The last line that says something."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
