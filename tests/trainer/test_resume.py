"""The trainer is killed again and again: what it learns is what it would have learnt without that."""

from __future__ import annotations

import json
import random
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.trainer.rig import TrainerImage, ended, learnt, newest

KILLS = 10
STEPS = 10_000
SAVE_INTERVAL = 500
CARTPOLE = {"REWARD_NORM_ENABLED": "false", "PPO_TOTAL_STEPS": STEPS, "ACCORD_SEED": 7}


def _sums(checkpoint: Path) -> dict[str, Any]:
    """Sums, sums of squares and counts of all losses and returns so far."""
    metrics: dict[str, Any] = json.loads((checkpoint / "state.json").read_text())["metrics"]
    return {name: metrics[name] for name in ("loss", "reward")}


@pytest.fixture(scope="module")
def unbroken(trainer: TrainerImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of a run that nobody disturbed."""
    directory = tmp_path_factory.mktemp("unbroken") / "checkpoints"
    with ended(trainer.start(directory, "--env", "CartPole-v1", **CARTPOLE)) as attempt:
        assert attempt.finish() == 0, attempt.said
    return newest(directory)


@pytest.mark.timeout(3600)
def test_ten_kills_at_random_steps_change_nothing(trainer: TrainerImage, checkpoints: Path, unbroken: Path) -> None:
    # Given ten steps at which the pod dies; without a seed, so that every run of this test is another one
    chance = random.SystemRandom()
    # Far enough from the end for a busy machine to see it before the trainer is done.
    deaths = sorted(chance.sample(range(200, STEPS - 4 * SAVE_INTERVAL), KILLS))
    print(f"killed at {deaths}")
    expected = 0
    for death in deaths:
        with ended(trainer.start(checkpoints, "--env", "CartPole-v1", **CARTPOLE)) as attempt:
            # When it has got there
            reached = attempt.wait(lambda series, step=death: series.get("ppo_training_step", 0) >= step)
            assert attempt.end(signal.SIGKILL) == -signal.SIGKILL
        # Then it had started from the newest checkpoint, with at most one save interval lost
        assert attempt.began == expected
        committed = [int(path.name[5:]) for path in checkpoints.glob("step-*")]
        expected = max(committed, default=0)
        assert reached["ppo_training_step"] - expected <= SAVE_INTERVAL
    with ended(trainer.start(checkpoints, "--env", "CartPole-v1", **CARTPOLE)) as attempt:
        assert attempt.finish() == 0, attempt.said
    # And at the end parameters and optimizer are those of the unbroken run, to the bit
    assert newest(checkpoints).name == unbroken.name == "step-00010000"
    assert learnt(newest(checkpoints)) == learnt(unbroken)
    # And so is every loss and every return on the way: no jump at any seam
    assert _sums(newest(checkpoints)) == _sums(unbroken)


def test_a_pod_that_is_asked_to_go_saves_first(trainer: TrainerImage, checkpoints: Path, unbroken: Path) -> None:
    # Given a save interval that is far away
    rare = {**CARTPOLE, "PPO_SAVE_FREQUENCY": 4000}
    with ended(trainer.start(checkpoints, "--env", "CartPole-v1", **rare)) as attempt:
        attempt.wait(lambda series: series.get("ppo_training_step", 0) >= 1700)
        # When the pod is told to end
        assert attempt.end(signal.SIGTERM) == 143
    # Then the last update before is saved, and the end is that of the unbroken run
    with ended(trainer.start(checkpoints, "--env", "CartPole-v1", **rare)) as attempt:
        assert attempt.finish() == 0, attempt.said
    assert attempt.began >= 1500
    assert learnt(newest(checkpoints)) == learnt(unbroken)


def _truncate(checkpoint: Path) -> None:
    model = checkpoint / "model.zip"
    model.write_bytes(model.read_bytes()[:-100])


def _lose_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()


def _flip(checkpoint: Path) -> None:
    policy = bytearray((checkpoint / "policy.npz").read_bytes())
    policy[len(policy) // 2] ^= 1
    (checkpoint / "policy.npz").write_bytes(policy)


def test_torn_checkpoints_are_skipped_with_a_message(trainer: TrainerImage, checkpoints: Path) -> None:
    # Given five checkpoints, of which the newest three are torn in three ways
    short = {"PPO_TOTAL_STEPS": 500, "PPO_UPDATE_FREQUENCY": 100, "PPO_SAVE_FREQUENCY": 100}
    with ended(trainer.start(checkpoints, "--env", "accord/Ratings-v0", **short)) as attempt:
        assert attempt.finish() == 0, attempt.said
    for step, tear in ((500, _truncate), (400, _lose_manifest), (300, _flip)):
        tear(checkpoints / f"step-{step:08d}")
    # When it starts again
    with ended(trainer.start(checkpoints, "--env", "accord/Ratings-v0", **short)) as attempt:
        assert attempt.finish() == 0, attempt.said
    # Then it goes on from the newest that is whole, and says why not from the others
    assert attempt.began == 200
    warnings = [line for line in attempt.said.splitlines() if line.startswith("WARNING")]
    for pattern in (
        r"step-00000500/model\.zip has \d+ bytes, the manifest says \d+; falling back",
        r"step-00000400\b.*manifest",
        r"step-00000300/policy\.npz",
    ):
        assert any(re.search(pattern, line) for line in warnings), (pattern, warnings)
