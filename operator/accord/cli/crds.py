"""`accord crds`: the CustomResourceDefinitions, printed, written to a directory, or compared with one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TextIO

from accord.api.crd import files


def print_crds(stream: TextIO) -> None:
    """Writes all CRDs as one YAML stream, for `accord crds | kubectl apply --server-side -f -`."""
    stream.write("---\n".join(files().values()))


def write_crds(directory: Path) -> list[Path]:
    """Writes one file a kind into `directory`, which is made where it is missing, and returns those that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in files().items():
        path = directory / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def check_crds(directory: Path) -> str:
    """The difference between the files in `directory` and what the models say, as a unified diff; empty when none.

    A CRD file of our group that no kind stands for any more is part of the difference.
    """
    wanted = {directory / name: text for name, text in files().items()}
    stale = {path: "" for path in sorted(directory.glob("accord.dev_*.yaml")) if path not in wanted}
    diff: list[str] = []
    for path, text in (wanted | stale).items():
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        diff += difflib.unified_diff(
            found.splitlines(keepends=True), text.splitlines(keepends=True), str(path), "what the models say"
        )
    return "".join(diff)
