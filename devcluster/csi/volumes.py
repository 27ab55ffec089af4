"""Volumes and snapshots as directories: made whole or not at all, so that every call may be repeated.

volumes/NAME/data        what pods see      snapshots/NAME/data      a copy of it
volumes/NAME/about.json  what was asked for snapshots/NAME/about.json
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from devcluster.csi.copying import Copy


class NotFoundError(Exception):
    """There is no volume or snapshot of this name."""


class DifferentError(Exception):
    """There is one of this name, but not the one that was asked for."""


@dataclass(frozen=True)
class About:
    """What is known of a volume or a snapshot."""

    capacity: int
    """Bytes that the claim asked for; nothing holds anybody to them."""
    source: str
    """The snapshot that a volume was restored from, or the volume that a snapshot is of; empty for a new volume."""
    made: int
    """Nanoseconds since the epoch: a snapshot holds what was written before."""


class Store:
    """All volumes and snapshots. Calls for one of them wait for each other: a call that timed out is repeated while
    the first one still copies.
    """

    def __init__(self, root: Path, say: Callable[[str], None]) -> None:
        self._volumes = root / "volumes"
        self._snapshots = root / "snapshots"
        self._say = say
        self._locks: dict[Path, threading.Lock] = {}
        self._locks_lock = threading.Lock()
        for place in (self._volumes, self._snapshots):
            place.mkdir(parents=True, exist_ok=True)
            for left in place.glob(".*"):  # by a driver that was killed
                shutil.rmtree(left)

    def volume(self, name: str) -> Path:
        """The directory that pods see. Raises NotFoundError."""
        data = _place(self._volumes, name) / "data"
        if not data.is_dir():
            raise NotFoundError(f"there is no volume {name}")
        return data

    def create_volume(self, name: str, capacity: int, snapshot: str = "") -> About:
        """An empty one, or a copy of a snapshot. Raises NotFoundError, DifferentError."""
        place = _place(self._volumes, name)
        with self._alone(place):
            if place.is_dir():
                about = _about(place)
                if (about.capacity, about.source) != (capacity, snapshot):
                    raise DifferentError(f"volume {name} is {about}")
                return about
            return self._make(place, _place(self._snapshots, snapshot) if snapshot else None, capacity)

    def create_snapshot(self, name: str, volume: str) -> About:
        """A copy of what is in the volume now. Raises NotFoundError, DifferentError."""
        place = _place(self._snapshots, name)
        with self._alone(place):
            if place.is_dir():
                about = _about(place)
                if about.source != volume:
                    raise DifferentError(f"snapshot {name} is of volume {about.source}")
                return about
            source = _place(self._volumes, volume)
            if not source.is_dir():
                raise NotFoundError(f"there is no volume {volume}")
            return self._make(place, source, _about(source).capacity)

    def delete_volume(self, name: str) -> None:
        """Nothing to do when it is gone. Its snapshots stay: they are copies."""
        self._delete(_place(self._volumes, name))

    def delete_snapshot(self, name: str) -> None:
        """Nothing to do when it is gone. Volumes that were restored from it stay."""
        self._delete(_place(self._snapshots, name))

    def _make(self, place: Path, source: Path | None, capacity: int) -> About:
        scratch = place.with_name(f".{place.name}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        data = scratch / "data"
        if source is None:
            data.mkdir()
            data.chmod(0o777)  # not by mkdir, which the umask restricts: pods that are not root write here
        else:
            with self._alone(source):
                self._copy(source, data, place.name)
        about = About(capacity, source.name if source is not None else "", time.time_ns())
        (scratch / "about.json").write_text(json.dumps(asdict(about)))
        scratch.rename(place)
        return about

    def _copy(self, source: Path, data: Path, name: str) -> None:
        began = time.monotonic()
        try:
            exact = Copy(source / "data", data).run()
        except FileNotFoundError as problem:
            raise NotFoundError(f"there is no {source.name}") from problem
        how = "" if exact else "; somebody wrote to it all the time, so it is not of one moment"
        self._say(f"copied {source.name} to {name} in {time.monotonic() - began:.2f} s{how}")

    def _delete(self, place: Path) -> None:
        with self._alone(place):
            gone = place.with_name(f".{place.name}")
            shutil.rmtree(gone, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                place.rename(gone)
                shutil.rmtree(gone)

    @contextlib.contextmanager
    def _alone(self, place: Path) -> Iterator[None]:
        with self._locks_lock:
            lock = self._locks.setdefault(place, threading.Lock())
        with lock:
            yield


def _place(folder: Path, name: str) -> Path:
    if not name or "/" in name or name.startswith("."):
        raise NotFoundError(f"{name!r} is no name of a volume or snapshot")
    return folder / name


def _about(place: Path) -> About:
    return About(**json.loads((place / "about.json").read_text()))
