"""PPO of stable-baselines3 that follows the schedules and reports every minibatch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import explained_variance
from torch.nn import functional

from accord_trainer.sb3.environments import ScoredEnvironment, policy_for
from accord_trainer.sdk import Contract, Metrics

SEEDS = 2**32
"""NumPy's legacy generator takes no larger seed."""


class ScheduledPPO(PPO):
    """PPO whose entropy coefficient and learning rate are those of the schedules at each update.

    `train` is stable-baselines3's own, without the parts that the contract has no words for (clipping of values, a
    target for the KL divergence): it logs the loss of the last minibatch only.
    """

    def __init__(self, contract: Contract, environment: ScoredEnvironment, metrics: Metrics) -> None:
        ppo = contract.ppo
        self.contract = contract
        self.metrics = metrics
        self.in_force = contract.schedule_values(0)
        self.divergence = 0.0
        """Approximate KL divergence of the newest minibatch from the policy that collected the steps: the mean of
        r - 1 - ln r over the ratios r, which is unbiased and never negative."""
        with warnings.catch_warnings():
            # A last minibatch that is smaller than the others is meant.
            warnings.filterwarnings("ignore", message=".*truncated mini-batches?.*")
            warnings.filterwarnings("ignore", message=".*primarily intended to run on the CPU.*")
            super().__init__(
                policy_for(environment),
                environment,
                learning_rate=contract.learning_rate.initial,
                n_steps=ppo.update_frequency,
                batch_size=ppo.batch_size,
                n_epochs=ppo.n_epochs,
                gamma=ppo.gamma,
                gae_lambda=ppo.gae_lambda,
                clip_range=ppo.clip_range,
                ent_coef=contract.entropy_coef.initial,
                normalize_advantage=ppo.update_frequency > 1 and ppo.batch_size > 1,
                seed=contract.seed % SEEDS,
            )
        # The default one makes a directory, and the root file system is read-only.
        self.set_logger(Logger(folder=None, output_formats=[]))

    def collect_rollouts(self, env: Any, callback: Any, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """As many steps as an update needs; the last time only those that are left, so that the end is exact."""
        left = self.contract.total_steps - self.num_timesteps
        if 0 < left < n_rollout_steps:
            self.rollout_buffer = self._buffer_of(left)
        collected: bool = super().collect_rollouts(
            env, callback, self.rollout_buffer, min(n_rollout_steps, max(left, 1))
        )
        return collected

    def _buffer_of(self, steps: int) -> Any:
        return self.rollout_buffer_class(
            steps,
            self.observation_space,
            self.action_space,
            device=self.device,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            n_envs=self.n_envs,
        )

    def adopt_schedules(self) -> None:
        """Put the values of the present step in force, and report them with it."""
        self.in_force = self.contract.schedule_values(self.num_timesteps)
        self.ent_coef = self.in_force["entropyCoef"]
        for group in self.policy.optimizer.param_groups:
            group["lr"] = self.in_force["learningRate"]
        self.report_step()

    def report_step(self) -> None:
        """The step and what is in force, to the metrics."""
        self.metrics.step(
            self.num_timesteps,
            entropy_coef=self.in_force["entropyCoef"],
            learning_rate=self.in_force["learningRate"],
        )

    def train(self) -> None:
        """One update: all epochs over the steps collected (arXiv 1707.06347, equation 9)."""
        self.adopt_schedules()
        self.policy.set_training_mode(True)
        divergences: list[float] = []
        for _ in range(self.n_epochs):
            divergences.clear()
            for batch in self.rollout_buffer.get(self.batch_size):
                loss = self._loss(batch)
                divergences.append(self.divergence)
                self.policy.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                self.policy.optimizer.step()
                self.metrics.minibatch(loss.item())
            self._n_updates += 1
        buffer = self.rollout_buffer
        self.metrics.update(
            approx_kl=sum(divergences) / max(len(divergences), 1),
            explained_variance=float(explained_variance(buffer.values.flatten(), buffer.returns.flatten())),
        )

    def _loss(self, batch: Any) -> Any:
        discrete = isinstance(self.action_space, spaces.Discrete)
        actions = batch.actions.long().flatten() if discrete else batch.actions
        values, log_probability, entropy = self.policy.evaluate_actions(batch.observations, actions)
        advantages = batch.advantages
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = log_probability - batch.old_log_prob
        ratio = torch.exp(log_ratio)
        clip_range = self.contract.ppo.clip_range
        gains = torch.min(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip_range, 1 + clip_range))
        # Without a closed form, the entropy is estimated from the actions taken.
        bonus = -log_probability if entropy is None else entropy
        value_loss = functional.mse_loss(batch.returns, values.flatten())
        self.divergence = (ratio - 1 - log_ratio).detach().mean().item()
        return -gains.mean() - self.ent_coef * bonus.mean() + self.vf_coef * value_loss

    def seed_environment(self, seed: int) -> None:
        """The seed of the environment's next reset."""
        self.env.seed(seed)

    def under_way(self) -> tuple[Any, Any]:
        """What the policy sees next, and whether an episode begins with it."""
        return self._last_obs, self._last_episode_starts

    def continue_episode(self, observation: Any, starts: Any) -> None:
        """Go on with what `under_way` told, without a reset of the environment."""
        self._last_obs, self._last_episode_starts = observation, starts

    def write(self, path: Path) -> None:
        """Network and optimizer in stable-baselines3's own format: `PPO.load` reads it, without this package."""
        self.save(path, exclude=["contract", "metrics", "in_force", "divergence"])

    def read(self, path: Path) -> None:
        """Network and optimizer from a file. Not by `PPO.load`, which also seeds everything anew."""
        self.set_parameters(str(path), exact_match=True, device=self.device)
