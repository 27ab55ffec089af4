"""What a checkpoint directory looks like after saves, damage, resumes and pruning."""

import errno
import json
import logging
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from accord_trainer.sdk import Checkpoint, CheckpointError, CheckpointStore, Contract, manifest
from accord_trainer.sdk.manifest import FileEntry, read, render, verify


def _save(store: CheckpointStore, *steps: int) -> None:
    for step in steps:
        store.save(step, {"model.bin": b"weights of " + str(step).encode(), "state.json": b"{}"})


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("step-"))


def test_a_saved_checkpoint_says_what_it_holds(tmp_path: Path) -> None:
    contract = Contract(run="demo", run_uid="6f", attempt=3, checkpoint_dir=tmp_path / "new", checkpoint_keep=7)
    store = CheckpointStore.of(contract, {"numpy": "2.4"})
    saved = store.save(500, {"model.bin": b"abc"}, schedule=contract.schedule_values(500), metrics={"reward": 4.5})

    assert saved.path == tmp_path / "new/step-00000500"
    assert store.keep == 7
    content = json.loads((saved.path / "manifest.json").read_text())
    assert content["format"] == 1
    assert (content["run"], content["runUid"], content["attempt"], content["step"]) == ("demo", "6f", 3, 500)
    assert content["schedule"] == {"entropyCoef": 0.01925, "learningRate": pytest.approx(2.98769e-4, rel=1e-5)}
    assert content["metrics"] == {"reward": 4.5}
    assert content["versions"]["numpy"] == "2.4"
    assert content["files"]["model.bin"] == {
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }
    assert store.latest_verified() == store.load(500) == saved
    assert saved.file("model.bin").read_bytes() == b"abc"
    with pytest.raises(CheckpointError, match=r"holds no 'optimizer', only model\.bin"):
        saved.file("optimizer")


def test_a_writer_may_write_a_file_or_a_directory_of_files(tmp_path: Path) -> None:
    def shards(path: Path) -> None:
        (path / "deep").mkdir(parents=True)
        (path / "deep/0.bin").write_bytes(b"0")
        (path / "1.bin").write_bytes(b"1")

    saved = CheckpointStore(tmp_path).save(1, {"a.txt": lambda path: path.write_text("text"), "shards": shards})
    assert sorted(saved.files) == ["a.txt", "shards/1.bin", "shards/deep/0.bin"]
    assert verify(saved.path) == saved


def test_numbers_that_json_does_not_know_survive(tmp_path: Path) -> None:
    metrics = {"reward": math.nan, "loss": math.inf, "lowest": -math.inf}
    CheckpointStore(tmp_path).save(1, {"a": b""}, metrics=metrics)
    found = CheckpointStore(tmp_path).load(1).metrics
    assert math.isnan(found["reward"])
    assert (found["loss"], found["lowest"]) == (math.inf, -math.inf)
    json.loads((tmp_path / "step-00000001/manifest.json").read_text(), parse_constant=pytest.fail)


def test_steps_of_more_than_eight_digits_are_ordered_by_number(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    _save(store, 99_999_999, 100_000_000)
    assert store.latest_verified() == store.load(100_000_000)


def _truncate(path: Path) -> None:
    file = path / "model.bin"
    file.write_bytes(file.read_bytes()[:-1])


def _flip(name: str) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        content = bytearray((path / name).read_bytes())
        content[len(content) // 2] ^= 1
        (path / name).write_bytes(content)

    return flip


def _rename_step(path: Path) -> None:
    path.rename(path.with_name("step-00009999"))


def _link(path: Path) -> None:
    content = (path / "model.bin").read_bytes()
    (path / "model.bin").unlink()
    (path.parent / "elsewhere").write_bytes(content)
    (path / "model.bin").symlink_to(path.parent / "elsewhere")


def _only(key: str, value: object) -> Callable[[Path], None]:
    """A manifest by somebody who writes no checksum."""

    def change(path: Path) -> None:
        content = json.loads((path / "manifest.json").read_text())
        del content["checksum"]
        content[key] = value
        (path / "manifest.json").write_text(json.dumps(content))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "step-00001500/model.bin has 14 bytes, the manifest says 15"),
        (_flip("model.bin"), "step-00001500/model.bin is damaged: its sha256"),
        (_flip("manifest.json"), "step-00001500/manifest.json "),
        (lambda path: (path / "manifest.json").unlink(), "step-00001500 has no manifest.json: it was never completed"),
        (lambda path: (path / "manifest.json").write_text("[]"), "step-00001500/manifest.json is damaged"),
        (lambda path: (path / "manifest.json").write_text(""), "step-00001500/manifest.json cannot be read"),
        (lambda path: (path / "state.json").unlink(), "step-00001500/state.json is missing"),
        (_rename_step, "step-00009999/manifest.json is damaged"),
        (_link, "step-00001500/model.bin "),
        (_only("format", 2), "format 2 is not known here"),
        (_only("files", {}), "it names no files"),
        (_only("files", {"../../etc/passwd": {"sha256": "", "size": 1}}), "is not a file of this checkpoint"),
    ],
)
def test_a_damaged_checkpoint_is_skipped_with_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], message: str
) -> None:
    _save(CheckpointStore(tmp_path), 500, 1000, 1500)
    damage(tmp_path / "step-00001500")
    store = CheckpointStore(tmp_path)
    with caplog.at_level(logging.WARNING):
        found = store.resume("latest")
    assert found is not None
    assert found.step == 1000
    assert message in caplog.text
    assert "falling back to the one before" in caplog.text
    with pytest.raises(CheckpointError):
        store.load(1500)


