"""Environments side by side in one process, with the usual normalizations, for the loops of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from tests.bench.corpus.record.environments import World
from tests.bench.corpus.record.planned import Settings

Array = NDArray[Any]
LIMIT = 10.0
"""What is normalized is clipped to so many standard deviations."""


class Moments:
    """Mean and variance of all that was seen so far (Chan's way of adding batches)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean = np.zeros(shape)
        self.variance = np.ones(shape)
        self._count = 1e-4

    def add(self, batch: Array) -> None:
        """A batch of values was seen."""
        mean, variance, count = batch.mean(0), batch.var(0), len(batch)
        total = self._count + count
        apart = mean - self.mean
        spread = self.variance * self._count + variance * count + apart**2 * self._count * count / total
        self.mean = self.mean + apart * count / total
        self.variance = spread / total
        self._count = total


@dataclass(frozen=True)
class Stepped:
    """What one step of all environments gave. An environment whose episode ended is already in its next one."""

    observations: Array
    rewards: Array
    terminated: Array
    truncated: Array
    last: dict[int, Array]
    """The last observation of each episode that was cut short, to value what would have followed."""


class Fleet:
    """The environments of a run."""

    def __init__(self, world: World, settings: Settings, seed: int) -> None:
        self._envs = [world.make() for _ in range(settings.environments)]
        self._settings = settings
        self._seed = seed
        self.size = int(np.prod(self._envs[0].observation_space.shape))
        space = self._envs[0].action_space
        self.discrete = isinstance(space, spaces.Discrete)
        self.actions = int(space.n) if self.discrete else int(np.prod(space.shape))
        self._space = space
        self._seen = Moments((self.size,))
        self._paid = Moments(())
        self._discounted = np.zeros(settings.environments)

    def reset(self) -> Array:
        """The first observations."""
        first = [env.reset(seed=self._seed + index)[0] for index, env in enumerate(self._envs)]
        return self._normalized(np.stack(first), learn=True)

    def step(self, actions: Array) -> Stepped:
        """All environments make a step."""
        count = len(self._envs)
        seen = np.empty((count, self.size), np.float32)
        rewards, terminated, truncated = np.empty(count), np.zeros(count, bool), np.zeros(count, bool)
        last = {}
        chosen = actions if self.discrete else np.clip(actions, self._space.low, self._space.high)
        for index, env in enumerate(self._envs):
            seen[index], rewards[index], terminated[index], truncated[index], _ = env.step(chosen[index])
            if terminated[index] or truncated[index]:
                if truncated[index]:
                    last[index] = self._normalized(seen[index], learn=False)
                seen[index], _ = env.reset()
        ended = terminated | truncated
        return Stepped(self._normalized(seen, learn=True), self._scaled(rewards, ended), terminated, truncated, last)

    def _normalized(self, seen: Array, *, learn: bool) -> Array:
        if not self._settings.normalize_observations:
            return seen
        if learn:
            self._seen.add(seen)
        normal = (seen - self._seen.mean) / np.sqrt(self._seen.variance + 1e-8)
        return np.clip(normal, -LIMIT, LIMIT).astype(np.float32)

    def _scaled(self, rewards: Array, ended: Array) -> Array:
        if not self._settings.normalize_rewards:
            return rewards
        self._discounted = self._discounted * self._settings.gamma + rewards
        self._paid.add(self._discounted)
        self._discounted[ended] = 0.0
        return np.clip(rewards / np.sqrt(self._paid.variance + 1e-8), -LIMIT, LIMIT)
