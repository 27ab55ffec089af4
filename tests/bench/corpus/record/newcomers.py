"""Environments of the runs that were recorded last, when there was a rule to be judged by them once more.

Nothing was built on any of them. Beside Gymnasium's own there are a few games and shops that fit a page: small
counts, rewards of 1 and -1, costs with a heavy tail, and a profit that crosses zero.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Catch(gymnasium.Env):
    """A ball falls down a board, the paddle below is moved by one: 1 where it is caught, otherwise -1, as in bsuite."""

    rows, columns = 10, 5
    observation_space = spaces.Box(0.0, 1.0, (50,), np.float32)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._ball, self._row, self._paddle = int(self.np_random.integers(self.columns)), 0, self.columns // 2
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._paddle = int(np.clip(self._paddle + int(action) - 1, 0, self.columns - 1))
        self._row += 1
        over = self._row == self.rows - 1
        paid = (1.0 if self._paddle == self._ball else -1.0) if over else 0.0
        return self._seen(), paid, over, False, {}

    def _seen(self) -> Any:
        board = np.zeros((self.rows, self.columns), np.float32)
        board[self._row, self._ball] = board[-1, self._paddle] = 1.0
        return board.ravel()


class Gather(gymnasium.Env):
    """Fruit on a field of five by five, one at a time, forty moves: a count of those that were reached."""

    size, moves = 5, 40
    observation_space = spaces.Box(-1.0, 1.0, (6,), np.float32)
    action_space = spaces.Discrete(4)
    _ways = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._left = self.moves
        self._self, self._fruit = self.np_random.integers(self.size, size=(2, 2))
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._self = np.clip(self._self + self._ways[int(action)], 0, self.size - 1)
        self._left -= 1
        found = bool((self._self == self._fruit).all())
        if found:
            self._fruit = self.np_random.integers(self.size, size=2)
        return self._seen(), float(found), False, self._left == 0, {}

    def _seen(self) -> Any:
        away = (self._fruit - self._self) / (self.size - 1)
        return np.concatenate([self._self / (self.size - 1), away, np.sign(away)]).astype(np.float32)


class SwingUp(gymnasium.Env):
    """A pole that hangs from a cart is to be swung up and held: up to 1 a step, 200 steps."""

    moves = 200
    observation_space = spaces.Box(-np.inf, np.inf, (5,), np.float32)
    action_space = spaces.Discrete(3)
    gravity, force_mag = 9.8, 10.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._left = self.moves
        self._state = np.array([0.0, 0.0, np.pi, 0.0]) + self.np_random.normal(scale=0.05, size=4)
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        _, speed, angle, turning = self._state
        force, sine, cosine = self.force_mag * (int(action) - 1), np.sin(angle), np.cos(angle)
        # Barto, Sutton and Anderson, 1983, as in Gymnasium's CartPole, with a cart of 1 kg and a pole of 0.1.
        push = (force + 0.05 * turning**2 * sine) / 1.1
        spin = (self.gravity * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
        self._state += 0.04 * np.array([speed, push - 0.05 * spin * cosine / 1.1, turning, spin])
        self._left -= 1
        out = abs(self._state[0]) > 3.0
        paid = 0.0 if out else float((1 + np.cos(self._state[2])) / 2)
        return self._seen(), paid, out, self._left == 0, {}

    def _seen(self) -> Any:
        place, speed, angle, turning = self._state
        return np.array([place, speed, np.cos(angle), np.sin(angle), turning], np.float32)


class Queue(gymnasium.Env):
    """A queue with bursts, and one of four speeds to serve it with: costs of waiting and of speed, 60 moves."""

    moves = 60
    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._left, self._waiting, self._came, self._burst = self.moves, 0, 0, False
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._burst = bool(self.np_random.random() < (0.8 if self._burst else 0.1))
        self._came = int(self.np_random.poisson(8.0 if self._burst else 2.0))
        self._waiting = max(self._waiting + self._came - 4 * int(action), 0)
        self._left -= 1
        return self._seen(), -0.2 * self._waiting - 0.8 * int(action), False, self._left == 0, {}

    def _seen(self) -> Any:
        return np.array([self._waiting / 10, self._came / 10, self._burst, self._left / self.moves], np.float32)


class Shop(gymnasium.Env):
    """Stock for a demand with a heavy tail: what is sold less what was bought, above zero or below, 30 days."""

    moves = 30
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Discrete(6)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self._left, self._stock, self._mood = self.moves, 0.0, 0.0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        bought = 2.0 * int(action)
        demand = float(np.exp(1.0 + 0.8 * self._mood + 0.5 * self.np_random.normal()))
        sold = min(self._stock + bought, demand)
        # A third of what is not sold is spoilt by the next day.
        self._stock = (self._stock + bought - sold) * 2 / 3
        self._mood = 0.7 * self._mood + 0.7 * float(self.np_random.normal())
        self._left -= 1
        return self._seen(), 1.5 * sold - bought - 0.2 * self._stock, False, self._left == 0, {}

    def _seen(self) -> Any:
        return np.array([self._stock / 10, self._mood, self._left / self.moves], np.float32)
