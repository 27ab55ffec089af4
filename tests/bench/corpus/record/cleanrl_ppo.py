"""A PPO in PyTorch that does what CleanRL documents of its `ppo.py` and `ppo_continuous_action.py`.

It is a loop of our own after that description, not CleanRL's code, which no package carries for the Python used here.
Its details, unlike those of stable-baselines3: the value loss is clipped and halved, an episode that is cut short
counts as one that ended, minibatches are drawn by NumPy, each network has its own orthogonal layers, Adam's epsilon is
1e-5, and observations and rewards are normalized for each environment by itself.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from tests.bench.corpus.record.environments import World
from tests.bench.corpus.record.events import Events
from tests.bench.corpus.record.planned import Planned, Settings
from tests.bench.corpus.record.torch_faults import KINDS, Parts, disturb
from torch import nn
from torch.distributions import Categorical, Normal

HIDDEN = 64
LIMIT = 10.0


def _layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _network(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    return nn.Sequential(
        _layer(inputs, HIDDEN), nn.Tanh(), _layer(HIDDEN, HIDDEN), nn.Tanh(), _layer(HIDDEN, outputs, gain)
    )


class Agent(nn.Module):
    """Actor and critic, with nothing in common."""

    def __init__(self, inputs: int, actions: int, discrete: bool) -> None:
        super().__init__()
        self.actor = _network(inputs, actions, 0.01)
        self.critic = _network(inputs, 1, 1.0)
        self.log_std = None if discrete else nn.Parameter(torch.zeros(actions))

    def actions(self, seen: torch.Tensor) -> Any:
        """The distribution of actions. What is not a number any more counts as 0, so that a broken run goes on."""
        outputs = torch.nan_to_num(self.actor(seen))
        if self.log_std is None:
            return Categorical(logits=outputs, validate_args=False)
        return Normal(outputs, torch.nan_to_num(self.log_std).exp() + 1e-8, validate_args=False)

    def judge(self, distribution: Any, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-likelihoods and entropies of actions."""
        logs, entropies = distribution.log_prob(actions), distribution.entropy()
        return (logs, entropies) if self.log_std is None else (logs.sum(1), entropies.sum(1))


def _environment(world: World, settings: Settings) -> gymnasium.Env:
    env: gymnasium.Env = world.make()
    if settings.normalize_observations:
        env = NormalizeObservation(env)
    if settings.normalize_rewards:
        env = NormalizeReward(env, gamma=settings.gamma)
    return env


