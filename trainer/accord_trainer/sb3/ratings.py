"""A service that users rate from 1 to 5, as numbers: which answer pleases which user, and how much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STATE_DIM = 40
ACTION_DIM = 60
LOWEST, HIGHEST = 1, 5
_TRAITS = 3  # of the 40 features of a user, this many directions matter
_MOOD = 0.5  # standard deviation of what no policy can foresee
_WORLD = 2026  # the same users and answers in every process: what was learnt before a break stays true after it


class Users:
    """Users with 40 features, and what they think of 60 answers.

    A rating is 3, plus how good the answer is for anybody, plus how well it fits this user, plus a mood, in whole
    stars. A policy that gives everybody the same best answer gains much, but not all.
    """

    def __init__(self) -> None:
        world = np.random.default_rng(_WORLD)
        self._traits = world.normal(size=(STATE_DIM, _TRAITS)) / np.sqrt(STATE_DIM)
        answers = world.normal(size=(_TRAITS, ACTION_DIM))
        self._answers = answers / np.linalg.norm(answers, axis=0)
        self._quality = world.normal(scale=0.8, size=ACTION_DIM)

    def state(self, chance: np.random.Generator) -> NDArray[np.float32]:
        """The features of a user who comes by, each standard normal."""
        return chance.normal(size=STATE_DIM).astype(np.float32)

    def expected(self, state: NDArray[np.float32]) -> NDArray[np.float64]:
        """For each answer, the rating before mood and rounding."""
        traits = np.asarray(state, dtype=np.float64) @ self._traits
        return np.asarray(3.0 + self._quality + traits @ self._answers)

    def rating(self, state: NDArray[np.float32], action: int, chance: np.random.Generator) -> float:
        """What this user says of that answer: 1.0, 2.0, 3.0, 4.0 or 5.0."""
        stars = round(float(self.expected(state)[action] + chance.normal(scale=_MOOD)))
        return float(min(max(stars, LOWEST), HIGHEST))
