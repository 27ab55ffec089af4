"""Reward normalization over a sliding window, exact at every step and in constant time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import TypedDict

_MANTISSA_BITS = 53
_MANTISSA = float(1 << _MANTISSA_BITS)
_KEPT_BITS = 128  # of a quotient's numerator: far more than the 53 that a float keeps


class NormalizerState(TypedDict):
    """What a checkpoint holds of a normalizer. Plain JSON types; floats survive JSON unchanged."""

    rewards: list[float]
    seen: int
    mean: float
    std: float


class RewardNormalizer:
    """(reward - mean) / (std + epsilon), clipped, with mean and population std of the last `window` rewards.

    The sums of the rewards and of their squares are kept as whole numbers in units of a power of two. Every float is
    a whole number of such units, so adding a new reward and taking the oldest away are exact: there is no drift over
    millions of steps, nothing cancels when the mean is large against the spread, an outlier leaves no trace once it
    has left the window, and a normalizer restored from its window goes on bit for bit like one that never stopped.

    Until `bootstrap_size` rewards are in, `bootstrap_mean` and `bootstrap_std` are used. After that the statistics are
    refreshed with every `update_frequency`-th reward. With `enabled=False` rewards pass unchanged; the statistics are
    kept nevertheless.

    Not thread-safe. ValueError for parameters without meaning.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        window: int = 1000,
        epsilon: float = 1e-8,
        clip: float = 10.0,
        update_frequency: int = 1,
        bootstrap_size: int = 100,
        bootstrap_mean: float = 3.0,
        bootstrap_std: float = 1.0,
    ) -> None:
        if window < 1 or update_frequency < 1 or bootstrap_size < 0:
            raise ValueError("window and update_frequency must be at least 1, bootstrap_size at least 0")
        if not (epsilon > 0 and clip > 0 and bootstrap_std >= 0 and math.isfinite(bootstrap_mean)):
            raise ValueError("epsilon and clip must be positive, bootstrap_std not negative, bootstrap_mean finite")
        self.enabled = enabled
        self.window = window
        self.epsilon = epsilon
        self.clip = clip
        self.update_frequency = update_frequency
        self.bootstrap_size = bootstrap_size
        self.mean = bootstrap_mean
        """The mean that rewards are normalized with."""
        self.std = bootstrap_std
        """The standard deviation that rewards are normalized with, before epsilon is added."""
        self.seen = 0
        """Rewards ever added."""
        self._rewards: deque[float] = deque()
        self._exponent = -_MANTISSA_BITS  # one unit is 2 ** _exponent
        self._sum = 0  # in units
        self._squares = 0  # in squared units

    def __len__(self) -> int:
        """Rewards in the window."""
        return len(self._rewards)

    def __call__(self, reward: float) -> float:
        """Add a reward to the window and return it normalized. ValueError unless it is finite."""
        self.update(reward)
        return self.normalize(reward)

    def normalize(self, reward: float) -> float:
        """A reward normalized with the present statistics, which stay as they are."""
        if not self.enabled:
            return reward
        scaled = (reward - self.mean) / (self.std + self.epsilon)
        return min(max(scaled, -self.clip), self.clip)

    def update(self, reward: float) -> None:
        """Add a reward to the window. ValueError unless it is finite: one NaN would make the whole window NaN."""
        reward = float(reward)
        self._push(reward)
        self.seen += 1
        if self.seen >= self.bootstrap_size and (
            self.seen % self.update_frequency == 0 or self.seen == self.bootstrap_size
        ):
            self.mean, self.std = self._statistics()

    def state_dict(self) -> NormalizerState:
        """Everything a normalizer with the same parameters needs to go on as if it had never stopped."""
        return {"rewards": list(self._rewards), "seen": self.seen, "mean": self.mean, "std": self.std}

    def load_state_dict(self, state: NormalizerState) -> None:
        """Go on from a saved state. If the window has become smaller, its newest rewards are kept."""
        rewards: Iterable[float] = state["rewards"][-self.window :]
        self._rewards.clear()
        self._sum = self._squares = 0
        for reward in rewards:
            self._push(reward)
        self.seen, self.mean, self.std = state["seen"], state["mean"], state["std"]

    def _push(self, reward: float) -> None:
        if not math.isfinite(reward):
            raise ValueError(f"the reward is {reward}; report it and stop, or leave it out of the statistics")
        if len(self._rewards) == self.window:
            self._accumulate(self._rewards.popleft(), -1)
        self._rewards.append(reward)
        self._accumulate(reward, 1)

    def _accumulate(self, reward: float, sign: int) -> None:
        fraction, exponent = math.frexp(reward)
        units = int(fraction * _MANTISSA)
        shift = exponent - _MANTISSA_BITS - self._exponent
        if shift < 0 and units:
            # A finer number than all before: count in its units from now on.
            self._sum <<= -shift
            self._squares <<= -2 * shift
            self._exponent += shift
            shift = 0
        elif not units:
            return
        self._sum += sign * (units << shift)
        self._squares += units * units << 2 * shift if sign > 0 else -(units * units << 2 * shift)

    def _statistics(self) -> tuple[float, float]:
        """Mean and population standard deviation of the window, each within rounding of the exact value."""
        count = len(self._rewards)
        mean = _quotient(self._sum, count, self._exponent)
        # n**2 times the variance, and exact, so that this difference cancels nothing.
        spread = count * self._squares - self._sum * self._sum
        shift = max(0, spread.bit_length() - _KEPT_BITS)
        shift += shift % 2
        root = math.sqrt(spread >> shift) / count
        return mean, math.ldexp(root, shift // 2 + self._exponent)


def _quotient(units: int, count: int, exponent: int) -> float:
    """Units * 2 ** exponent / count, without overflow on the way."""
    shift = max(0, units.bit_length() - _KEPT_BITS)
    return math.ldexp((units >> shift) / count, shift + exponent)
