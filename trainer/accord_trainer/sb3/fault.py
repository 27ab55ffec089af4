"""A fault on purpose, to see what watches over a training: the policy forgets what it learnt, and worse."""

from __future__ import annotations

import logging

import torch
from stable_baselines3.common.policies import ActorCriticPolicy

_log = logging.getLogger(__name__)
_SIZE = 1.0
"""Root mean square of the weights afterwards: with 64 inputs, logits some units apart, whatever they were before."""
_NOISE = 0.3
"""Standard deviation of the noise."""


class Disturbance:
    """Breaks the policy once, between the two updates at which training passes `step`; in attempt 1 only.

    The last layer is turned against what it learnt, made sharper and given noise: the actions that were best are now
    the ones that are hardly ever tried, so that the next updates see little of what would mend it.
    """

    def __init__(self, step: int | None, attempt: int) -> None:
        self._step = step if attempt == 1 else None

    def resumed(self, step: int) -> None:
        """Training goes on from this step: a fault that lies behind it is not repeated."""
        if self._step is not None and step >= self._step:
            self._step = None

    def strike(self, step: int, policy: ActorCriticPolicy, seed: int) -> bool:
        """Break the policy if it is time; whether it was. Draws from a generator of its own, seeded with `seed`."""
        if self._step is None or step < self._step:
            return False
        self._step = None
        chance = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            scale = _SIZE / policy.action_net.weight.square().mean().sqrt().clamp(min=1e-8)
            for parameter in policy.action_net.parameters():
                noise = torch.randn(parameter.shape, generator=chance).to(parameter.device)
                parameter.mul_(-scale).add_(_NOISE * noise)
        _log.warning("FAULT ON PURPOSE: the policy's weights were disturbed at step %d; returns will collapse", step)
        return True
