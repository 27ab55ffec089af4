"""Gymnasium environments: any by its id, and the one of users who rate, `accord/Ratings-v0`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

from accord_trainer.sb3.ratings import ACTION_DIM, STATE_DIM, Users
from accord_trainer.sb3.scoring import Scorer

RATINGS = "accord/Ratings-v0"


class Ratings(gymnasium.Env):
    """One user, one answer, one rating: an episode is one step long."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (STATE_DIM,), np.float32)
    action_space = gymnasium.spaces.Discrete(ACTION_DIM)

    def __init__(self) -> None:
        self._users = Users()
        self._state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The next user comes."""
        super().reset(seed=seed, options=options)
        self._state = self._users.state(self.np_random)
        return self._state, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The user rates the answer and goes."""
        rating = self._users.rating(self._state, int(action), self.np_random)
        return self._state.copy(), rating, True, False, {}


gymnasium.register(id=RATINGS, entry_point=Ratings)


class ScoredEnvironment(VecEnvWrapper):
    """Hands the policy normalized rewards. stable-baselines3's VecNormalize knows no window and is in no checkpoint."""

    def __init__(self, venv: DummyVecEnv, scorer: Scorer) -> None:
        super().__init__(venv)
        self._scorer = scorer

    @property
    def single(self) -> gymnasium.Env:
        """The environment itself."""
        return self.venv.envs[0]

    @property
    def generator(self) -> np.random.Generator:
        """What the environment draws its chance from."""
        generator: np.random.Generator = self.single.unwrapped.np_random
        return generator

    def adopt(self, environment: gymnasium.Env) -> None:
        """Go on with this environment, in the state it is in, instead of the one that was made."""
        self.venv.envs[0] = environment

    def reset(self) -> Any:
        """A first observation."""
        self._scorer.begin()
        return self.venv.reset()

    def step_wait(self) -> Any:
        """A step of the environment."""
        observations, rewards, dones, infos = self.venv.step_wait()
        scored = self._scorer.score((float(each) for each in rewards), (bool(each) for each in dones))
        return observations, np.array(scored, dtype=np.float32), dones, infos


def make(name: str, scorer: Scorer) -> ScoredEnvironment:
    """The environment of a Gymnasium id; `package.module:Name-v0` imports the module first.

    gymnasium.error.Error or ImportError if there is none or it cannot be made.
    """
    return ScoredEnvironment(DummyVecEnv([lambda: gymnasium.make(name)]), scorer)


def policy_for(environment: ScoredEnvironment) -> str:
    """The kind of network of stable-baselines3 that suits what the environment shows."""
    space = environment.observation_space
    if isinstance(space, gymnasium.spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image_space(space) else "MlpPolicy"
