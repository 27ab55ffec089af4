"""stable-baselines3's PPO, and what sb3-contrib has of the family: with masks, with memory, and TRPO.

Their own updates are made; the loss of an update is put together from the means that they log, which is the mean over
its minibatches. The KL divergence is theirs: the mean over the last epoch.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from gymnasium import spaces
from sb3_contrib import TRPO, MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from tests.bench.corpus.record.environments import World
from tests.bench.corpus.record.events import Events
from tests.bench.corpus.record.planned import Planned
from tests.bench.corpus.record.torch_faults import KINDS, Parts, disturb


class _Reporting(BaseCallback):
    """Reports each update, and puts the fault in when it is due, before the next rollout."""

    def __init__(self, planned: Planned, events: Events) -> None:
        super().__init__()
        self._planned = planned
        self._events = events

    def _on_step(self) -> bool:
        return True

    def after_update(self) -> None:
        """The update is over, and its means are logged."""
        logged = self.model.logger.name_to_value
        if "train/policy_objective" in logged:
            loss = -logged["train/policy_objective"] + logged["train/value_loss"]
            kl = logged["train/kl_divergence_loss"]
        else:
            loss = logged["train/policy_gradient_loss"] + self.model.vf_coef * logged["train/value_loss"]
            loss += self.model.ent_coef * logged["train/entropy_loss"]
            kl = logged["train/approx_kl"]
        self._events.update(float(loss), float(kl), float(logged["train/explained_variance"]))
        fault = self._events.due(*KINDS)
        if fault is not None:
            disturb(fault, _parts(self.model), self._planned.seed)


def _parts(model: Any) -> Parts:
    policy = model.policy
    names = ("value", "vf", "critic")
    normal = model.lr_schedule

    def multiply_rate(factor: float) -> None:
        model.lr_schedule = lambda left: factor * normal(left)

    def set_entropy(coefficient: float) -> None:
        model.ent_coef = coefficient

    def stop_clipping() -> None:
        model.max_grad_norm = float("inf")

    discrete = isinstance(model.action_space, spaces.Discrete)
    return Parts(
        policy=[each for name, each in policy.named_parameters() if not any(part in name for part in names)],
        everything=list(policy.parameters()),
        head=policy.action_net,
        actions=policy.action_net.bias.numel(),
        log_std=None if discrete else policy.log_std,
        multiply_rate=multiply_rate,
        set_entropy=set_entropy,
        stop_clipping=stop_clipping,
    )


def _environments(planned: Planned, events: Events) -> Any:
    settings = planned.settings
    world = World(planned.environment, events, planned.seed)
    fleet: Any = DummyVecEnv([world.make] * settings.environments)
    if settings.normalize_observations or settings.normalize_rewards:
        fleet = VecNormalize(
            fleet,
            norm_obs=settings.normalize_observations,
            norm_reward=settings.normalize_rewards,
            gamma=settings.gamma,
        )
    return fleet


def _model(planned: Planned, fleet: Any) -> Any:
    settings = planned.settings
    normal = settings.learning_rate
    common: dict[str, Any] = {
        "env": fleet,
        "learning_rate": (lambda left: left * normal) if settings.anneal else normal,
        "n_steps": settings.n_steps,
        "batch_size": settings.batch_size,
        "gamma": settings.gamma,
        "gae_lambda": settings.gae_lambda,
        "seed": planned.seed,
        "device": "cpu",
    }
    if planned.algorithm == "TRPO":
        return TRPO("MlpPolicy", **common)
    common |= {
        "n_epochs": settings.epochs,
        "clip_range": settings.clip_range,
        "ent_coef": settings.entropy,
        "vf_coef": settings.value_weight,
        "max_grad_norm": settings.max_gradient,
    }
    if planned.algorithm == "RecurrentPPO":
        memory = {"lstm_hidden_size": 32, "enable_critic_lstm": False, "shared_lstm": True}
        return RecurrentPPO("MlpLstmPolicy", policy_kwargs=memory, **common)
    if planned.algorithm == "MaskablePPO":
        return MaskablePPO("MlpPolicy", **common)
    wide = {"net_arch": [settings.hidden, settings.hidden]}
    return PPO("MlpPolicy", policy_kwargs=wide, target_kl=settings.target_kl, **common)


def train(planned: Planned, events: Events) -> None:
    """Make the run."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _model(planned, _environments(planned, events))
        model.set_logger(Logger(folder=None, output_formats=[]))
        reporting = _Reporting(planned, events)
        update = model.train

        def train_and_report() -> None:
            update()
            reporting.after_update()

        model.train = train_and_report
        model.learn(planned.steps, callback=reporting, log_interval=None)
