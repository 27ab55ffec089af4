"""Trainings as the program makes them, small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from accord_trainer.sb3.environments import RATINGS
from accord_trainer.sb3.training import Training
from accord_trainer.sdk import CheckpointStore, Contract, Metrics, StopSignal
from accord_trainer.sdk.contract import Ppo, RewardNormalization

CARTPOLE = "CartPole-v1"
SMALL = {
    "total_steps": 400,
    "save_frequency": 100,
    "ppo": Ppo(update_frequency=100, batch_size=32, n_epochs=2),
    "seed": 11,
}


class Made:
    """A training with its checkpoints, and what it reports."""

    def __init__(self, directory: Path, environment: str = RATINGS, disturb_at: int | None = None, **contract: Any):
        self.registry = CollectorRegistry()
        self.contract = Contract(
            checkpoint_dir=directory,
            **{**SMALL, "reward_normalization": RewardNormalization(enabled=environment == RATINGS), **contract},
        )
        self.training = Training(self.contract, environment, Metrics(self.registry), disturb_at=disturb_at)
        self.model = self.training._model
        self.store = CheckpointStore.of(self.contract)

    def resume(self, name: str = "latest") -> Made:
        """From a checkpoint."""
        checkpoint = self.store.resume(name)
        assert checkpoint is not None
        self.training.restore(checkpoint)
        return self

    def run(self) -> bool:
        """To the end."""
        return self.training.run(self.store, StopSignal())

    def value(self, series: str) -> float | None:
        """What Prometheus would see."""
        return self.registry.get_sample_value(series)


def parameters(made: Made) -> dict[str, Any]:
    """All that is learnt, as NumPy arrays."""
    policy = made.model.policy
    found = {name: value.detach().numpy().copy() for name, value in policy.state_dict().items()}
    for number, state in policy.optimizer.state_dict()["state"].items():
        found |= {f"optimizer {number} {name}": value.numpy().copy() for name, value in state.items()}
    return found