def test_a_flipped_bit_anywhere_in_a_manifest_is_noticed_or_harmless(tmp_path: Path) -> None:
    saved = CheckpointStore(tmp_path).save(7, {"a": b"1"}, metrics={"reward": 1.5})
    path = saved.path / "manifest.json"
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 4]) + good[position + 1 :])
        try:
            found = verify(saved.path)
        except CheckpointError:
            continue
        assert found == saved


def test_files_that_the_manifest_does_not_name_are_ignored(tmp_path: Path) -> None:
    saved = CheckpointStore(tmp_path).save(1, {"a": b"1"})
    (saved.path / ".nfs000000").write_text("left by a file server")
    assert verify(saved.path) == saved


def test_a_manifest_without_checksum_is_accepted(tmp_path: Path) -> None:
    saved = CheckpointStore(tmp_path).save(1, {"a": b"1"})
    _only("attempt", 1)(saved.path)
    assert read(saved.path) == saved
    content = json.loads((saved.path / "manifest.json").read_text())
    del content["claim"], content["runUid"]
    (saved.path / "manifest.json").write_text(json.dumps({**content, "attempt": 7}))
    assert read(saved.path).order == (7, 1)


def test_nothing_there_means_from_scratch(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "missing")
    assert store.latest_verified() is None
    assert not store.directory.exists()
    assert store.resume("latest") is None
    assert store.resume("") is None
    with pytest.raises(CheckpointError, match="step-00000500 has no manifest"):
        store.load(500)


def test_resume_follows_resume_from(tmp_path: Path) -> None:
    _save(CheckpointStore(tmp_path, attempt=1), 500, 1000, 1500)

    def resumed(resume_from: str) -> int | None:
        found = CheckpointStore(tmp_path, attempt=2).resume(resume_from)
        return None if found is None else found.step

    assert resumed("latest") == 1500
    assert resumed("") is None
    assert resumed("step-00001000") == 1000
    _truncate(tmp_path / "step-00001000")
    assert resumed("step-00001000") == 500
    _truncate(tmp_path / "step-00000500")
    with pytest.raises(CheckpointError, match="neither it nor one before it verifies"):
        resumed("step-00001000")
    with pytest.raises(CheckpointError, match="RESUME_FROM='step-5' is neither 'latest' nor"):
        resumed("step-5")


def test_after_a_rollback_the_later_attempt_is_newer_though_its_steps_are_lower(tmp_path: Path) -> None:
    _save(CheckpointStore(tmp_path, attempt=1), 500, 1000, 1500, 2000)
    rolled_back = CheckpointStore(tmp_path, attempt=2)
    assert rolled_back.resume("step-00000500") is not None
    rolled_back.save(1000, {"model.bin": b"another model"})

    third = CheckpointStore(tmp_path, attempt=3).resume("latest")
    assert third is not None
    assert (third.attempt, third.step) == (2, 1000)
    assert third.file("model.bin").read_bytes() == b"another model"
    # What it replaced is set aside, what it has not reached yet is untouched.
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".superseded-step-00001000-")]
    assert _names(tmp_path) == ["step-00000500", "step-00001000", "step-00001500", "step-00002000"]


def test_a_restarted_pod_of_a_rolled_back_attempt_goes_on_with_its_own(tmp_path: Path) -> None:
    _save(CheckpointStore(tmp_path, run_uid="6f", attempt=1), 500, 1000, 1500)
    first_pod = CheckpointStore(tmp_path, run_uid="6f", attempt=2)
    first_pod.resume("step-00000500")
    _save(first_pod, 1000)
    found = CheckpointStore(tmp_path, run_uid="6f", attempt=2).resume("step-00000500")
    assert found is not None
    assert (found.attempt, found.step) == (2, 1000)


