"""What a serving pod is told to serve, it serves; or it ends with a sentence that says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accord_trainer.sdk import CheckpointError, CheckpointStore, ContractError, serving
from accord_trainer.sdk.manifest import MANIFEST


def volume(directory: Path, *steps: int) -> Path:
    """A trainer's volume, with a file that says its step in each checkpoint."""
    for step in steps:
        CheckpointStore(directory).save(step, {"model.zip": f"model of {step}".encode(), "tree": tree})
    return directory


def tree(path: Path) -> None:
    path.mkdir()
    (path / "leaf.txt").write_text("leaf")


def serve(directory: Path, step: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as an init container runs it."""
    return subprocess.run(
        [sys.executable, "-m", "accord_trainer.serve", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(serving.__file__).parents[2]),
            "CHECKPOINT_DIR": str(directory),
            "CHECKPOINT_STEP": step,
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_step_that_it_is_told_counts_and_a_newer_one_beside_it_does_not(tmp_path: Path) -> None:
    volume(tmp_path, 500, 1000)
    found = serving.served({"CHECKPOINT_DIR": str(tmp_path), "CHECKPOINT_STEP": "500"})
    assert found is not None
    assert (found.step, found.file("model.zip").read_bytes()) == (500, b"model of 500")


@pytest.mark.parametrize("step", ["", "0"])
def test_before_the_first_checkpoint_there_is_none(step: str, tmp_path: Path) -> None:
    assert serving.served({"CHECKPOINT_DIR": str(tmp_path), "CHECKPOINT_STEP": step}) is None
    assert serving.served({}) is None
    done = serve(tmp_path, step, "--to", str(tmp_path / "model"))
    assert (done.returncode, done.stdout) == (0, "no checkpoint is served yet\n")


def test_the_checkpoint_itself_may_be_what_is_mounted(tmp_path: Path) -> None:
    mounted = (volume(tmp_path / "v", 500) / "step-00000500").rename(tmp_path / "mounted")
    assert serving.find(mounted, 500).step == 500
    with pytest.raises(CheckpointError, match="it says step 500"):
        serving.find(mounted, 1000)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CHECKPOINT_STEP": "500"}, "CHECKPOINT_DIR is not set"),
        ({"CHECKPOINT_STEP": "latest", "CHECKPOINT_DIR": "/"}, "CHECKPOINT_STEP='latest' is not the step"),
        ({"CHECKPOINT_STEP": "-1", "CHECKPOINT_DIR": "/"}, "CHECKPOINT_STEP='-1' is not the step"),
        ({"CHECKPOINT_STEP": "9" * 5000, "CHECKPOINT_DIR": "/"}, "is not the step"),
    ],
)
def test_variables_that_say_nothing_are_named(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ContractError, match=words):
        serving.served(environment)


ACCIDENTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "never completed": (lambda path: (path / MANIFEST).unlink(), "has no manifest.json"),
    "cut off": (lambda path: (path / "model.zip").write_bytes(b"m"), "model.zip has 1 bytes"),
    "a flipped bit": (lambda path: (path / "model.zip").write_bytes(b"model of 501"), "model.zip is damaged"),
    "elsewhere": (lambda path: path.rename(path.with_name("step-00000400")), "no step-00000500, only step-00000400"),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_what_does_not_verify_is_not_served_and_the_newer_one_neither(accident: str, tmp_path: Path) -> None:
    volume(tmp_path, 500)
    damage, words = ACCIDENTS[accident]
    damage(tmp_path / "step-00000500")
    volume(tmp_path, 1000)
    done = serve(tmp_path, "500", "--to", str(tmp_path / "model"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cannot be served: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "model").exists()


def test_the_command_leaves_that_checkpoint_alone_where_the_service_looks(tmp_path: Path) -> None:
    source, to = volume(tmp_path / "volume", 500, 1000), tmp_path / "model"
    for _ in range(2):
        done = serve(source, "500", "--to", str(to))
        assert (done.returncode, done.stdout) == (0, f"step 500 of attempt 1 verified: {to}\n")
    assert sorted(path.name for path in to.iterdir()) == [MANIFEST, "model.zip", "tree"]
    assert (to / "model.zip").read_bytes() == b"model of 500"
    assert (to / "tree" / "leaf.txt").read_text() == "leaf"
    assert serving.find(to, 500).step == 500
    assert serve(source, "1000", "--to", str(to)).returncode == 1, "what is there is not exchanged"
    assert serve(source, "500").stdout == f"step 500 of attempt 1 verified: {source / 'step-00000500'}\n"


def test_a_copy_that_was_cut_short_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, to = volume(tmp_path / "volume", 500), tmp_path / "model"
    checkpoint, copied = serving.find(source, 500), serving.shutil.copyfile

    def full(source: Path, target: Path) -> object:
        if source.name == MANIFEST:
            raise OSError("no space left on device")
        return copied(source, target)

    monkeypatch.setattr(serving.shutil, "copyfile", full)
    with pytest.raises(CheckpointError, match=r"step-00000500 cannot be copied to .*: no space left"):
        serving.copy(checkpoint, to)
    assert not (to / MANIFEST).exists()
    monkeypatch.setattr(serving.shutil, "copyfile", copied)
    assert serving.copy(checkpoint, to).step == 500
    assert not list(to.rglob(".tmp-*"))
