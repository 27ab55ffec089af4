"""What a checkpoint costs beside `torch.save`; runs in the trainer's image. Prints one JSON object, times in ms."""

from __future__ import annotations

import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from prometheus_client import CollectorRegistry

from accord_trainer.sb3.environments import RATINGS
from accord_trainer.sb3.training import Training
from accord_trainer.sdk import CheckpointStore, Contract, Metrics, StopSignal

ROUNDS = 25


def milliseconds(work: Callable[[], object]) -> float:
    """Median of the rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        rounds.append((time.perf_counter() - began) * 1e3)
    return round(statistics.median(rounds), 2)


def main() -> None:
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        told = Contract(checkpoint_dir=directory / "store", total_steps=500, checkpoint_keep=3)
        training = Training(told, RATINGS, Metrics(CollectorRegistry()))
        store = CheckpointStore.of(told)
        training.run(store, StopSignal())
        policy: Any = training._model.policy
        state = {"policy": policy.state_dict(), "optimizer": policy.optimizer.state_dict()}
        plain = directory / "plain.pt"
        steps = iter(range(1000, 10_000))

        def synced() -> None:
            with plain.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())

        def checkpoint() -> None:
            training._model.num_timesteps = next(steps)
            training._latest = training._state()
            training.save(store)

        found = {
            "torch.save": milliseconds(lambda: torch.save(state, plain)),
            "torch.save and fsync": milliseconds(synced),
            "PPO.save of stable-baselines3": milliseconds(lambda: training._model.write(directory / "model.zip")),
            "checkpoint": milliseconds(checkpoint),
        }
        newest = max((directory / "store").glob("step-*"))
        sizes = {path.name: path.stat().st_size for path in sorted(newest.iterdir())}
    print(json.dumps({"milliseconds": found, "bytes": {**sizes, "torch.save": plain_size(state)}}))


def plain_size(state: Any) -> int:
    with tempfile.NamedTemporaryFile() as file:
        torch.save(state, file.name)
        return Path(file.name).stat().st_size


if __name__ == "__main__":
    main()
