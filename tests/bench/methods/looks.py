"""The log of looks at the half of the corpus that nobody built on: each one wears it out a little."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.methods.recorded import CORPUS

LOG = CORPUS / "LOOKS.md"
_HEAD = """# Looks at the half to judge by

Written by the programs that look, one line each time. A rule is frozen before it meets these runs.

| when | commit | what was run | what came of it |
| --- | --- | --- | --- |
"""


def commit() -> str:
    """What is checked out, and whether anything differs from it."""
    named = _git("rev-parse", "--short", "HEAD")
    return f"{named}, with changes" if _git("status", "--porcelain", "--untracked-files=no") else named


def note(what: str, result: str, log: Path = LOG) -> None:
    """One more line."""
    if not log.exists():
        log.write_text(_HEAD, encoding="utf-8")
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    with log.open("a", encoding="utf-8") as file:
        file.write(f"| {when} | {commit()} | {what} | {result} |\n")


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=CORPUS.parent, capture_output=True, text=True, check=True
    ).stdout.strip()
