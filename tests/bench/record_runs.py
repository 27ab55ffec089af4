"""Records trainings of the reference trainer as CSV, for the bench of the detector.

    export PYTHONPATH=trainer
    REWARD_NORM_ENABLED=false python tests/bench/record_runs.py --env CartPole-v1 --seeds 1-25 --out DIR
    python tests/bench/record_runs.py --env accord/Ratings-v0 --seeds 1-25 --out DIR

CartPole rewards each step with 1, of which nothing is left after normalization: it learns without only. Runs where the
trainer's dependencies are (its image). One gzipped file a run, with the columns that `accord backtest` reads, and a row
only where something was reported: the mean loss of an update, the return of an episode. With `--disturb-at STEP` noise
is added to every weight of the policy at that step, which is a fault that truly harms.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from prometheus_client import CollectorRegistry

from accord_trainer.sb3.training import Training
from accord_trainer.sdk import CheckpointStore, Contract, Metrics, StopSignal

NOISE = 1.0
"""Standard deviation of what is added to each weight; they are of the order of 0.1 to 1."""


class Recorder(Metrics):
    """Metrics that also keep what was reported, with its step."""

    def __init__(self, disturb_at: int | None) -> None:
        super().__init__(CollectorRegistry())
        self.rows: list[tuple[int, float | None, float | None]] = []
        self.training: Training | None = None
        self._losses: list[float] = []
        self._returns: list[float] = []
        self._now = 0
        self._disturb_at = disturb_at

    def step(self, step: int, **in_force: float) -> None:
        super().step(step, **in_force)
        self._now = step
        self.rows += [(step, None, each) for each in self._returns]
        self._returns.clear()
        if self._disturb_at is not None and step >= self._disturb_at and self.training is not None:
            self._disturb_at = None
            _disturb(self.training)

    def episode(self, reward: float) -> None:
        super().episode(reward)
        self._returns.append(reward)

    def minibatch(self, loss: float) -> None:
        super().minibatch(loss)
        self._losses.append(loss)

    def update(self, **of_update: float | None) -> None:
        super().update(**of_update)
        self.rows.append((self._now, sum(self._losses) / len(self._losses), None))
        self._losses.clear()


def _disturb(training: Training) -> None:
    model: Any = training._model
    generator = torch.Generator().manual_seed(training.contract.seed)
    with torch.no_grad():
        for name, weight in model.policy.named_parameters():
            if "value" not in name:
                weight.add_(NOISE * torch.randn(weight.shape, generator=generator))


def record(environment: str, seed: int, disturb_at: int | None) -> str:
    """One run of the defaults, as CSV."""
    with tempfile.TemporaryDirectory() as directory, StopSignal() as stop:
        contract = Contract.from_environment({**os.environ, "ACCORD_SEED": str(seed), "CHECKPOINT_DIR": directory})
        recorder = Recorder(disturb_at)
        training = Training(contract, environment, recorder)
        recorder.training = training
        training.run(CheckpointStore.of(contract, {}), stop)
    lines = ["step,loss,reward"]
    lines += [f"{step},{_number(loss)},{_number(reward)}" for step, loss, reward in recorder.rows]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def main() -> None:
    """Record and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="CartPole-v1", metavar="ID")
    parser.add_argument("--seeds", default="1-25", metavar="FIRST-LAST")
    parser.add_argument("--disturb-at", type=int, metavar="STEP")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    first, _, last = parsed.seeds.partition("-")
    kind = "healthy" if parsed.disturb_at is None else f"disturbed-{parsed.disturb_at}"
    name = parsed.env.split("/")[-1].split("-")[0].lower()
    for seed in range(int(first), int(last or first) + 1):
        path = parsed.out / f"{name}-{kind}-{seed:03d}.csv.gz"
        content = record(parsed.env, seed, parsed.disturb_at).encode()
        buffer = io.BytesIO()
        # Without a time and a name in its header, the same run is the same file.
        with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
            file.write(content)
        path.write_bytes(buffer.getvalue())
        print(path)


if __name__ == "__main__":
    main()