def test_an_earlier_attempt_is_fenced_off(tmp_path: Path) -> None:
    zombie = CheckpointStore(tmp_path, attempt=1)
    _save(zombie, 500)
    CheckpointStore(tmp_path, attempt=2).resume("latest")
    with pytest.raises(
        CheckpointError, match=r"attempt 2 of run unnamed has taken over .*: this attempt 1 .* must stop"
    ):
        _save(zombie, 1000)
    with pytest.raises(CheckpointError, match="attempt 2 of run unnamed has taken over"):
        CheckpointStore(tmp_path, attempt=1).resume("latest")
    assert _names(tmp_path) == ["step-00000500"]
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_run_made_anew_on_the_same_volume_goes_on_from_the_one_before(tmp_path: Path) -> None:
    """Its attempts count from 1 again, but its checkpoints are the newer ones."""
    _save(CheckpointStore(tmp_path, run="demo", run_uid="old", attempt=3, keep=2), 500, 1000)
    anew = CheckpointStore(tmp_path, run="demo", run_uid="new", attempt=1, keep=2)
    resumed = anew.resume("latest")
    assert resumed is not None
    assert resumed.step == 1000
    _save(anew, 1500, 2000)
    assert _names(tmp_path) == ["step-00001500", "step-00002000"]
    CheckpointStore(tmp_path, run="other", run_uid="other", attempt=1).claim()
    with pytest.raises(CheckpointError, match="attempt 1 of run other has taken over"):
        _save(anew, 2500)


def test_a_lost_claim_is_made_up_for_from_the_manifests(tmp_path: Path) -> None:
    for attempt in (1, 2, 3):
        _save(CheckpointStore(tmp_path, attempt=attempt), 500 * attempt)
    (tmp_path / ".claim").write_text("torn")
    _save(CheckpointStore(tmp_path, attempt=4), 100)
    found = CheckpointStore(tmp_path).latest_verified()
    assert found is not None
    assert found.order == (4, 100)


def test_saving_the_same_step_twice_writes_once(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    first = store.save(500, {"a": b"1"})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert store.save(500, {"a": b"2"}) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("resume_from", ["latest", "step-00000500"])
def test_saving_where_one_resumed_writes_nothing(tmp_path: Path, resume_from: str) -> None:
    first = CheckpointStore(tmp_path, attempt=1).save(500, {"a": b"1"})
    store = CheckpointStore(tmp_path, attempt=2)
    assert store.resume(resume_from) == first
    assert store.save(500, {"a": b"2"}) == first
    assert verify(first.path) == first
    assert not list(tmp_path.glob(".superseded-*"))


def test_leftovers_of_dead_writers_are_cleared_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".tmp-step-00000500-1-abc").mkdir(parents=True)
    (tmp_path / ".tmp-step-00000500-1-abc/half").write_bytes(b"x")
    (tmp_path / ".tmp-claim-1").write_text("1")
    CheckpointStore(tmp_path).latest_verified()
    assert len(list(tmp_path.iterdir())) == 2, "a reader changes nothing"
    CheckpointStore(tmp_path).resume("latest")
    assert [path.name for path in tmp_path.iterdir()] == [".claim"]


def test_a_failed_writer_leaves_what_was_there(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    _save(store, 500)

    def broken(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match=r"step 1000 cannot be written: .*No space left on device"):
        store.save(1000, {"model": broken})
    with pytest.raises(KeyError):
        store.save(1000, {"model": lambda path: {}[path]})
    with pytest.raises(CheckpointError, match="add a suffix"):
        store.save(1000, {"model": lambda path: path.with_suffix(".zip").write_bytes(b"")})
    with pytest.raises(CheckpointError, match="is not a regular file"):
        store.save(1000, {"model": lambda path: path.symlink_to("/etc/hostname")})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".claim", "step-00000500"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "manifest.json"])
def test_names_that_cannot_be_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        CheckpointStore(tmp_path).save(1, {name: b""})


def test_what_cannot_be_a_checkpoint_is_refused(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    with pytest.raises(ValueError, match="at least one file"):
        store.save(1, {})
    with pytest.raises(ValueError, match="cannot be negative"):
        store.save(-1, {"a": b""})
    with pytest.raises(ValueError, match="at least 1, not 0"):
        CheckpointStore(tmp_path, keep=0)


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"the checkpoint directory .*/file cannot be used"):
        CheckpointStore(tmp_path / "file").save(1, {"a": b""})


