"""A baseline's trend, and the chance that what follows is so far off it."""

from __future__ import annotations

import math
from typing import NamedTuple

from accord.domain.checkpoint.detection.series import Sums
from accord.domain.checkpoint.detection.t_distribution import tail

_USUAL_NOISE, _USUAL_WEIGHT = 0.33, 24
"""Losses of updates have a noise of 10 to 40 % of their level. A baseline's spread is taken together with that, as if
so many updates more had shown it: eight alone may lie close to each other by chance."""
_USUAL_GROWTH = 0.15
"""Standard deviation of a healthy loss's growth from one update to the next, as a logarithm. A slope that few noisy
updates show is drawn towards none: most of it is noise, and it would excuse a jump."""


class Stretch(NamedTuple):
    """Blocks `begin` to `end` (excluded) as the baseline, `late` to the newest as the recent ones."""

    begin: int
    end: int
    late: int


class Line(NamedTuple):
    """A baseline's trend: where it leads, and how far off that a mean of recent blocks may be."""

    mean: float
    led: float
    """Where the trend leads. One to the worse goes on until the recent blocks; one to the better may end at any time,
    and is taken until the baseline's end only."""
    unsure: float
    """Standard deviation of (led - mean), because of the slope's."""
    sigma: float
    """Standard deviation of a block around the line."""
    freedom: int
    flat: float
    """Standard deviation of (recent mean - mean), in sigmas."""
    leaning: float
    """The same of (recent mean - led)."""
    bad: int

    @classmethod
    def of(
        cls, sums: Sums, stretch: Stretch, newest: int, bad: int, floor: float = 0.0, stiffness: float = 0.0
    ) -> Line:
        """Of the values in `sums` at the stretch's baseline; `newest` is the index after the last recent block.

        `floor` is the least variance of a block; `stiffness` holds the slope back, see `Sums.line`.
        """
        begin, end, late = stretch
        slope, squares = sums.line(begin, end, stiffness)
        count, mean = end - begin, sums.mean(begin, end)
        ahead = ((late + newest - begin - end) if bad * slope > 0 else (count - 1)) / 2
        width = count * (count * count - 1) / 12 + stiffness
        both, lever = 1 / count + 1 / (newest - late), ahead * ahead / width
        sigma = math.sqrt(max(squares / (count - 2), floor))
        return cls(
            mean=mean,
            led=mean + slope * ahead,
            unsure=sigma * math.sqrt(lever),
            sigma=sigma,
            freedom=count - 2,
            flat=math.sqrt(both),
            leaning=math.sqrt(both + lever),
            bad=bad,
        )

    @classmethod
    def of_losses(cls, sums: Sums, stretch: Stretch, newest: int, bad: int) -> Line:
        """The same of logarithms of updates' losses, with what is usual for those as the prior.

        Bayesian linear regression, its prior conjugate: Gelman et al., Bayesian Data Analysis, 3rd edition, §14.8.
        """
        first = cls.of(sums, stretch, newest, bad).with_usual_noise()
        stiffness = (first.sigma / _USUAL_GROWTH) ** 2
        return cls.of(sums, stretch, newest, bad, stiffness=stiffness).with_usual_noise()

    def with_usual_noise(self) -> Line:
        """The same, its sigma drawn to what is usual for losses."""
        freedom = self.freedom + _USUAL_WEIGHT
        variance = (self.freedom * self.sigma**2 + _USUAL_WEIGHT * _USUAL_NOISE**2) / freedom
        return self._replace(sigma=math.sqrt(variance), freedom=freedom)

    @property
    def level(self) -> float:
        """What is to be expected now: where the trend leads, as far as it is sure."""
        lead = self.led - self.mean
        return self.mean + math.copysign(max(abs(lead) - self.unsure, 0.0), lead)

    def chance(self, recent: float) -> float:
        """Of a recent mean at least so bad, by whichever of level and trend to the worse makes it likelier."""
        if self.sigma == 0.0:
            return 0.0
        distance = self.bad * (recent - self.led) / self.leaning
        if self.bad * (self.led - self.mean) > 0:
            distance = min(distance, self.bad * (recent - self.mean) / self.flat)
        return tail(distance / self.sigma, self.freedom) if distance > 0 else 1.0
