"""The example in the style of CleanRL, on real PyTorch: it learns, is killed, goes on, and draws anew."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prometheus_client import REGISTRY

from accord_trainer.sdk import CheckpointStore, session
from accord_trainer.sdk.metrics import Metrics

EXAMPLE = Path(os.environ.get("EXAMPLES", "/examples")) / "own-trainer/cleanrl_style.py"


@pytest.fixture(autouse=True)
def nobody_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0)


@pytest.fixture
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("cleanrl_style", EXAMPLE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class KilledError(Exception):
    """The pod is gone."""


def train(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, directory: Path, kill_at: int | None = None, **variables: Any
) -> int | None:
    """One pod; None where it was killed."""
    contract = {
        "ACCORD_RUN_UID": "u-1",
        "ACCORD_SEED": "11",
        "METRICS_PORT": "0",
        "CHECKPOINT_DIR": str(directory),
        "PPO_TOTAL_STEPS": "600",
        "PPO_SAVE_FREQUENCY": "200",
        "PPO_UPDATE_FREQUENCY": "100",
        "REWARD_NORM_ENABLED": "false",
        **{name: str(value) for name, value in variables.items()},
    }
    made: list[Metrics] = []

    def advance(accord: Any, steps: int = 1) -> None:
        forward(accord, steps)
        made.append(accord.metrics)
        if accord.step == kill_at:
            raise KilledError

    forward = session.Session.advance
    with monkeypatch.context() as patch:
        for name, value in contract.items():
            patch.setenv(name, value)
        patch.setattr(session.Session, "advance", advance)
        try:
            return example.main()
        except KilledError:
            return None
        finally:
            REGISTRY.unregister(made[0])


def newest(directory: Path) -> bytes:
    checkpoint = CheckpointStore(directory).latest_verified()
    assert checkpoint is not None
    return checkpoint.file("agent.pt").read_bytes()


def test_killed_it_goes_on_and_a_later_attempt_draws_anew(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert train(example, monkeypatch, tmp_path / "a", kill_at=250) is None
    assert [path.name for path in (tmp_path / "a").glob("step-*")] == ["step-00000200"]
    for name in ("b", "c"):
        (tmp_path / name / "step-00000200").mkdir(parents=True)
        for file in (tmp_path / "a/step-00000200").iterdir():
            (tmp_path / name / "step-00000200" / file.name).write_bytes(file.read_bytes())
    assert train(example, monkeypatch, tmp_path / "a") == 0
    assert train(example, monkeypatch, tmp_path / "b") == 0
    assert train(example, monkeypatch, tmp_path / "c", ACCORD_ATTEMPT=2, ACCORD_SEED=12) == 0
    # The environment begins a new episode with the seed of its step: the same for each pod of an attempt.
    assert newest(tmp_path / "a") == newest(tmp_path / "b")
    assert newest(tmp_path / "a") != newest(tmp_path / "c")


def test_it_learns(example: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rate = {f"PPO_LEARNING_RATE_{end}": 0.001 for end in ("INITIAL", "FINAL")}
    more = {"PPO_TOTAL_STEPS": 8000, "PPO_SAVE_FREQUENCY": 2000, "PPO_UPDATE_FREQUENCY": 500}
    assert train(example, monkeypatch, tmp_path, **rate, **more) == 0
    first, last = (CheckpointStore(tmp_path).load(step).metrics["reward"] for step in (2000, 8000))
    # By chance a pole stands for some 20 steps.
    assert first < 60 < last
