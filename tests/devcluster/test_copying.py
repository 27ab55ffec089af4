"""A snapshot of a directory is of one moment, also while a trainer writes; and it is made whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from devcluster.csi import copying, volumes
from devcluster.csi.copying import Copy
from devcluster.csi.volumes import DifferentError, NotFoundError, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "csi", lambda _: None)


def test_all_that_a_directory_holds_is_copied(tmp_path: Path):
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "file").write_bytes(os.urandom(3_000_000))
    (source / "empty").touch()
    (source / "secret").write_text("x")
    (source / "secret").chmod(0o2600)
    (source / "link").symlink_to("deep/er")
    (source / "nowhere").symlink_to("/does/not/exist")
    os.mkfifo(source / "pipe")
    source.chmod(0o777)
    os.utime(source / "empty", ns=(1, 1_000_000_007))
    os.utime(source / "deep", ns=(1, 2_000_000_007))

    assert Copy(source, tmp_path / "target").run()

    assert _picture(tmp_path / "target") == _picture(source)


def test_a_copy_made_while_a_trainer_saves_is_of_one_moment(tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    with _trainer(source, rest=0.2) as saved:
        number = 0
        # However fast copies are here: until the trainer has saved, and deleted, between some of them.
        while number < 10 or len(saved) <= 5:
            number += 1
            before = set(saved)
            target = tmp_path / f"target-{number}"
            assert Copy(source, target).run()
            held = {path.name for path in target.glob("step-*")}
            for path in target.glob("step-*"):
                _verify(path)
            # the newest that was committed before is there, or one that came after it
            assert not before or max(held) >= max(before)
            assert len(held) <= 4


def test_a_writer_that_never_rests_is_copied_in_the_end(tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "committed").write_text("kept")
    with _trainer(source, rest=0):
        Copy(source, tmp_path / "target").run(passes=5)

    assert (tmp_path / "target" / "committed").read_text() == "kept"


def test_a_file_that_becomes_a_directory_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = tmp_path / "source"
    (source / "a").mkdir(parents=True)
    (source / "a" / "inner").write_text("1")
    (source / "b").write_text("2")
    changes = [lambda: _swap(source / "a", source / "b"), lambda: _swap(source / "a", source / "b"), lambda: None]
    listed = Copy._list

    def list_after_change(copy: Copy) -> copying.Listing:
        if changes:
            changes.pop(0)()
        return listed(copy)

    monkeypatch.setattr(Copy, "_list", list_after_change)
    assert Copy(source, tmp_path / "target").run()

    assert _picture(tmp_path / "target") == _picture(source)


def test_a_copy_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(OSError, match="No space left"):
        Copy(source, tmp_path / "target").run()


def test_where_the_file_system_cannot_copy_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(200_000))

    def unable(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", unable)
    assert Copy(source, tmp_path / "target").run()
    assert _picture(tmp_path / "target") == _picture(source)


def test_a_volume_is_snapshotted_emptied_and_restored(store: Store):
    store.create_volume("pvc-1", 1000)
    data = store.volume("pvc-1")
    assert stat.S_IMODE(data.stat().st_mode) == 0o777
    (data / "file").write_text("first")

    about = store.create_snapshot("snapshot-1", "pvc-1")
    (data / "file").write_text("second")
    again = store.create_snapshot("snapshot-1", "pvc-1")
    store.delete_volume("pvc-1")
    store.create_volume("pvc-2", 2000, "snapshot-1")

    assert again == about
    assert (about.capacity, about.source) == (1000, "pvc-1")
    assert (store.volume("pvc-2") / "file").read_text() == "first"
    with pytest.raises(NotFoundError):
        store.volume("pvc-1")
    store.delete_snapshot("snapshot-1")
    assert (store.volume("pvc-2") / "file").read_text() == "first"


def test_every_call_may_be_repeated(store: Store):
    assert store.create_volume("pvc-1", 1000) == store.create_volume("pvc-1", 1000)
    assert store.create_snapshot("snapshot-1", "pvc-1") == store.create_snapshot("snapshot-1", "pvc-1")
    for _ in range(2):
        store.delete_snapshot("snapshot-1")
        store.delete_volume("pvc-1")


def test_what_does_not_fit_is_refused(store: Store):
    store.create_volume("pvc-1", 1000)
    store.create_volume("pvc-2", 1000)
    store.create_snapshot("snapshot-1", "pvc-1")

    with pytest.raises(DifferentError):
        store.create_volume("pvc-1", 2000)
    with pytest.raises(DifferentError):
        store.create_snapshot("snapshot-1", "pvc-2")
    with pytest.raises(NotFoundError):
        store.create_volume("pvc-3", 1000, "snapshot-2")
    with pytest.raises(NotFoundError):
        store.create_snapshot("snapshot-2", "pvc-3")
    for name in ("", ".", "..", "../volumes/pvc-1", ".pvc-1"):
        with pytest.raises(NotFoundError):
            store.delete_volume(name)


def test_what_a_killed_driver_left_is_neither_seen_nor_kept(store: Store, tmp_path: Path):
    for place in ("volumes/.pvc-1", "snapshots/.snapshot-1"):
        (tmp_path / "csi" / place / "data").mkdir(parents=True)

    after = Store(tmp_path / "csi", lambda _: None)

    with pytest.raises(NotFoundError):
        after.volume("pvc-1")
    assert not list((tmp_path / "csi").glob("*/.*"))


def test_a_call_that_is_repeated_while_the_first_still_copies(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.create_volume("pvc-1", 1000)
    (store.volume("pvc-1") / "file").write_text("x")
    runs: list[bool] = []
    entered, proceed = threading.Event(), threading.Event()
    run = Copy.run

    def slow(copy: Copy) -> bool:
        runs.append(True)
        entered.set()
        proceed.wait(30)
        return run(copy)

    monkeypatch.setattr(volumes.Copy, "run", slow)
    results: list[object] = []
    calls = [
        threading.Thread(target=lambda: results.append(store.create_snapshot("snapshot-1", "pvc-1"))) for _ in range(2)
    ]
    for call in calls:
        call.start()
    entered.wait(30)
    proceed.set()
    for call in calls:
        call.join()

    assert len(runs) == 1
    assert results[0] == results[1]


def _picture(root: Path) -> dict[str, object]:
    """Everything that matters of a directory."""
    picture: dict[str, object] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        found = path.lstat()
        content: object = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        picture[str(path.relative_to(root))] = (found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, content)
    return picture


@contextmanager
def _trainer(place: Path, rest: float) -> Iterator[list[str]]:
    """Saves as the trainer's SDK does, and keeps three; yields the names saved so far."""
    saved: list[str] = []
    stop = threading.Event()

    def run() -> None:
        for number in range(1, 10_000):
            if stop.is_set():
                return
            scratch = place / f".tmp-{number}"
            scratch.mkdir()
            sums = {}
            for name in ("model", "optimizer", "normalizer"):
                content = os.urandom(20_000)
                (scratch / name).write_bytes(content)
                sums[name] = hashlib.sha256(content).hexdigest()
            (scratch / "manifest.json").write_text(json.dumps(sums))
            scratch.rename(place / f"step-{number:08d}")
            saved.append(f"step-{number:08d}")
            for old in sorted(place.glob("step-*"))[:-3]:
                shutil.rmtree(old)
            time.sleep(rest)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield saved
    finally:
        stop.set()
        thread.join()


def _verify(checkpoint: Path) -> None:
    for name, expected in json.loads((checkpoint / "manifest.json").read_text()).items():
        assert hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == expected


def _swap(one: Path, other: Path) -> None:
    middle = one.with_name("middle")
    one.rename(middle)
    other.rename(one)
    middle.rename(other)
