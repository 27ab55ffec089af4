"""What an image is made of: the Dockerfile, its arguments, and the files that it copies."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

IGNORED = {"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules"}


def key(dockerfile: Path, context: Path, arguments: dict[str, str], tag: str, base: str) -> str:
    """A key of everything that goes into an image; `base` names what it is built on."""
    digest = hashlib.sha256(repr((tag, sorted(arguments.items()), base, os.uname().machine)).encode())
    digest.update(dockerfile.read_bytes())
    ignore = context / ".dockerignore"
    digest.update(ignore.read_bytes() if ignore.exists() else b"")
    for path in sorted(set(_inputs(dockerfile, context))):
        digest.update(f"\0{path.relative_to(context)} {path.stat().st_mode & 0o777}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def pulled(dockerfile: Path) -> list[str]:
    """The images that a Dockerfile is built from and that are neither a stage of it nor an argument."""
    stages = {"scratch"}
    found = []
    for line in re.findall(r"^FROM\s+(.+)$", dockerfile.read_text(), re.MULTILINE | re.IGNORECASE):
        words = [word for word in line.split() if not word.startswith("--")]
        if words[0] not in stages and not words[0].startswith(("$", "localhost/")):
            found.append(words[0])
        if len(words) == 3 and words[1].upper() == "AS":
            stages.add(words[2])
    return found


def _inputs(dockerfile: Path, context: Path) -> Iterator[Path]:
    """The files that the Dockerfile copies from its context."""
    text = dockerfile.read_text().replace("\\\n", " ")
    for line in re.findall(r"^(?:COPY|ADD)\s+(.+)$", text, re.MULTILINE):
        words = line.split()
        if any(word.startswith("--from=") for word in words):
            continue
        for source in [word for word in words if not word.startswith("--")][:-1]:
            for match in context.glob(source.strip("/") or ".") if source not in (".", "./") else [context]:
                yield from _files(match)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in IGNORED and not name.endswith(".egg-info"))
        for name in sorted(names):
            file = Path(folder) / name
            if not name.endswith(".pyc") and file.is_file():
                yield file
