"""CRD files: printed, written to a directory, compared with one."""

from __future__ import annotations

import difflib
from pathlib import Path

from accord.api.crd import crd, files
from accord.api.v1alpha1 import KINDS
from accord.cli.documents import content
from accord.cli.errors import unreadable, unwritable
from accord.cli.printer import Format, Printer, Table


def print_crds(printer: Printer, form: Format = "yaml") -> None:
    """All CRDs: as one YAML stream, for `accord crds | kubectl apply --server-side -f -`, as a List, or as a table."""
    if form == "yaml":
        printer.text("---\n".join(files().values()))
        return
    items = [crd(kind) for kind in KINDS]
    if form == "json":
        printer.data({"apiVersion": "v1", "kind": "List", "items": items}, form)
        return
    rows = [
        (
            each["metadata"]["name"],
            each["spec"]["names"]["kind"],
            ",".join(each["spec"]["names"]["shortNames"]),
            ",".join(version["name"] for version in each["spec"]["versions"]),
        )
        for each in items
    ]
    printer.blocks([Table([("NAME", "KIND", "SHORT NAMES", "VERSIONS"), *rows])])


def write_crds(directory: Path) -> list[Path]:
    """Writes one file a kind into `directory`, which is made where it is missing, and returns those that changed.
    CommandError where that cannot be done.
    """
    changed = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files().items():
            path = directory / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                changed.append(path)
    except OSError as error:
        raise unwritable(error.filename or directory, error) from error
    return changed


def check_crds(directory: Path) -> str:
    """The difference between the files in `directory` and what the models say, as a unified diff; empty when none.

    A CRD file of our group that no kind stands for any more is part of the difference. InputError for a directory that
    is not there.
    """
    try:
        there = {directory / path.name for path in directory.iterdir()}
    except OSError as error:
        raise unreadable(directory, error) from error
    wanted = {directory / name: text for name, text in files().items()}
    stale = {path: "" for path in sorted(there) if path.match("accord.dev_*.yaml") and path not in wanted}
    diff: list[str] = []
    for path, text in (wanted | stale).items():
        found = content(path).decode(errors="replace") if path in there else ""
        diff += difflib.unified_diff(
            found.splitlines(keepends=True), text.splitlines(keepends=True), str(path), "what the models say"
        )
    return "".join(diff)