class Trainer:
    """One run."""

    def __init__(self, planned: Planned, events: Events) -> None:
        self._planned, self._events = planned, events
        self._settings = settings = planned.settings
        world = World(planned.environment, events, planned.seed)
        self._envs = [_environment(world, settings) for _ in range(settings.environments)]
        space = self._envs[0].action_space
        self._discrete = isinstance(space, spaces.Discrete)
        self._space = space
        self._size = int(np.prod(self._envs[0].observation_space.shape))
        self._actions = int(space.n) if self._discrete else int(np.prod(space.shape))
        self._agent = Agent(self._size, self._actions, self._discrete)
        self._optimizer = torch.optim.Adam(self._agent.parameters(), lr=settings.learning_rate, eps=1e-5)
        self._rate, self._entropy, self._clip = settings.learning_rate, settings.entropy, settings.max_gradient
        self._chance = np.random.default_rng(planned.seed)

    def run(self) -> None:
        """From the first step to the last."""
        first = [env.reset(seed=self._planned.seed + index)[0] for index, env in enumerate(self._envs)]
        self._seen = self._limited(np.stack(first))
        self._ended = np.zeros(len(self._envs), np.float32)
        while self._events.step < self._planned.steps:
            left = 1 - self._events.step / self._planned.steps if self._settings.anneal else 1.0
            self._optimizer.param_groups[0]["lr"] = self._rate * left
            self._update(*self._collect())
            fault = self._events.due(*KINDS)
            if fault is not None:
                disturb(fault, self._parts(), self._planned.seed)

    def _limited(self, seen: Any) -> Any:
        limited = np.clip(seen, -LIMIT, LIMIT) if self._settings.normalize_observations else seen
        return limited.astype(np.float32)

    def _collect(self) -> tuple[torch.Tensor, ...]:
        settings = self._settings
        shape = (settings.n_steps, settings.environments)
        seen = np.empty((*shape, self._size), np.float32)
        actions = np.empty(shape, np.int64) if self._discrete else np.empty((*shape, self._actions), np.float32)
        rewards, ended = np.empty(shape, np.float32), torch.empty(shape)
        for index in range(settings.n_steps):
            seen[index], ended[index] = self._seen, torch.from_numpy(self._ended)
            actions[index] = self._drawn(self._seen)
            rewards[index] = self._step(actions[index])
        with torch.no_grad():
            # The weights did not change meanwhile, so that all at once is the same as one after the other.
            judged = torch.from_numpy(seen).flatten(0, 1)
            chosen = torch.from_numpy(actions).flatten(0, 1)
            logs = self._agent.judge(self._agent.actions(judged), chosen)[0].view(shape)
            values = self._agent.critic(judged)[:, 0].view(shape)
            following = self._agent.critic(torch.from_numpy(self._seen))[:, 0]
        advantages, paid = torch.empty(shape), torch.from_numpy(rewards)
        ahead, ended_next = torch.zeros(settings.environments), torch.from_numpy(self._ended)
        for index in range(settings.n_steps - 1, -1, -1):
            goes_on = 1 - ended_next
            surprise = paid[index] + settings.gamma * following * goes_on - values[index]
            advantages[index] = ahead = surprise + settings.gamma * settings.gae_lambda * goes_on * ahead
            following, ended_next = values[index], ended[index]
        returns = advantages + values
        return judged, chosen, *(each.flatten() for each in (logs, advantages, returns, values))

    def _drawn(self, seen: Any) -> Any:
        """Actions, by NumPy from the same weights: PyTorch takes ten times as long for so few observations."""
        for layer in self._agent.actor:
            if isinstance(layer, nn.Linear):
                seen = seen @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
            else:
                seen = np.tanh(seen)
        outputs = np.nan_to_num(seen)
        if self._discrete:
            return np.argmax(outputs + self._chance.gumbel(size=outputs.shape), axis=1)
        deviations = np.exp(np.nan_to_num(self._agent.log_std.detach().numpy()))
        return outputs + deviations * self._chance.normal(size=outputs.shape)

    def _step(self, actions: Any) -> Any:
        rewards = np.empty(len(self._envs), np.float32)
        following = np.empty((len(self._envs), self._size))
        chosen = actions if self._discrete else np.clip(actions, self._space.low, self._space.high)
        for index, env in enumerate(self._envs):
            following[index], rewards[index], terminated, truncated, _ = env.step(chosen[index])
            self._ended[index] = terminated or truncated
            if terminated or truncated:
                following[index], _ = env.reset()
        self._seen = self._limited(following)
        return np.clip(rewards, -LIMIT, LIMIT) if self._settings.normalize_rewards else rewards

    def _update(self, *batch: torch.Tensor) -> None:
        reported = []
        count = self._settings.update_steps
        for _ in range(self._settings.epochs):
            order = self._chance.permutation(count)
            for start in range(0, count, self._settings.batch_size):
                chosen = torch.from_numpy(order[start : start + self._settings.batch_size])
                reported.append(self._minibatch(*(each[chosen] for each in batch)))
        returns, values = batch[4].numpy(), batch[5].numpy()
        spread = returns.var()
        explained = 1 - (returns - values).var() / spread if spread else np.nan
        loss, kl = np.mean(reported, axis=0)
        self._events.update(float(loss), float(kl), float(explained))

    def _minibatch(self, *batch: torch.Tensor) -> tuple[float, float]:
        seen, actions, old_logs, advantages, returns, old_values = batch
        clip = self._settings.clip_range
        logs, entropies = self._agent.judge(self._agent.actions(seen), actions)
        apart = logs - old_logs
        ratio = apart.exp()
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        policy_loss = torch.max(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)).mean()
        values = self._agent.critic(seen)[:, 0]
        near = old_values + (values - old_values).clamp(-clip, clip)
        value_loss = 0.5 * torch.max((values - returns) ** 2, (near - returns) ** 2).mean()
        loss = policy_loss - self._entropy * entropies.mean() + self._settings.value_weight * value_loss
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._agent.parameters(), self._clip)
        self._optimizer.step()
        return loss.item(), (ratio - 1 - apart).mean().item()

    def _parts(self) -> Parts:
        agent = self._agent
        log_std = [] if agent.log_std is None else [agent.log_std]

        def multiply_rate(factor: float) -> None:
            self._rate *= factor

        def set_entropy(coefficient: float) -> None:
            self._entropy = coefficient

        def stop_clipping() -> None:
            self._clip = float("inf")

        return Parts(
            policy=[*agent.actor.parameters(), *log_std],
            everything=list(agent.parameters()),
            head=agent.actor[-1],
            actions=self._actions,
            log_std=agent.log_std,
            multiply_rate=multiply_rate,
            set_entropy=set_entropy,
            stop_clipping=stop_clipping,
        )


def train(planned: Planned, events: Events) -> None:
    """Make the run."""
    torch.set_num_threads(1)
    torch.manual_seed(planned.seed)
    Trainer(planned, events).run()
