"""What the callback does, on a model that learns nothing: no framework is needed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from accord_trainer.sb3.following import Fixed, Follower, hyperparameters
from accord_trainer.sdk import CheckpointStore, Contract, Metrics, Session, session
from accord_trainer.sdk.contract import Ppo, RewardNormalization
from accord_trainer.sdk.schedules import Schedule


@pytest.fixture(autouse=True)
def nobody_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0)


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return Contract(
        run_uid="u-1",
        seed=3,
        metrics_port=0,
        checkpoint_dir=tmp_path / "checkpoints",
        total_steps=40,
        save_frequency=20,
        ppo=Ppo(update_frequency=10, batch_size=64),
        learning_rate=Schedule(0.0, 0.4, 40, "Linear"),
        entropy_coef=Schedule(0.4, 0.0, 40, "Linear"),
        reward_normalization=RewardNormalization(bootstrap_size=1000, bootstrap_mean=1.0, bootstrap_std=2.0),
    )


class Environment:
    def __init__(self) -> None:
        self.seeds: list[int] = []

    def seed(self, seed: int) -> None:
        self.seeds.append(seed)

    def reset(self) -> str:
        return f"a first observation after {self.seeds[-1]}"


class Normalize:
    """VecNormalize, as far as it is used."""

    def __init__(self, *, norm_reward: bool) -> None:
        self.norm_reward, self.venv = norm_reward, "venv"
        self.obs_rms, self.ret_rms = 0, 0

    def get_original_reward(self) -> list[float]:
        return [7.0, 7.0]

    def save(self, path: str) -> None:
        Path(path).write_text(json.dumps([self.obs_rms, self.ret_rms]))

    @classmethod
    def load(cls, path: str, venv: Any) -> Normalize:
        assert venv == "venv"
        found = cls(norm_reward=False)
        found.obs_rms, found.ret_rms = json.loads(Path(path).read_text())
        return found


class Model:
    """An algorithm of stable-baselines3, as far as it is used; its weight is what it has seen of rewards."""

    def __init__(self, environments: int = 1, normalize: Normalize | None = None) -> None:
        self.n_envs, self.num_timesteps, self.weight = environments, 0, 0.0
        self.env, self.device = Environment(), "cpu"
        self.vf_coef, self.ent_coef, self.lr_schedule = 0.5, 9.0, Fixed(9.0)
        self._last_obs: Any = None
        self._last_episode_starts = [False, False]
        self.logger = SimpleNamespace(name_to_value={})
        self._normalize = normalize
        self.used: list[tuple[int, float, float]] = []

    def get_vec_normalize_env(self) -> Normalize | None:
        return self._normalize

    def save(self, path: Path, exclude: list[str]) -> None:
        assert exclude == ["lr_schedule"]
        path.write_text(json.dumps(self.weight))

    def set_parameters(self, path: str, *, exact_match: bool, device: str) -> None:
        assert (exact_match, device) == (True, "cpu")
        self.weight = json.loads(Path(path).read_text())

    def train(self) -> None:
        self.used.append((self.num_timesteps, self.ent_coef, self.lr_schedule(0.3)))
        self.logger.name_to_value = {
            "train/policy_gradient_loss": 1.0,
            "train/entropy_loss": -2.0,
            "train/value_loss": 8.0,
            "train/approx_kl": 0.02,
            "train/explained_variance": 0.5 if len(self.used) > 1 else math.nan,
            "train/loss": 99.0,
        }


class Starts(list[bool]):
    """An array, as far as it is used."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, [value] * len(self) if isinstance(key, slice) else value)


