"""What the operator tells the container `trainer`, read from its environment and typed.

The page docs/reference/trainer-environment.md says what each variable means. A variable that is not set has the
default of the TrainingRun field, so that a trainer also starts on a desk, and one built today under an older operator.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar, cast

from accord_trainer.sdk.normalizer import RewardNormalizer
from accord_trainer.sdk.schedules import STRATEGIES, Schedule, Strategy

RESUME_LATEST = "latest"
RESUME_NEVER = ""

_ENTROPY_COEF = Schedule(0.02, 0.005, 10_000, "Linear")
_LEARNING_RATE = Schedule(3e-4, 1e-4, 10_000, "Cosine")

T = TypeVar("T")


class ContractError(Exception):
    """The environment is not what a trainer can work with; the text names every variable that is wrong."""


@dataclass(frozen=True)
class Ppo:
    """Hyperparameters that stay as they are."""

    clip_range: float = 0.2
    gamma: float = 0.99
    gae_lambda: float = 0.95
    batch_size: int = 64
    n_epochs: int = 4
    update_frequency: int = 500


@dataclass(frozen=True)
class RewardNormalization:
    """How rewards are to be normalized."""

    enabled: bool = True
    window: int = 1000
    epsilon: float = 1e-8
    clip: float = 10.0
    update_frequency: int = 1
    bootstrap_size: int = 100
    bootstrap_mean: float = 3.0
    bootstrap_std: float = 1.0

    def normalizer(self) -> RewardNormalizer:
        """A new normalizer with these parameters."""
        return RewardNormalizer(
            enabled=self.enabled,
            window=self.window,
            epsilon=self.epsilon,
            clip=self.clip,
            update_frequency=self.update_frequency,
            bootstrap_size=self.bootstrap_size,
            bootstrap_mean=self.bootstrap_mean,
            bootstrap_std=self.bootstrap_std,
        )


@dataclass(frozen=True)
class Contract:
    """Everything a trainer is told. Steps are environment steps, counted over all attempts."""

    run: str = "local"
    run_uid: str = ""
    attempt: int = 1
    seed: int = 0
    metrics_port: int = 8000
    checkpoint_dir: Path = Path("checkpoints")
    resume_from: str = RESUME_LATEST
    total_steps: int = 10_000
    entropy_coef: Schedule = _ENTROPY_COEF
    learning_rate: Schedule = _LEARNING_RATE
    ppo: Ppo = Ppo()
    save_frequency: int = 500
    reward_normalization: RewardNormalization = RewardNormalization()
    checkpoint_keep: int = 20

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The contract in an environment. ContractError that names every variable with a value it cannot have."""
        read = _Reader(environment)
        contract = cls(
            run=read("ACCORD_RUN", str, cls.run),
            run_uid=read("ACCORD_RUN_UID", str, cls.run_uid),
            attempt=read.whole("ACCORD_ATTEMPT", cls.attempt, 1),
            seed=read.whole("ACCORD_SEED", cls.seed, 0),
            metrics_port=read.whole("METRICS_PORT", cls.metrics_port, 0, 65535),
            checkpoint_dir=read("CHECKPOINT_DIR", _path, cls.checkpoint_dir),
            resume_from=read("RESUME_FROM", str, cls.resume_from),
            total_steps=read.whole("PPO_TOTAL_STEPS", cls.total_steps, 1),
            entropy_coef=read.schedule("PPO_ENTROPY_COEF", cls.entropy_coef),
            learning_rate=read.schedule("PPO_LEARNING_RATE", cls.learning_rate),
            ppo=_ppo(read),
            save_frequency=read.whole("PPO_SAVE_FREQUENCY", cls.save_frequency, 1),
            reward_normalization=_reward_normalization(read),
            checkpoint_keep=read.whole("CHECKPOINT_KEEP", cls.checkpoint_keep, 1),
        )
        if read.problems:
            raise ContractError("the environment of this trainer cannot be used:\n  " + "\n  ".join(read.problems))
        return contract

    def schedule_values(self, step: int) -> dict[str, float]:
        """What the schedules say at a step, with the names that a checkpoint's manifest uses."""
        return {"entropyCoef": self.entropy_coef.value(step), "learningRate": self.learning_rate.value(step)}


def _ppo(read: _Reader) -> Ppo:
    return Ppo(
        clip_range=read.number("PPO_CLIP_RANGE", Ppo.clip_range, 0),
        gamma=read.number("PPO_GAMMA", Ppo.gamma, 0, 1),
        gae_lambda=read.number("PPO_LAMBDA", Ppo.gae_lambda, 0, 1),
        batch_size=read.whole("PPO_BATCH_SIZE", Ppo.batch_size, 1),
        n_epochs=read.whole("PPO_N_EPOCHS", Ppo.n_epochs, 1),
        update_frequency=read.whole("PPO_UPDATE_FREQUENCY", Ppo.update_frequency, 1),
    )


def _reward_normalization(read: _Reader) -> RewardNormalization:
    default = RewardNormalization
    return RewardNormalization(
        enabled=read("REWARD_NORM_ENABLED", _truth, default.enabled),
        window=read.whole("REWARD_NORM_WINDOW", default.window, 1),
        epsilon=read.number("REWARD_NORM_EPSILON", default.epsilon, 0, open_low=True),
        clip=read.number("REWARD_NORM_CLIP", default.clip, 0, open_low=True),
        update_frequency=read.whole("REWARD_NORM_UPDATE_FREQUENCY", default.update_frequency, 1),
        bootstrap_size=read.whole("REWARD_NORM_BOOTSTRAP_SIZE", default.bootstrap_size, 0),
        bootstrap_mean=read.number("REWARD_NORM_BOOTSTRAP_MEAN", default.bootstrap_mean),
        bootstrap_std=read.number("REWARD_NORM_BOOTSTRAP_STD", default.bootstrap_std, 0),
    )


class _Reader:
    """Reads variables and collects what is wrong with them, so that one start shows every mistake."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def __call__(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self._environment.get(name)
        if text is None:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{name}={text!r}: {error}")
            return default

    def whole(self, name: str, default: int, low: int, high: int | None = None) -> int:
        return self(name, lambda text: _whole(text, low, high), default)

    def number(
        self, name: str, default: float, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False
    ) -> float:
        return self(name, lambda text: _number(text, low, high, open_low=open_low), default)

    def schedule(self, prefix: str, default: Schedule) -> Schedule:
        return Schedule(
            initial=self.number(f"{prefix}_INITIAL", default.initial, 0),
            final=self.number(f"{prefix}_FINAL", default.final, 0),
            decay_steps=self.whole(f"{prefix}_DECAY_STEPS", default.decay_steps, 1),
            strategy=self(f"{prefix}_DECAY_STRATEGY", _strategy, default.strategy),
        )


def _whole(text: str, low: int, high: int | None) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None
    if value < low or (high is not None and value > high):
        raise ValueError(f"must be at least {low}" if high is None else f"must be from {low} to {high}")
    return value


def _number(text: str, low: float, high: float, *, open_low: bool) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    if value < low or value > high or (open_low and value == low):
        bound = f"greater than {low:g}" if open_low else f"at least {low:g}" if high == math.inf else ""
        raise ValueError(f"must be {bound or f'from {low:g} to {high:g}'}")
    return value


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _strategy(text: str) -> Strategy:
    if text not in STRATEGIES:
        raise ValueError(f"is unknown: use {', '.join(STRATEGIES)}")
    return cast("Strategy", text)


def _path(text: str) -> Path:
    if not text:
        raise ValueError("must be the path of a directory")
    return Path(text)
