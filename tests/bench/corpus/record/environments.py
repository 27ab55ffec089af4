"""The environments of the corpus, and the faults that sit in them.

An environment is known by a name of the corpus: that of Gymnasium, with `/small` behind it where all rewards are
scaled to a thousandth, and `/heavy` where a few episodes' rewards are many times those of the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FlattenObservation, TimeLimit
from tests.bench.corpus.record.events import Events
from tests.bench.corpus.record.newcomers import Catch, Gather, Queue, Shop, SwingUp

from accord_trainer.sb3.ratings import ACTION_DIM, STATE_DIM, Users

SMALL = 0.001
SESSION = 20
"""Answers that a user of the second service of ratings gets before the session ends."""


class Ratings(gymnasium.Env):
    """`accord/Ratings-v0`: one user, one answer, one rating. Without stable-baselines3, which its own module needs."""

    observation_space = spaces.Box(-np.inf, np.inf, (STATE_DIM,), np.float32)
    action_space = spaces.Discrete(ACTION_DIM)

    def __init__(self) -> None:
        self._users = Users()
        self._state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._state = self._users.state(self.np_random)
        return self._state, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        rating = self._users.rating(self._state, int(action), self.np_random)
        return self._state.copy(), rating, True, False, {}


class RatingSessions(Ratings):
    """Another world of users, who come for a session of many answers; a rating counts from the middle, -2 to 2."""

    def __init__(self, world: int = 7) -> None:
        super().__init__()
        chance = np.random.default_rng(world)
        directions, answers = self._users._traits.shape[1], self._users._quality.size
        self._users._traits = chance.normal(size=(STATE_DIM, directions)) / np.sqrt(STATE_DIM)
        drawn = chance.normal(size=(directions, answers))
        self._users._answers = 1.5 * drawn / np.linalg.norm(drawn, axis=0)
        self._users._quality = chance.normal(scale=0.5, size=answers)
        self._given = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._given = 0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        rating = self._users.rating(self._state, int(action), self.np_random)
        self._given += 1
        self._state = self._users.state(self.np_random)
        return self._state, rating - 3.0, self._given == SESSION, False, {}


class Held(gymnasium.Wrapper):
    """Each action is held for some steps, without which MountainCarContinuous hardly ever reaches its flag."""

    def __init__(self, env: gymnasium.Env, times: int) -> None:
        super().__init__(env)
        self._times = times

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        total = 0.0
        for _ in range(self._times):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class Rescaled(gymnasium.Wrapper):
    """Rewards scaled: by one number, or by one drawn for each episode from a distribution with a heavy tail."""

    def __init__(self, env: gymnasium.Env, scale: float, spread: float = 0.0) -> None:
        super().__init__(env)
        self._scale, self._spread = scale, spread
        self._now = scale

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**options)
        if self._spread:
            self._now = self._scale * float(np.exp(self._spread * self.env.unwrapped.np_random.normal()))
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, self._now * float(reward), terminated, truncated, info


class Watched(gymnasium.Wrapper):
    """Reports steps and true returns, and carries the faults of environment and reward.

    Outside of it are normalizations only, so what it reports is what a person would call the return.
    """

    def __init__(self, env: gymnasium.Env, world: World, events: Events, seed: int) -> None:
        super().__init__(env)
        self._world = world
        self._events = events
        self._return = 0.0
        self._chance = np.random.default_rng(seed)
        self._size = 1.0
        self._observe: Callable[[Any], Any] = _as_float
        self._discrete = isinstance(env.action_space, spaces.Discrete)
        self._act: Callable[[Any], Any] = int if self._discrete else _possible
        self._pay: Callable[[float], float] = float
        self.observation_space = spaces.Box(-np.inf, np.inf, env.observation_space.shape, np.float32)

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**options)
        self._return = 0.0
        return self._observe(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._world.before_step()
        self._events.stepped()
        observation, reward, terminated, truncated, info = self.env.step(self._act(action))
        paid = float(reward)
        self._return += paid
        self._size += 0.001 * (abs(paid) - self._size)
        if terminated or truncated:
            self._events.episode(self._return)
            self._return = 0.0
        return self._observe(observation), self._pay(paid), terminated, truncated, info

    def action_masks(self) -> Any:
        """Which actions make sense now, for a trainer that wants to know; Taxi tells, and elsewhere all do."""
        world = self.unwrapped
        if hasattr(world, "action_mask"):
            return np.asarray(world.action_mask(world.s), bool)
        return np.ones(int(self.env.action_space.n), bool)

    def break_reward(self, how: str) -> None:
        """From now on the policy is paid something else than what is reported."""
        self._pay = {
            "sign": lambda paid: -paid,
            "noise": lambda paid: float(paid + 10 * self._size * self._chance.normal()),
            "zero": lambda paid: 0.0,
        }[how]

    def break_environment(self, how: str, strength: float) -> None:
        """From now on the policy sees or does something else, or the world is another one."""
        if how == "physics" and not _change_physics(self.unwrapped, strength):
            how = "permuted"
        size = int(np.prod(self.observation_space.shape))
        # All environments of a run change alike, whatever each draws beside it.
        order = np.random.default_rng(size).permutation(size)
        if how == "permuted":
            self._observe = lambda seen: np.asarray(seen, np.float32)[order]
        elif how == "negated":
            self._observe = lambda seen: -np.asarray(seen, np.float32)
        elif how == "noise":
            self._observe = lambda seen: (seen + strength * self._chance.normal(size=np.shape(seen))).astype(np.float32)
        elif how == "actions" and self._discrete:
            count = int(self.env.action_space.n)
            self._act = lambda action: (int(action) + 1) % count
        elif how == "actions":
            self._act = lambda action: -_possible(action)


def _as_float(seen: Any) -> Any:
    return np.asarray(seen, np.float32)


def _possible(action: Any) -> Any:
    # A policy that is not a number any more still has to act.
    return np.nan_to_num(action)


def _change_physics(world: Any, strength: float) -> bool:
    """Whether the world has something that can be changed."""
    if hasattr(world, "model"):
        world.model.opt.gravity[:] *= strength
        world.model.actuator_gear[:] /= strength
    elif hasattr(world, "force_mag"):
        world.force_mag *= strength
        world.gravity *= strength
    elif hasattr(world, "LINK_MASS_1"):
        world.LINK_MASS_1 *= strength
        world.LINK_MASS_2 *= strength
    elif hasattr(world, "max_torque"):
        world.g *= strength
    elif hasattr(world, "goal_position"):
        world.gravity = getattr(world, "gravity", 0.0025) * 1.3
        world.power = getattr(world, "power", 0.0015) / strength
    else:
        return False
    return True


def _named(name: str, **options: Any) -> Callable[[], gymnasium.Env]:
    def make() -> gymnasium.Env:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.make(name, disable_env_checker=True, **options)

    return make


@dataclass(frozen=True)
class Place:
    """An environment of the corpus."""

    make: Callable[[], gymnasium.Env]
    folder: str
    half: str
    discrete: bool
    one_hot: bool = False


PLACES = {
    "CartPole-v1": Place(_named("CartPole-v1"), "cartpole", "build", discrete=True),
    "Acrobot-v1": Place(_named("Acrobot-v1"), "acrobot", "build", discrete=True),
    "Pendulum-v1": Place(_named("Pendulum-v1"), "pendulum", "build", discrete=False),
    "MountainCarContinuous-v0": Place(
        lambda: Held(_named("MountainCarContinuous-v0")(), 8), "mountaincarcontinuous", "build", discrete=False
    ),
    "FrozenLake-v1": Place(_named("FrozenLake-v1"), "frozenlake", "build", discrete=True, one_hot=True),
    "LunarLander-v3": Place(_named("LunarLander-v3"), "lunarlander", "build", discrete=True),
    "Hopper-v5": Place(_named("Hopper-v5"), "hopper", "build", discrete=False),
    "accord/Ratings-v0": Place(Ratings, "ratings", "build", discrete=True),
    "MountainCar-v0": Place(_named("MountainCar-v0"), "mountaincar", "judge", discrete=True),
    "Taxi-v4": Place(_named("Taxi-v4"), "taxi", "judge", discrete=True, one_hot=True),
    "CliffWalking-v1": Place(
        lambda: TimeLimit(_named("CliffWalking-v1")(), 100), "cliffwalking", "judge", discrete=True, one_hot=True
    ),
    "Blackjack-v1": Place(_named("Blackjack-v1"), "blackjack", "judge", discrete=True, one_hot=True),
    "LunarLanderContinuous-v3": Place(
        _named("LunarLanderContinuous-v3"), "lunarlandercontinuous", "judge", discrete=False
    ),
    "BipedalWalker-v3": Place(_named("BipedalWalker-v3"), "bipedalwalker", "judge", discrete=False),
    "HalfCheetah-v5": Place(_named("HalfCheetah-v5"), "halfcheetah", "judge", discrete=False),
    "InvertedPendulum-v5": Place(_named("InvertedPendulum-v5"), "invertedpendulum", "judge", discrete=False),
    "InvertedDoublePendulum-v5": Place(
        _named("InvertedDoublePendulum-v5"), "inverteddoublependulum", "judge", discrete=False
    ),
    "Reacher-v5": Place(_named("Reacher-v5"), "reacher", "judge", discrete=False),
    "Swimmer-v5": Place(_named("Swimmer-v5"), "swimmer", "judge", discrete=False),
    "RatingSessions": Place(RatingSessions, "ratingsessions", "judge", discrete=True),
}

NEWCOMERS = {
    "Walker2d-v5": Place(_named("Walker2d-v5"), "walker2d", "judge", discrete=False),
    "Pusher-v5": Place(_named("Pusher-v5"), "pusher", "judge", discrete=False),
    "CartPole-v0": Place(_named("CartPole-v0"), "cartpole-v0", "judge", discrete=True),
    "CliffWalkingSlippery-v1": Place(
        lambda: TimeLimit(_named("CliffWalkingSlippery-v1")(), 100), "cliffslippery", "judge", True, one_hot=True
    ),
    "Catch": Place(Catch, "catch", "judge", discrete=True),
    "Gather": Place(Gather, "gather", "judge", discrete=True),
    "SwingUp": Place(SwingUp, "swingup", "judge", discrete=True),
    "Queue": Place(Queue, "queue", "judge", discrete=True),
    "Shop": Place(Shop, "shop", "judge", discrete=True),
}
"""Those of the runs that were recorded last."""


def place_of(environment: str) -> Place:
    """The environment of a name, whatever its rewards are scaled to."""
    return (PLACES | NEWCOMERS)[environment.removesuffix("/small").removesuffix("/heavy")]


class World:
    """Makes the environments of one run, and breaks them all at once when that fault is due."""

    def __init__(self, environment: str, events: Events, seed: int) -> None:
        self._environment = environment
        self._events = events
        self._seed = seed
        self._made: list[Watched] = []

    def make(self) -> Watched:
        """An environment with observations in one flat array, watched."""
        env = place_of(self._environment).make()
        if self._environment.endswith("/small"):
            env = Rescaled(env, SMALL)
        if self._environment.endswith("/heavy"):
            env = Rescaled(env, 1.0, spread=1.5)
        if not isinstance(env.observation_space, spaces.Box):
            env = FlattenObservation(env)
        watched = Watched(env, self, self._events, self._seed + len(self._made))
        self._made.append(watched)
        return watched

    def before_step(self) -> None:
        """Called by each environment before each of its steps."""
        fault = self._events.due("environment", "reward")
        if fault is None:
            return
        for each in self._made:
            if fault.kind == "reward":
                each.break_reward(fault.how)
            else:
                each.break_environment(fault.how, fault.strength)
