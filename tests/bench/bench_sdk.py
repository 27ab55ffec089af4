"""What the SDK costs a trainer: time a step, and time a checkpoint beyond writing its bytes.

    PYTHONPATH=trainer .venv/bin/python tests/bench/bench_sdk.py

One step is everything that a trainer calls for it: normalizer, both schedules, four metrics. The aim is under 20 µs.
Prints one JSON object. Steps are in CPU time, which other work on the machine hardly moves; saves wait for the disk and
are in time on the clock.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from accord_trainer.sdk import CheckpointStore, Contract, Metrics
from accord_trainer.sdk.normalizer import RewardNormalizer

STEPS, ROUNDS = 20_000, 7
SIZES = {"64 KB": 1 << 16, "8 MB": 1 << 23}


def _per_step(work: Callable[[], None]) -> dict[str, float]:
    """Microseconds of CPU a step, over rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        rounds.append((time.process_time() - began) / STEPS * 1e6)
    return {"best": round(min(rounds), 2), "median": round(statistics.median(rounds), 2)}


def steps() -> dict[str, dict[str, float]]:
    """The cost of one step, whole and by part."""
    chance = random.Random(1)
    rewards = [chance.gauss(3, 1) for _ in range(STEPS)]
    contract = Contract()
    metrics = Metrics(CollectorRegistry())
    normalizer = contract.reward_normalization.normalizer()

    def whole() -> None:
        for step, reward in enumerate(rewards):
            normalized = normalizer(reward)
            metrics.reward(reward, normalized, normalizer)
            metrics.episode(reward)
            metrics.step(
                step,
                entropy_coef=contract.entropy_coef.value(step),
                learning_rate=contract.learning_rate.value(step),
            )

    def normalize(each: RewardNormalizer) -> None:
        for reward in rewards:
            each(reward)

    def schedule() -> None:
        for step in range(STEPS):
            contract.learning_rate.value(step)

    def report() -> None:
        for step in range(STEPS):
            metrics.step(step, entropy_coef=0.02, learning_rate=3e-4)

    long = RewardNormalizer(window=100_000)
    return {
        "whole step": _per_step(whole),
        "normalizer, window 1000": _per_step(lambda: normalize(normalizer)),
        "normalizer, window 100000": _per_step(lambda: normalize(long)),
        "cosine schedule": _per_step(schedule),
        "metrics.step": _per_step(report),
    }


def checkpoints(directory: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of a save, against the same bytes in one file with one fsync, and without any."""
    found = {}
    for name, size in SIZES.items():
        content = os.urandom(size)
        store = CheckpointStore(directory / name, keep=3)
        numbers = iter(range(1, 1000))
        found[name] = {
            "save": _milliseconds(lambda: store.save(next(numbers), {"model": content})),  # noqa: B023 - called at once
            "write and fsync": _milliseconds(lambda: _write(directory / "plain", content, sync=True)),  # noqa: B023
            "write": _milliseconds(lambda: _write(directory / "plain", content, sync=False)),  # noqa: B023
        }
    return found


def _milliseconds(work: Callable[[], object]) -> float:
    rounds = []
    for _ in range(15):
        began = time.perf_counter()
        work()
        rounds.append((time.perf_counter() - began) * 1e3)
    return round(statistics.median(rounds), 2)


def _write(path: Path, content: bytes, *, sync: bool) -> None:
    with path.open("wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def main() -> None:
    """Measure and print."""
    directory = Path(tempfile.mkdtemp())
    try:
        result = {"µs a step": steps(), "ms a checkpoint (median)": checkpoints(directory)}
    finally:
        shutil.rmtree(directory)
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
