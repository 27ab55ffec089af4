"""RLlib's PPO, its new API stack, with everything in one process and without a cluster.

Its loss is its own: it has a penalty for the KL divergence, too, and that divergence is between the distributions and
not estimated from the actions. A learner that notes each minibatch is all that is added. Its environments begin their
next episode while the others make a step, so an update has up to a few per cent more steps than it is told to have.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.tune.registry import register_env
from tests.bench.corpus.record.environments import World
from tests.bench.corpus.record.events import Events
from tests.bench.corpus.record.planned import Planned, Settings
from tests.bench.corpus.record.torch_faults import KINDS, Parts, disturb

import ray

MODULE = "default_policy"


class NotingLearner(PPOTorchLearner):
    """Keeps the loss, the KL divergence and the explained variance of each minibatch."""

    noted: list[tuple[float, float, float]] = []

    def compute_loss_for_module(self, *, module_id: Any, config: Any, batch: Any, fwd_out: Any) -> Any:
        loss = super().compute_loss_for_module(module_id=module_id, config=config, batch=batch, fwd_out=fwd_out)
        kl, explained = (
            float(self.metrics.peek((module_id, key), compile=True)) for key in ("mean_kl_loss", "vf_explained_var")
        )
        self.noted.append((loss.item(), kl, explained))
        return loss


def _config(planned: Planned) -> Any:
    settings = planned.settings
    rate = settings.learning_rate
    return (
        PPOConfig()
        .environment("corpus")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=settings.environments)
        .learners(num_learners=0, num_gpus_per_learner=0, learner_class=NotingLearner)
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], vf_share_layers=False))
        .debugging(seed=planned.seed, log_level="ERROR")
        .reporting(min_time_s_per_iteration=0)
        .training(
            lr=[[0, rate], [planned.steps, 0.0]] if settings.anneal else rate,
            gamma=settings.gamma,
            lambda_=settings.gae_lambda,
            clip_param=settings.clip_range,
            entropy_coeff=settings.entropy,
            vf_loss_coeff=settings.value_weight,
            vf_clip_param=1e6,
            grad_clip=settings.max_gradient,
            grad_clip_by="global_norm",
            num_epochs=settings.epochs,
            minibatch_size=settings.batch_size,
            train_batch_size_per_learner=settings.update_steps,
        )
    )


def _parts(algorithm: Any, planned: Planned) -> Parts:
    learner = algorithm.learner_group._learner
    module = learner.module[MODULE].unwrapped()
    space = algorithm.env_runner.env.single_action_space
    actions = int(getattr(space, "n", 0)) or int(np.prod(space.shape))

    def multiply_rate(factor: float) -> None:
        # Its schedule, constant or not, sets the rate anew after each update.
        normal = learner._set_optimizer_lr
        learner._set_optimizer_lr = lambda optimizer, lr: normal(optimizer, lr=factor * lr)
        for optimizer in learner._named_optimizers.values():
            learner._set_optimizer_lr(optimizer, lr=learner._get_optimizer_lr(optimizer))

    def set_entropy(coefficient: float) -> None:
        scheduler = learner.entropy_coeff_schedulers_per_module[MODULE]
        scheduler._curr_value = coefficient

    def stop_clipping() -> None:
        # What is in force is a copy that was frozen when it was built.
        for config in (learner.config, learner.config.get_config_for_module(MODULE)):
            config.__dict__["grad_clip"] = None

    policy = [each for name, each in module.named_parameters() if name.startswith(("pi", "encoder.actor"))]
    return Parts(
        policy=policy,
        everything=list(module.parameters()),
        head=[layer for layer in module.pi.modules() if isinstance(layer, torch.nn.Linear)][-1],
        actions=actions,
        log_std=None,
        multiply_rate=multiply_rate,
        set_entropy=set_entropy,
        stop_clipping=stop_clipping,
    )


def _quietly() -> None:
    """Without a cluster: what would be handed to other processes stays in this one, which has none."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    ray.put = lambda value, **_: value


class _Now:
    """The run that is made. What is registered with RLlib is copied, and a copy would count steps by itself."""

    world: World
    settings: Settings


def _make(_: Any) -> gymnasium.Env:
    settings = _Now.settings
    env: gymnasium.Env = _Now.world.make()
    if settings.normalize_observations:
        env = NormalizeObservation(env)
    return NormalizeReward(env, gamma=settings.gamma) if settings.normalize_rewards else env


def train(planned: Planned, events: Events) -> None:
    """Make the run."""
    torch.set_num_threads(1)
    _quietly()
    _Now.world, _Now.settings = World(planned.environment, events, planned.seed), planned.settings
    register_env("corpus", _make)
    algorithm = _config(planned).build_algo()
    NotingLearner.noted = []
    while events.step < planned.steps:
        algorithm.train()
        loss, kl, explained = np.mean(NotingLearner.noted, axis=0)
        NotingLearner.noted.clear()
        events.update(float(loss), float(kl), float(explained))
        fault = events.due(*KINDS)
        if fault is not None:
            disturb(fault, _parts(algorithm, planned), planned.seed)
            # The runner only takes weights that are newer than its own, and these have not been counted.
            learnt = algorithm.learner_group._learner.module.get_state(inference_only=True)
            algorithm.env_runner.module.set_state(learnt[MODULE])
    algorithm.stop()
