"""Runs the files of `inside/` with the Python, PyTorch and stable-baselines3 of the trainer's image."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.trainer.rig import TrainerImage

INSIDE = Path(__file__).parent / "inside"
FILES = sorted(path.name for path in INSIDE.glob("*_real.py"))


@pytest.mark.parametrize("file", FILES)
def test_with_real_pytorch(trainer: TrainerImage, file: str) -> None:
    done = trainer.pytest(INSIDE, file)
    print(done.stdout.splitlines()[-1] if done.stdout else "")
    assert done.returncode == 0, f"{file} failed in the trainer's image:\n{done.stdout}{done.stderr}"
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_there_is_something_to_run() -> None:
    assert FILES
