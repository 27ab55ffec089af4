"""The environment of users who rate is one that Gymnasium takes for an environment."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env

from accord_trainer.sb3 import episode
from accord_trainer.sb3.environments import RATINGS


def test_gymnasium_finds_nothing_wrong_with_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(spec|render|infinity).*")
        check_env(gymnasium.make(RATINGS).unwrapped, skip_render_check=True)


def test_it_has_the_shape_of_the_mission() -> None:
    environment = gymnasium.make(RATINGS)
    observation, _ = environment.reset(seed=1)
    assert observation.shape == (40,)
    assert environment.action_space.n == 60
    _, reward, terminated, truncated, _ = environment.step(7)
    assert reward in (1.0, 2.0, 3.0, 4.0, 5.0)
    assert (terminated, truncated) == (True, False)


def test_an_environment_put_away_goes_on_with_the_very_next_step() -> None:
    environment = gymnasium.make("CartPole-v1")
    environment.reset(seed=4)
    environment.step(0)
    frozen = episode.freeze(environment, "beside")
    assert frozen is not None
    again, beside = episode.thaw(frozen)
    assert beside == "beside"
    for action in (1, 0, 1):
        np.testing.assert_array_equal(again.step(action)[0], environment.step(action)[0])
    np.testing.assert_array_equal(again.reset()[0], environment.reset()[0])
