"""Trains with the reference trainer and plays with what came out; runs in the trainer's image.

    python learning.py ENVIRONMENT SEED EPISODES [FIELD=VALUE …]

Fields are those of `Contract` and `Contract.ppo`. Prints one JSON object: mean and standard deviation of the return per
episode, before and after, with actions drawn as in training and with the best one always; and the seconds it took.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
import tempfile
import time
from typing import Any

import gymnasium
import numpy as np
from prometheus_client import CollectorRegistry

from accord_trainer.sb3.environments import RATINGS
from accord_trainer.sb3.export import exported
from accord_trainer.sb3.policyfile import Policy
from accord_trainer.sb3.training import Training
from accord_trainer.sdk import CheckpointStore, Contract, Metrics, StopSignal
from accord_trainer.sdk.contract import Ppo, RewardNormalization
from accord_trainer.sdk.schedules import Schedule


def contract(environment: str, seed: int, directory: str, fields: dict[str, str]) -> Contract:
    """The defaults of a TrainingRun, but for `fields`."""
    ppo = dataclasses.asdict(Ppo())
    values: dict[str, Any] = {
        "seed": seed,
        "checkpoint_dir": directory,
        # In CartPole every step earns 1: normalized, that says nothing.
        "reward_normalization": RewardNormalization(enabled=environment == RATINGS),
    }
    for name, text in fields.items():
        if name in ppo:
            ppo[name] = type(ppo[name])(text)
        elif name in ("entropy_coef", "learning_rate"):
            initial, final, strategy = text.split(",")
            values[name] = Schedule(float(initial), float(final), 10_000, strategy)
        else:
            values[name] = int(text)
    return Contract(**values, ppo=Ppo(**ppo))


def play(policy: Policy, environment: str, episodes: int, *, drawn: bool) -> list[float]:
    """Mean, and standard error of it, of the return per episode."""
    chance, world = np.random.default_rng(1), gymnasium.make(environment)
    returns = []
    observation, _ = world.reset(seed=2)
    while len(returns) < episodes:
        total, over = 0.0, False
        while not over:
            action = policy.draw(observation, chance) if drawn else policy.best(observation)
            observation, reward, terminated, truncated, _ = world.step(action)
            total, over = total + reward, terminated or truncated
        returns.append(total)
        observation, _ = world.reset()
    return [float(np.mean(returns)), float(np.std(returns) / np.sqrt(episodes))]


def main() -> None:
    environment, seed, episodes, *fields = sys.argv[1:]
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as directory:
        told = contract(environment, int(seed), directory, dict(field.split("=") for field in fields))
        training = Training(told, environment, Metrics(CollectorRegistry()))
        found: dict[str, Any] = {"environment": environment, "seed": int(seed)}

        def look(when: str) -> None:
            policy = exported(training._model.policy)
            for name, drawn in (("drawn", True), ("best", False)):
                found[f"{when} {name}"] = play(policy, environment, int(episodes), drawn=drawn)

        look("untrained")
        began = time.monotonic()
        training.run(CheckpointStore.of(told), StopSignal())
        found["seconds"] = time.monotonic() - began
        look("trained")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
