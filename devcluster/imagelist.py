"""Which images there are, built here and in the cluster, and how they are removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from devcluster import commands, imagebuild, paths, programs
from devcluster.errors import DevclusterError

HEADINGS = ("IMAGE", "BUILT HERE", "IN CLUSTER")


class Image(NamedTuple):
    """One image by its name."""

    name: str
    archive: Path | None
    """What the newest build of it made; None where it was not built here."""
    in_cluster: bool


def images() -> list[Image]:
    """All of them by name. Those in the cluster only while it runs."""
    built = {name: archive for name, _, archive in _built()}
    loaded = set(_in_cluster())
    return [Image(name, built.get(name), name in loaded) for name in sorted({*built, *loaded})]


def table(found: Iterable[Image]) -> str:
    """A line for each image, the headings first."""
    rows = [HEADINGS, *((each.name, _size(each.archive), "yes" if each.in_cluster else "no") for each in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def remove(names: Sequence[str]) -> None:
    """Removes images from the cluster and what was built of them here. DevclusterError for a name that is unknown."""
    known = {each.name: each for each in images()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DevclusterError(f"no such image: {', '.join(unknown)}; list them with: python3 -m devcluster images")
    for name in names:
        if known[name].in_cluster:
            _ctr("rm", "--sync", name)
    # Which mark is of which image is not known; an image that is loaded once more than needed costs a second.
    shutil.rmtree(paths.state_dir() / "loaded", ignore_errors=True)
    for name, note, archive in _built():
        if name in names:
            archive.unlink(missing_ok=True)
            note.unlink(missing_ok=True)


def _built() -> Iterator[tuple[str, Path, Path]]:
    """Name, note and archive of what was built and is still there."""
    for note in sorted((paths.cache_dir() / "images").glob("*.json")):
        try:
            said = json.loads(note.read_text())
            name, archive = str(said["tag"]), note.with_name(str(said["archive"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if archive.exists():
            yield name, note, archive


def _in_cluster() -> list[str]:
    """Names alone: containerd lists an image by its digest too."""
    if not imagebuild.containerd_socket().exists():
        return []
    return [name for name in _ctr("ls", "--quiet").split() if not name.startswith("sha256:") and "@sha256:" not in name]


def _ctr(*arguments: str) -> str:
    return commands.run(
        str(programs.path("ctr")),
        *("--address", str(imagebuild.containerd_socket())),
        *("--namespace=k8s.io", "images", *arguments),
    )


def _size(archive: Path | None) -> str:
    return "no" if archive is None else f"{archive.stat().st_size / 2**20:.0f} MiB"
