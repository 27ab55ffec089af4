"""What is there for demonstrations: a fault on purpose, and a pace that can be watched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.trainer.rig import PATIENCE, TrainerImage, ended

QUICK = {
    "PPO_UPDATE_FREQUENCY": 250,
    "PPO_N_EPOCHS": 10,
    "PPO_LEARNING_RATE_INITIAL": 0.001,
    "PPO_LEARNING_RATE_FINAL": 0.0003,
}
CASES = {
    "CartPole-v1": {**QUICK, "REWARD_NORM_ENABLED": "false"},
    "accord/Ratings-v0": QUICK,
}


def _rewards(checkpoints: Path) -> dict[int, float]:
    """Mean return since the checkpoint before, by step."""
    manifests = (json.loads((path / "manifest.json").read_text()) for path in sorted(checkpoints.glob("step-*")))
    return {
        manifest["step"]: manifest["metrics"]["reward"] for manifest in manifests if "reward" in manifest["metrics"]
    }


@pytest.mark.parametrize("environment", CASES)
def test_a_disturbed_policy_collapses(trainer: TrainerImage, checkpoints: Path, environment: str) -> None:
    settings = {**CASES[environment], "PPO_TOTAL_STEPS": 6500, "ACCORD_SEED": 3}
    with ended(trainer.start(checkpoints, "--env", environment, "--disturb-at=5000", **settings)) as attempt:
        assert attempt.finish() == 0, attempt.said
    assert "FAULT ON PURPOSE: the policy's weights were disturbed at step 5000" in attempt.said
    rewards = _rewards(checkpoints)
    before = [value for step, value in rewards.items() if 4000 < step <= 5000]
    after = [value for step, value in rewards.items() if step > 5500]
    print(environment, before, after)
    assert max(after) < 0.65 * min(before), rewards


def test_a_paced_training_can_be_watched_and_still_stops(trainer: TrainerImage, checkpoints: Path) -> None:
    with ended(trainer.start(checkpoints, "--steps-per-second=0.5", PPO_UPDATE_FREQUENCY=50)) as attempt:
        attempt.wait(lambda series: series.get("ppo_training_step", 0) >= 1)
        # Two seconds a step: it hears the signal between two of them.
        attempt.process.terminate()
        assert attempt.process.wait(PATIENCE) == 143
    assert "told to stop at step" in attempt.said


def test_a_pace_that_is_none_is_refused(trainer: TrainerImage, checkpoints: Path) -> None:
    with ended(trainer.start(checkpoints, ACCORD_STEPS_PER_SECOND="-3")) as attempt:
        assert attempt.process.wait(PATIENCE) == 2
    assert "is not a number greater than 0" in attempt.said
