"""A whole trainer on the SDK, without any framework: PPO in plain NumPy on a service that users rate from 1 to 5.

    pip install ./trainer numpy
    python examples/own-trainer/own_trainer.py

Everything it is told comes from the environment; on a desk, where nothing is set, it does the default run of 10,000
steps into ./checkpoints. Stop it with Ctrl-C and start it again: it goes on where it was.

Every episode is one step long: a user comes, the policy chooses an answer, the user rates it. So `gamma` and `lambda`
of the contract have nothing to do here.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord_trainer.sdk import Chance, Checkpoint, CheckpointStore, Contract, ContractError, Metrics, StopSignal

Array = NDArray[np.float64]
FEATURES, ANSWERS = 8, 5
GAIN = 20  # from weights to scores, so that learning rates meant for deep networks move so small a policy
TASTES = np.random.default_rng(7).normal(size=(FEATURES, ANSWERS))  # what users like; the policy has to find it out


def rating(user: Array, answer: int, chance: np.random.Generator) -> float:
    """From 5 for the answer that suits this user best to 1 for the worst, give or take a mood."""
    liking = user @ TASTES
    rank = int((liking > liking[answer]).sum())
    return float(np.clip(5 - rank + chance.integers(-1, 2), 1, 5))


class Policy:
    """A softmax over answers, linear in the features of the user, with Adam."""

    def __init__(self) -> None:
        self.weights: Array = np.zeros((FEATURES, ANSWERS))
        self.first: Array = np.zeros_like(self.weights)
        self.second: Array = np.zeros_like(self.weights)
        self.updates = 0
        self.divergence = 0.0  # approximate KL from the policy that answered, before the newest step

    def log_probabilities(self, users: Array) -> Array:
        """Of every answer, for each user."""
        scores = GAIN * users @ self.weights
        scores -= scores.max(axis=1, keepdims=True)
        return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))

    def learn(self, batch: Rollout, *, clip_range: float, entropy_coef: float, learning_rate: float) -> float:
        """One step of Adam on the clipped objective of PPO (arXiv 1707.06347, equation 7); the loss before it."""
        users, answers, old, advantages = batch.arrays()
        rows = np.arange(len(users))
        logs = self.log_probabilities(users)
        chances = np.exp(logs)
        ratios = np.exp(logs[rows, answers] - old)
        gains = np.minimum(ratios * advantages, np.clip(ratios, 1 - clip_range, 1 + clip_range) * advantages)
        entropies = -(chances * logs).sum(axis=1)
        # Where the clipped term is the smaller one, the gain does not depend on the weights.
        slopes = np.where(gains == ratios * advantages, ratios * advantages, 0.0)[:, None]
        chosen = np.eye(ANSWERS)[answers]
        by_score = -slopes * (chosen - chances) + entropy_coef * chances * (logs + entropies[:, None])
        self._adam(GAIN * users.T @ by_score / len(users), learning_rate)
        self.divergence = float((ratios - 1 - (logs[rows, answers] - old)).mean())
        return float(-gains.mean() - entropy_coef * entropies.mean())

    def _adam(self, gradient: Array, learning_rate: float) -> None:
        self.updates += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first = self.first / (1 - 0.9**self.updates)
        second = self.second / (1 - 0.999**self.updates)
        self.weights = self.weights - learning_rate * first / (np.sqrt(second) + 1e-8)


@dataclasses.dataclass
class Rollout:
    """Steps collected since the last update: users, answers, their log probabilities, normalized rewards."""

    users: list[list[float]] = dataclasses.field(default_factory=list)
    answers: list[int] = dataclasses.field(default_factory=list)
    logs: list[float] = dataclasses.field(default_factory=list)
    rewards: list[float] = dataclasses.field(default_factory=list)

    def arrays(self) -> tuple[Array, NDArray[np.int64], Array, Array]:
        """All of it, with the rewards as advantages over their mean."""
        rewards = np.array(self.rewards)
        return np.array(self.users), np.array(self.answers), np.array(self.logs), rewards - rewards.mean()

    def part(self, rows: NDArray[np.int64]) -> Rollout:
        """The steps of these numbers."""
        return Rollout(*([column[row] for row in rows] for column in dataclasses.astuple(self)))


class Training:
    """Everything that changes while training, so that a checkpoint can hold all of it."""

    def __init__(self, contract: Contract, metrics: Metrics) -> None:
        self.contract = contract
        self.metrics = metrics
        self.step = 0
        self.policy = Policy()
        self.rollout = Rollout()
        self.normalizer = contract.reward_normalization.normalizer()
        self.chance = np.random.default_rng()
        self.seeded = Chance(contract, self.chance)

    def advance(self) -> None:
        """One step: a user, an answer, a rating; and an update when enough of them are collected."""
        user: Array = self.chance.normal(size=FEATURES)
        logs = self.policy.log_probabilities(user[None, :])[0]
        answer = int(self.chance.choice(ANSWERS, p=np.exp(logs)))
        raw = rating(user, answer, self.chance)
        normalized = self.normalizer(raw)
        self.rollout.users.append(user.tolist())
        self.rollout.answers.append(answer)
        self.rollout.logs.append(float(logs[answer]))
        self.rollout.rewards.append(normalized)
        self.step += 1
        self.metrics.reward(raw, normalized, self.normalizer)
        self.metrics.episode(raw)
        if len(self.rollout.rewards) >= self.contract.ppo.update_frequency:
            self._update()
        self.metrics.step(
            self.step,
            entropy_coef=self.contract.entropy_coef.value(self.step),
            learning_rate=self.contract.learning_rate.value(self.step),
        )

    def _update(self) -> None:
        ppo, rows = self.contract.ppo, np.arange(len(self.rollout.rewards))
        for _ in range(ppo.n_epochs):
            self.chance.shuffle(rows)
            for start in range(0, len(rows), ppo.batch_size):
                loss = self.policy.learn(
                    self.rollout.part(rows[start : start + ppo.batch_size]),
                    clip_range=ppo.clip_range,
                    entropy_coef=self.contract.entropy_coef.value(self.step),
                    learning_rate=self.contract.learning_rate.value(self.step),
                )
                self.metrics.minibatch(loss)
        self.rollout = Rollout()
        self.metrics.update(approx_kl=self.policy.divergence)

    def save(self, checkpoints: CheckpointStore) -> Checkpoint:
        """Commit a checkpoint; only then the metrics say that there is one."""
        state = {
            "step": self.step,
            "updates": self.policy.updates,
            "rollout": dataclasses.asdict(self.rollout),
            "normalizer": self.normalizer.state_dict(),
            "metrics": self.metrics.state_dict(),
            "chance": self.seeded.state_dict(),
        }
        saved = checkpoints.save(
            self.step,
            {"policy.npz": self._write_policy, "state.json": json.dumps(state).encode()},
            schedule=self.contract.schedule_values(self.step),
            metrics=self.metrics.since_last_save(),
        )
        self.metrics.saved(saved)
        return saved

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint: in its own attempt as if there had been no break, in a later one by other chance."""
        with np.load(checkpoint.file("policy.npz"), allow_pickle=False) as arrays:
            self.policy.weights, self.policy.first, self.policy.second = (arrays[name] for name in ("w", "m", "v"))
        state: dict[str, Any] = json.loads(checkpoint.file("state.json").read_bytes())
        self.step, self.policy.updates = state["step"], state["updates"]
        self.rollout = Rollout(**state["rollout"])
        self.normalizer.load_state_dict(state["normalizer"])
        self.metrics.load_state_dict(state["metrics"])
        self.metrics.resumed(checkpoint)
        self.seeded.load_state_dict(state["chance"])

    def _write_policy(self, path: Path) -> None:
        np.savez(path, w=self.policy.weights, m=self.policy.first, v=self.policy.second)


def main() -> int:
    """Train to the end, or until told to stop. Only the end is a success: exit code 0."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        contract = Contract.from_environment()
    except ContractError as error:
        logging.critical("%s", error)
        return 2
    checkpoints = CheckpointStore.of(contract, {"numpy": np.__version__})
    training = Training(contract, Metrics())
    if (resumed := checkpoints.resume(contract.resume_from)) is not None:
        training.restore(resumed)
    with training.metrics.serve(contract.metrics_port) as server:
        logging.info("attempt %d from step %d, metrics on port %d", contract.attempt, training.step, server.port)
        with StopSignal() as stop:
            while training.step < contract.total_steps and not stop.requested:
                training.advance()
                if training.step % contract.save_frequency == 0:
                    means = training.save(checkpoints).metrics
                    logging.info("step %d: mean rating %.3f", training.step, means["reward"])
            training.save(checkpoints)
        if not stop.requested:
            logging.info("finished; waiting up to 30 s for Prometheus to see the last step")
            server.wait_for_scrape(30)
    return stop.exit_code


if __name__ == "__main__":
    sys.exit(main())