class Run:
    """`learn` of stable-baselines3, as far as its order matters."""

    def __init__(self, contract: Contract, environments: int = 1, normalize: Normalize | None = None) -> None:
        self.registry = CollectorRegistry()
        self.session = Session(contract=contract, metrics=Metrics(self.registry))
        self.model = Model(environments, normalize)
        self.model._last_episode_starts = Starts([False] * environments)
        self.rewards: list[float] = []

    def learn(self, stop_at: int | None = None, infos: Any = None) -> int:
        follower = Follower(self.session, self.model, {"extra": (lambda path: path.write_text("x"), None)})
        follower.start()
        while self.model.num_timesteps < self.session.contract.total_steps and self._collect(follower, stop_at, infos):
            self.model.train()
        follower.end()
        return self.session.exit_code

    def _collect(self, follower: Follower, stop_at: int | None, infos: Any) -> bool:
        follower.rollout_starts()
        count = self.model.n_envs
        for _ in range(10 // count):
            self.model.num_timesteps += count
            rewards = [5.0] * count
            ends = [self.model.num_timesteps % 5 == 0] * count
            if self.model.num_timesteps == stop_at:
                self.session._stop._received = 15
            if not follower.step({"rewards": rewards, "dones": ends, "infos": infos or [{}] * count}):
                return False
            self.rewards += rewards
            self.model.weight += sum(rewards)
        follower.rollout_ends()
        return True

    def value(self, series: str) -> float | None:
        return self.registry.get_sample_value(series)


def saved(contract: Contract) -> Iterator[str]:
    return (path.name for path in sorted(contract.checkpoint_dir.glob("step-*")))


def test_schedules_losses_rewards_and_saves(contract: Contract) -> None:
    run = Run(contract)
    assert run.learn() == 0
    entropy, rate = contract.entropy_coef, contract.learning_rate
    assert run.model.used == [(step, entropy.value(step), rate.value(step)) for step in (10, 20, 30, 40)]
    assert list(saved(contract)) == ["step-00000020", "step-00000040"]
    # 1.0 for the gain, -2.0 times the last entropy coefficient, half of 8.0.
    assert run.value("ppo_loss") == pytest.approx(5.0)
    assert (run.value("ppo_loss_count"), run.value("ppo_updates_total")) == (4, 4)
    assert (run.value("ppo_approx_kl_sum"), run.value("ppo_approx_kl_count")) == (pytest.approx(0.08), 4)
    # The first one is NaN, as that of returns that are all alike.
    assert (run.value("ppo_explained_variance"), run.value("ppo_explained_variance_count")) == (0.5, 3)
    # Normalized in place, and reported raw: five steps an episode.
    assert run.rewards == pytest.approx([(5 - 1) / 2] * 40)
    assert (run.value("ppo_reward_sum"), run.value("ppo_reward_count")) == (200.0, 8.0)
    assert run.value("ppo_training_step") == run.value("ppo_checkpoint_step") == 40


def test_it_goes_on_with_new_episodes_of_a_seed_of_their_own(contract: Contract) -> None:
    first = Run(replace(contract, total_steps=20))
    first.learn()
    again = Run(contract)
    assert again.learn() == 0
    assert again.model.used[0][0] == 30
    assert (first.model.env.seeds, again.model.env.seeds) == ([3], [23])
    assert again.model._last_obs == "a first observation after 23"
    assert again.model._last_episode_starts == [True]
    assert again.model.weight == pytest.approx(first.model.weight + 2.0 * 20)
    assert again.value("ppo_reward_count") == 8


def test_told_to_stop_while_collecting_it_saves_the_last_update(contract: Contract) -> None:
    run = Run(replace(contract, save_frequency=1000))
    assert run.learn(stop_at=17) == 143
    assert list(saved(contract)) == ["step-00000010"]


def test_what_vecnormalize_has_normalized_is_left_alone_and_reported_raw(contract: Contract) -> None:
    normalize = Normalize(norm_reward=True)
    normalize.obs_rms, normalize.ret_rms = 3, 4
    run = Run(contract, 2, normalize)
    run.learn()
    assert set(run.rewards) == {5.0}
    assert run.value("ppo_reward_sum") == 7.0 * 40
    checkpoint = CheckpointStore(contract.checkpoint_dir).load(40)
    assert set(checkpoint.files) == {"model.zip", "session.json", "vecnormalize.pkl", "extra"}
    other = Normalize(norm_reward=False)
    again = Run(contract, 2, other)
    again.learn()
    assert (other.obs_rms, other.ret_rms) == (3, 4)


def test_the_return_that_a_monitor_tells_counts(contract: Contract) -> None:
    run = Run(contract)
    run.learn(infos=[{"episode": {"r": 77.0}}])
    assert run.value("ppo_reward") == 77.0


def test_losses_of_another_algorithm_are_taken_as_it_tells_them(contract: Contract) -> None:
    run = Run(contract)
    follower = Follower(run.session, run.model)
    assert follower._losses() == []
    run.model.logger.name_to_value = {"train/loss": 3.0}
    assert follower._losses() == [3.0]


def test_arguments_for_the_algorithm(contract: Contract) -> None:
    found = hyperparameters(Session(contract=contract, metrics=Metrics(CollectorRegistry())), environments=4)
    assert found == {
        "n_steps": 2,
        "batch_size": 8,
        "n_epochs": 4,
        "gamma": 0.99,
        "gae_lambda": 0.95,
        "clip_range": 0.2,
        "learning_rate": 0.0,
        "ent_coef": 0.4,
        "seed": 3,
    }
