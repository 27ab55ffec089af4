"""From a policy of stable-baselines3 to one that needs no PyTorch (`policyfile`), where it is one of that shape."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor

from accord_trainer.sb3.policyfile import Layer, Policy


def exported(policy: ActorCriticPolicy) -> Policy | None:
    """The policy's network as plain arrays.

    None unless it is an MlpPolicy with tanh on plain numbers (a Box) that chooses one of some actions (Discrete).
    """
    if not isinstance(policy.action_space, spaces.Discrete) or not isinstance(policy.observation_space, spaces.Box):
        return None
    if type(policy.features_extractor) is not FlattenExtractor or policy.action_space.start != 0:
        return None
    hidden = list(policy.mlp_extractor.policy_net)
    linear = [each for each in hidden if isinstance(each, torch.nn.Linear)]
    if len(linear) * 2 != len(hidden) or not all(isinstance(each, torch.nn.Tanh) for each in hidden[1::2]):
        return None
    return Policy(tuple(_layer(each) for each in [*linear, policy.action_net]))


def _layer(linear: Any) -> Layer:
    # A copy: without one it would change with the next update.
    weights = linear.weight.detach().cpu().numpy().T.copy()
    return Layer(weights, linear.bias.detach().cpu().numpy().copy())
