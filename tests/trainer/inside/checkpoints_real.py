"""What a checkpoint gives back, and how a resumed training goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from making import CARTPOLE, Made, parameters
from stable_baselines3 import PPO

from accord_trainer.sb3.environments import RATINGS, Ratings
from accord_trainer.sdk import CheckpointError

ENVIRONMENTS = [RATINGS, CARTPOLE]


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_checkpoint_gives_everything_back(tmp_path: Path, environment: str) -> None:
    made = Made(tmp_path, environment)
    made.run()
    again = Made(tmp_path, environment, seed=99).resume()
    assert _same(parameters(again), parameters(made))
    assert again.training.step == 400
    assert again.model._n_updates == made.model._n_updates
    assert again.training._scorer.normalizer.state_dict() == made.training._scorer.normalizer.state_dict()
    assert again.training.metrics.state_dict() == made.training.metrics.state_dict()
    assert again.value("ppo_checkpoint_step") == 400


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("step", [100, 300])
def test_the_same_attempt_goes_on_to_the_bit(tmp_path: Path, environment: str, step: int) -> None:
    whole = Made(tmp_path / "whole", environment)
    whole.run()
    (tmp_path / "broken").mkdir()
    Made(tmp_path / "broken", environment, total_steps=step).run()
    broken = Made(tmp_path / "broken", environment).resume()
    broken.run()
    assert _same(parameters(broken), parameters(whole))
    for series in ("ppo_loss_sum", "ppo_loss_sumsq", "ppo_reward_sum", "ppo_reward_count"):
        assert broken.value(series) == whole.value(series), series


def test_a_later_attempt_goes_on_with_its_own_chance(tmp_path: Path) -> None:
    Made(tmp_path, total_steps=200).run()
    ends = []
    for attempt, seed in ((2, 21), (3, 31)):
        made = Made(tmp_path, attempt=attempt, seed=seed, run_uid="u").resume("step-00000200")
        before = parameters(made)
        made.run()
        assert not _same(before, parameters(made))
        ends.append(parameters(made))
    assert not _same(*ends)


class Sealed(gymnasium.utils.EzPickle, Ratings):
    """An environment that pickles how it was made, not where it is."""

    def __init__(self) -> None:
        gymnasium.utils.EzPickle.__init__(self)
        Ratings.__init__(self)


gymnasium.register(id="Sealed-v0", entry_point=Sealed)


def test_an_environment_that_cannot_be_put_away_begins_a_new_episode(tmp_path: Path) -> None:
    Made(tmp_path, "Sealed-v0", total_steps=200).run()
    assert json.loads((tmp_path / "step-00000200" / "state.json").read_text())["episode"] is None
    made = Made(tmp_path, "Sealed-v0").resume()
    assert made.run()
    assert made.training.step == 400


def test_stable_baselines3_reads_the_model_without_this_package(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.run()
    loaded = PPO.load(tmp_path / "step-00000400" / "model.zip", device="cpu")
    observations = np.random.default_rng(5).normal(size=(200, 40)).astype(np.float32)
    assert (
        loaded.predict(observations, deterministic=True)[0] == made.model.predict(observations, deterministic=True)[0]
    ).all()


def test_a_checkpoint_of_another_environment_is_refused(tmp_path: Path) -> None:
    Made(tmp_path, RATINGS).run()
    with pytest.raises(CheckpointError, match="was trained on accord/Ratings-v0, not CartPole-v1"):
        Made(tmp_path, CARTPOLE).resume()


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    Made(tmp_path).run()
    again = Made(tmp_path).resume()
    before = parameters(again)
    assert again.run()
    assert _same(parameters(again), before)
    assert len(list(tmp_path.glob("step-*"))) == 4
