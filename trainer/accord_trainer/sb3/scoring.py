"""Rewards on their way from the environment to the policy: reported raw, trained on normalized."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from accord_trainer.sdk import Metrics, RewardNormalizer

_log = logging.getLogger(__name__)
_ENOUGH = 100
"""Equal rewards after which it is no chance that they are equal."""


class Scorer:
    """Normalizes the rewards of one or more environments that step together, and reports them."""

    def __init__(self, normalizer: RewardNormalizer, metrics: Metrics, environments: int = 1) -> None:
        self.normalizer = normalizer
        self._metrics = metrics
        self.returns = [0.0] * environments
        """Of the episodes under way, so far."""
        self._warned = False

    def begin(self) -> None:
        """All environments were reset: the episodes that were under way count nowhere."""
        self.returns = [0.0] * len(self.returns)

    def score(
        self, rewards: Iterable[float], dones: Iterable[bool], totals: Sequence[float | None] = ()
    ) -> list[float]:
        """One step: the rewards to train on. `totals` are returns of episodes that ended, where somebody else has added
        them up. ValueError unless all rewards are finite.
        """
        scored = []
        for number, (raw, done) in enumerate(zip(rewards, dones, strict=True)):
            normalized = self.normalizer(raw)
            self._metrics.reward(raw, normalized, self.normalizer)
            self.returns[number] += raw
            if done:
                told = totals[number] if totals else None
                self._metrics.episode(self.returns[number] if told is None else told)
                self.returns[number] = 0.0
            scored.append(normalized)
        self._warn_once()
        return scored

    def _warn_once(self) -> None:
        normalizer = self.normalizer
        if self._warned or not normalizer.enabled or normalizer.std != 0.0 or len(normalizer) < _ENOUGH:
            return
        self._warned = True
        _log.warning(
            "all %d rewards in the window are %g, so each is 0 when normalized and says nothing to the policy; for "
            "this environment set spec.rewardNormalization.enabled to false (REWARD_NORM_ENABLED)",
            len(normalizer),
            normalizer.mean,
        )
