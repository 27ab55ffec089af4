"""How a hyperparameter moves from its initial to its final value while training proceeds.

The operator computes the same curves (`accord.domain.training.schedule`) to say whether a trainer follows them. Neither
package imports the other, so a test compares both bit by bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Strategy = Literal["Linear", "Cosine", "Constant"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)


@dataclass(frozen=True)
class Schedule:
    """A value as a function of the training step.

    With progress p = step / decay_steps, clamped to [0, 1]:

    - `Linear`: initial + (final - initial) * p
    - `Cosine`: final + (initial - final) * (1 + cos(pi * p)) / 2, one half-period without restarts (Loshchilov and
      Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5)
    - `Constant`: initial, always

    Both ends are met exactly and no value lies outside them. ValueError for an unknown strategy, a `decay_steps` below
    1 or a value that is not finite.
    """

    initial: float
    final: float
    decay_steps: int
    strategy: Strategy = "Linear"

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"decay strategy {self.strategy!r} is unknown: use {', '.join(STRATEGIES)}")
        if self.decay_steps < 1:
            raise ValueError(f"decay steps must be at least 1, not {self.decay_steps}")
        for name, value in (("initial", self.initial), ("final", self.final)):
            if not math.isfinite(value):
                raise ValueError(f"the {name} value must be a finite number, not {value}")

    def value(self, step: float) -> float:
        """The value at a training step."""
        progress = step / self.decay_steps
        if progress <= 0 or self.strategy == "Constant":
            return self.initial
        if progress >= 1:
            return self.final
        if self.strategy == "Linear":
            value = self.initial + (self.final - self.initial) * progress
        else:
            value = self.final + (self.initial - self.final) * ((1 + math.cos(math.pi * progress)) / 2)
        # Rounding may step over an end by one unit in the last place.
        return min(max(value, min(self.initial, self.final)), max(self.initial, self.final))