def test_the_newest_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=3)
    _save(store, 1, 2, 3, 4, 5)
    assert _names(tmp_path) == ["step-00000003", "step-00000004", "step-00000005"]


def test_protected_steps_are_kept_too(tmp_path: Path) -> None:
    _save(CheckpointStore(tmp_path, keep=9), 1, 2, 3, 4, 5)
    gone = CheckpointStore(tmp_path, keep=2).prune(protect={2})
    assert [path.name for path in gone] == ["step-00000001", "step-00000003"]
    assert _names(tmp_path) == ["step-00000002", "step-00000004", "step-00000005"]


def test_damaged_checkpoints_do_not_count_as_kept(tmp_path: Path) -> None:
    _save(CheckpointStore(tmp_path, keep=9), 1, 2, 3, 4)
    _truncate(tmp_path / "step-00000003")
    _flip("model.bin")(tmp_path / "step-00000004")
    CheckpointStore(tmp_path, keep=2).prune()
    assert _names(tmp_path) == ["step-00000001", "step-00000002", "step-00000003", "step-00000004"]
    CheckpointStore(tmp_path, keep=1).prune()
    assert _names(tmp_path) == ["step-00000002", "step-00000003", "step-00000004"]


def test_without_a_verified_checkpoint_nothing_is_deleted(tmp_path: Path) -> None:
    _save(CheckpointStore(tmp_path, keep=9), 1, 2, 3)
    for step in (1, 2, 3):
        _flip("model.bin")(tmp_path / f"step-0000000{step}")
    assert CheckpointStore(tmp_path, keep=1).prune() == []
    assert len(_names(tmp_path)) == 3


def test_damaged_and_superseded_ones_go_when_they_are_older_than_all_that_is_kept(tmp_path: Path) -> None:
    _save(CheckpointStore(tmp_path, attempt=1, keep=9), 1, 2, 3)
    _truncate(tmp_path / "step-00000001")
    second = CheckpointStore(tmp_path, attempt=2, keep=2)
    second.resume("")
    _save(second, 2, 3)
    assert len(list(tmp_path.glob(".superseded-*"))) == 2
    assert "step-00000001" not in _names(tmp_path)
    _save(second, 4, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".claim", "step-00000004", "step-00000005"]


def test_a_checkpoint_set_aside_without_a_successor_comes_back(tmp_path: Path) -> None:
    _save(CheckpointStore(tmp_path, attempt=1), 500)
    (tmp_path / "step-00000500").rename(tmp_path / ".superseded-step-00000500-0a1b2c3d")
    found = CheckpointStore(tmp_path, attempt=2).resume("latest")
    assert found is not None
    assert found.step == 500


def test_a_manifest_is_the_same_for_the_same_checkpoint(tmp_path: Path) -> None:
    checkpoint = Checkpoint(path=tmp_path, step=1, attempt=1, files={"b": FileEntry("x", 1), "a": FileEntry("y", 2)})
    assert render(checkpoint) == render(checkpoint)
    assert list(json.loads(render(checkpoint))["files"]) == ["a", "b"]


def _refuse_directories(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_file_system_that_syncs_no_directories_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _refuse_directories(monkeypatch, errno.EINVAL)
    assert CheckpointStore(tmp_path).save(1, {"a": b"1"}) == CheckpointStore(tmp_path).latest_verified()


def test_a_disk_that_fails_to_sync_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CheckpointStore(tmp_path).save(1, {"a": b"1"})
    store = CheckpointStore(tmp_path)
    store.resume("latest")
    _refuse_directories(monkeypatch, errno.EIO)
    with pytest.raises(CheckpointError, match=r"step 2 cannot be written: .*Input/output error"):
        store.save(2, {"a": b"2"})
    assert store.latest_verified() == store.load(1)


def test_old_checkpoints_that_cannot_be_deleted_do_not_fail_a_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    _save(store, 1)
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "step-00000001":
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    _save(store, 2)
    assert _names(tmp_path) == ["step-00000001", "step-00000002"]
    assert "cannot be deleted: [Errno 1] Operation not permitted" in caplog.text


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = CheckpointStore(tmp_path).save(1, {"a": b"1"})

    def fail(_path: Path) -> FileEntry:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(manifest, "file_entry", fail)
    with pytest.raises(CheckpointError, match=r"step-00000001/a cannot be read: .*Input/output error"):
        verify(saved.path)
