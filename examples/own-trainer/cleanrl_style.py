"""PPO in one file with PyTorch, in the style of CleanRL, under a TrainingRun: all that is Accord's is called `accord`.

    pip install ./trainer torch gymnasium
    python examples/own-trainer/cleanrl_style.py

Ten lines of it are what a loop of one's own needs: docs/how-to/bring-your-own-trainer.md shows them alone.
"""

from __future__ import annotations

import logging
import random
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

from accord_trainer.sdk import Session


class Agent(nn.Module):
    """Two small networks: how good a state is, and what to do in it."""

    def __init__(self, features: int, actions: int) -> None:
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(features, 64), nn.Tanh(), nn.Linear(64, 1))
        self.actor = nn.Sequential(nn.Linear(features, 64), nn.Tanh(), nn.Linear(64, actions))

    def act(self, states: Any, actions: Any = None) -> tuple[Any, Any, Any, Any]:
        """Actions, their log probabilities, entropies and the values of the states."""
        chances = Categorical(logits=self.actor(states))
        actions = chances.sample() if actions is None else actions
        return actions, chances.log_prob(actions), chances.entropy(), self.critic(states).flatten()


def advantages(rewards: Any, values: Any, ends: Any, last: Any, gamma: float, gae_lambda: float) -> Any:
    """Generalized advantage estimation (arXiv 1506.02438). `ends`: whether the step was the last of its episode."""
    found, following, run = torch.zeros_like(rewards), last, 0.0
    for t in reversed(range(len(rewards))):
        goes_on = 1.0 - ends[t]
        run = rewards[t] + gamma * following * goes_on - values[t] + gamma * gae_lambda * goes_on * run
        found[t], following = run, values[t]
    return found


def main() -> int:
    """Train to the end, or until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    accord = Session(random, np.random, torch)
    ppo = accord.contract.ppo
    environment = gymnasium.make("CartPole-v1")
    agent = Agent(4, 2)
    optimizer = torch.optim.Adam(agent.parameters(), eps=1e-5)

    def write(path: Path) -> None:
        torch.save({"agent": agent.state_dict(), "optimizer": optimizer.state_dict()}, path)

    def read(path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        agent.load_state_dict(saved["agent"])
        optimizer.load_state_dict(saved["optimizer"])

    with accord.training({"agent.pt": (write, read)}):
        state, _ = environment.reset(seed=accord.environment_seed)
        total = 0.0
        while accord.running:
            optimizer.param_groups[0]["lr"] = accord.learning_rate
            states, actions, logs, rewards, ends, values = [], [], [], [], [], []
            for _ in range(ppo.update_frequency):
                with torch.no_grad():
                    action, log, _, value = agent.act(torch.tensor(state)[None])
                states.append(torch.tensor(state))
                state, reward, terminated, truncated, _ = environment.step(int(action))
                accord.advance()
                total += float(reward)
                actions.append(action[0])
                logs.append(log[0])
                values.append(value[0])
                rewards.append(accord.reward(float(reward)))
                ends.append(float(terminated or truncated))
                if terminated or truncated:
                    accord.episode(total)
                    (state, _), total = environment.reset(), 0.0
            if accord.stopping:
                break
            with torch.no_grad():
                last = agent.act(torch.tensor(state)[None])[3][0]
            batch = [torch.stack(each) for each in (states, actions, logs, values)]
            gains = advantages(torch.tensor(rewards), batch[3], ends, last, ppo.gamma, ppo.gae_lambda)
            losses, divergences = [], []
            for _ in range(ppo.n_epochs):
                for rows in torch.randperm(len(gains)).split(ppo.batch_size):
                    loss, divergence = ppo_loss(
                        agent, [each[rows] for each in batch], gains[rows], ppo.clip_range, accord.entropy_coef
                    )
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                    optimizer.step()
                    losses.append(loss.item())
                    divergences.append(divergence)
            spread = (gains + batch[3]).var().item()
            explained = 1 - gains.var().item() / spread if spread else None
            accord.update(losses, approx_kl=divergences[-1], explained_variance=explained)
    return accord.exit_code


def ppo_loss(agent: Agent, batch: list[Any], gains: Any, clip_range: float, entropy_coef: float) -> tuple[Any, float]:
    """The clipped objective, the error of the values and the bonus for entropy (arXiv 1707.06347, equation 9); and the
    approximate KL divergence from the policy that collected the steps.
    """
    states, actions, old, values = batch
    _, logs, entropies, new = agent.act(states, actions)
    returns = gains + values
    if len(gains) > 1:
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
    ratios = (logs - old).exp()
    divergence = (ratios - 1 - (logs - old)).mean().item()
    clipped = ratios.clamp(1 - clip_range, 1 + clip_range)
    policy = -torch.min(gains * ratios, gains * clipped).mean()
    return policy + 0.5 * (new - returns).square().mean() - entropy_coef * entropies.mean(), divergence


if __name__ == "__main__":
    sys.exit(main())
