"""What one run of the corpus is, said before it is recorded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of PPO that differ from run to run."""

    environments: int
    n_steps: int
    batch_size: int
    epochs: int
    learning_rate: float
    gamma: float
    gae_lambda: float
    entropy: float
    normalize_observations: bool
    normalize_rewards: bool
    anneal: bool
    """Whether the learning rate falls linearly to 0 until the end."""
    clip_range: float = 0.2
    value_weight: float = 0.5
    max_gradient: float = 0.5
    hidden: int = 64
    """Of each of the two layers of a network, by stable-baselines3."""
    target_kl: float | None = None
    """Divergence at which an update's epochs end early, by stable-baselines3."""

    @property
    def update_steps(self) -> int:
        """Steps of all environments between two updates."""
        return self.environments * self.n_steps


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong on purpose, once the run has come to a step."""

    kind: str
    """weights, learning-rate, gradients, entropy, environment, reward or nan."""
    how: str
    """Which of the ways that a fault of this kind can happen."""
    strength: float
    step: int


@dataclass(frozen=True)
class Planned:
    """A run."""

    environment: str
    trainer: str
    algorithm: str
    seed: int
    steps: int
    settings: Settings
    fault: Fault | None
    file: str
    half: str
