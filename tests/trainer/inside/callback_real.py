"""Any PPO of stable-baselines3 by one callback, on real PyTorch."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from making import CARTPOLE, SMALL
from prometheus_client import REGISTRY, CollectorRegistry
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from accord_trainer.sb3.callback import AccordCallback
from accord_trainer.sb3.policyfile import Policy
from accord_trainer.sdk import CheckpointStore, Contract, Metrics, session
from accord_trainer.sdk.contract import RewardNormalization
from accord_trainer.sdk.schedules import Schedule

PAGE = Path(os.environ.get("DOCS", "/docs")) / "how-to/bring-your-own-trainer.md"
AFTER = 130
"""A step in the middle of collecting steps for the second update."""


@pytest.fixture(autouse=True)
def nobody_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0)


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return Contract(
        run="r",
        run_uid="u-1",
        metrics_port=0,
        checkpoint_dir=tmp_path / "checkpoints",
        reward_normalization=RewardNormalization(enabled=False),
        **SMALL,
    )


class Run:
    """A training by the callback, as a user writes it."""

    def __init__(self, contract: Contract, environment: Any = CARTPOLE, environments: int = 1) -> None:
        self.registry = CollectorRegistry()
        self.accord = AccordCallback(contract=contract, metrics=Metrics(self.registry))
        self.model = PPO("MlpPolicy", environment, device="cpu", **self.accord.hyperparameters(environments))

    def learn(self, at: Callable[[Run], Any] | None = None) -> int:
        """To the end; `at` is called after each step."""
        if at is not None:
            step = self.accord._on_step
            self.accord._on_step = lambda: (at(self), step())[1]
        self.model.learn(self.accord.total_steps, callback=self.accord)
        return self.accord.exit_code

    def value(self, series: str) -> float | None:
        return self.registry.get_sample_value(series)

    @property
    def weights(self) -> bytes:
        return b"".join(each.numpy().tobytes() for each in self.model.policy.state_dict().values())


def killed(run: Run) -> None:
    if run.model.num_timesteps == AFTER:
        raise KeyboardInterrupt


def test_a_whole_training_is_seen_and_saved(contract: Contract) -> None:
    run = Run(contract)
    assert run.learn() == 0
    assert sorted(path.name for path in contract.checkpoint_dir.glob("step-*")) == [
        f"step-{step:08d}" for step in (100, 200, 300, 400)
    ]
    names = ("ppo_training_step", "ppo_checkpoint_step", "ppo_updates_total", "ppo_loss_count")
    assert [run.value(name) for name in names] == [400, 400, 4, 4]
    # Every step of CartPole earns 1: all of them belong to an episode, but those of the one under way.
    assert 300 < run.value("ppo_reward_sum") <= 400
    newest = CheckpointStore.of(contract).load(400)
    assert set(newest.files) == {"model.zip", "policy.npz", "session.json"}
    assert set(newest.versions) >= {"torch", "gymnasium", "stable-baselines3"}


def test_the_reported_loss_is_that_of_the_update(contract: Contract) -> None:
    run = Run(replace(contract, total_steps=100))
    losses: list[float] = []
    backward = torch.Tensor.backward

    def watched(loss: torch.Tensor, *arguments: Any, **more: Any) -> None:
        losses.append(loss.item())
        backward(loss, *arguments, **more)

    torch.Tensor.backward = watched
    try:
        run.learn()
    finally:
        torch.Tensor.backward = backward
    assert run.value("ppo_loss") == pytest.approx(np.mean(losses), rel=1e-4)
    assert 0 < run.value("ppo_approx_kl") < 0.1
    assert run.value("ppo_explained_variance") < 1
    assert run.value("ppo_approx_kl_count") == run.value("ppo_explained_variance_count") == 1


def test_each_update_has_the_values_of_its_step(contract: Contract) -> None:
    entropy, rate = Schedule(0.001, 0.02, 400, "Linear"), Schedule(0.0, 1e-3, 300, "Cosine")
    run = Run(replace(contract, entropy_coef=entropy, learning_rate=rate))
    found: list[tuple[int, float, float]] = []
    optimizer, step = run.model.policy.optimizer, run.model.policy.optimizer.step

    def watched(*arguments: Any, **more: Any) -> Any:
        entry = (run.model.num_timesteps, float(run.model.ent_coef), float(optimizer.param_groups[0]["lr"]))
        if entry not in found:
            found.append(entry)
        return step(*arguments, **more)

    optimizer.step = watched
    run.learn()
    assert found == [(at, entropy.value(at), rate.value(at)) for at in (100, 200, 300, 400)]
    assert run.value("ppo_learning_rate") == rate.value(400)


def test_a_killed_training_goes_on_from_its_last_save_to_its_last_step(contract: Contract) -> None:
    with pytest.raises(KeyboardInterrupt):
        Run(contract).learn(killed)
    run = Run(contract)
    first: list[tuple[int, bytes]] = []
    assert run.learn(lambda r: first or first.append((r.model.num_timesteps, r.weights))) == 0
    saved = zipfile.ZipFile(contract.checkpoint_dir / "step-00000100/model.zip").read("policy.pth")
    state = torch.load(io.BytesIO(saved), weights_only=True)
    assert first == [(101, b"".join(each.numpy().tobytes() for each in state.values()))]
    assert run.model.num_timesteps == run.value("ppo_training_step") == 400
    assert run.value("ppo_updates_total") == 3


def test_a_pod_after_a_killed_one_does_the_same_and_a_later_attempt_does_not(contract: Contract) -> None:
    Run(replace(contract, total_steps=100)).learn()
    ends = []
    for number, (attempt, seed) in enumerate([(1, 11), (1, 11), (2, 12), (2, 12)]):
        directory = contract.checkpoint_dir.with_name(f"copy-{number}")
        directory.mkdir()
        for path in contract.checkpoint_dir.glob("step-*"):
            (directory / path.name).mkdir()
            for file in path.iterdir():
                (directory / path.name / file.name).write_bytes(file.read_bytes())
        run = Run(replace(contract, checkpoint_dir=directory, attempt=attempt, seed=seed))
        assert run.learn() == 0
        ends.append(run.weights)
    assert ends[0] == ends[1]
    assert ends[2] == ends[3]
    assert ends[0] != ends[2]


def test_the_program_on_the_page_trains_and_goes_on(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"in the trainer's image by the tests -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    directory = contract.checkpoint_dir
    monkeypatch.setenv("CHECKPOINT_DIR", str(directory))
    monkeypatch.setenv("METRICS_PORT", "0")
    monkeypatch.setenv("REWARD_NORM_ENABLED", "false")
    for total in (1000, 1500):
        monkeypatch.setenv("PPO_TOTAL_STEPS", str(total))
        names: dict[str, Any] = {}
        with pytest.raises(SystemExit) as left:
            exec(code, names)
        REGISTRY.unregister(names["accord"].session.metrics)
        assert left.value.code == 0
        assert max(path.name for path in directory.glob("step-*")) == f"step-{total:08d}"
    assert names["accord"].session.resumed.step == 1000


def test_told_to_stop_it_saves_the_last_update_and_is_not_finished(contract: Contract) -> None:
    def told(run: Run) -> None:
        if run.model.num_timesteps == AFTER:
            signal.raise_signal(signal.SIGTERM)

    run = Run(replace(contract, save_frequency=1000))
    assert run.learn(told) == 143
    assert [path.name for path in contract.checkpoint_dir.glob("step-*")] == ["step-00000100"]


def test_rewards_reach_the_policy_as_the_spec_normalizes_them(contract: Contract) -> None:
    normalized = RewardNormalization(bootstrap_size=1000, bootstrap_mean=3.0, bootstrap_std=2.0)
    run = Run(replace(contract, reward_normalization=normalized, total_steps=100))
    run.learn()
    # Each step earns 1, and an episode that is over is not bootstrapped.
    assert np.unique(run.model.rollout_buffer.rewards) == pytest.approx([(1 - 3) / 2])
    assert run.value("ppo_reward_sum") > 50


def test_environments_side_by_side_and_their_statistics_are_gone_on_with(contract: Contract) -> None:
    def environments() -> VecNormalize:
        return VecNormalize(make_vec_env(CARTPOLE, n_envs=4))

    contract = replace(contract, total_steps=200)
    run = Run(contract, environments(), 4)
    assert run.model.n_steps == 25
    assert run.learn() == 0
    # What VecNormalize has normalized is not normalized twice, and is reported raw.
    assert run.value("ppo_reward_sum") > 100
    again = Run(replace(contract, total_steps=400), environments(), 4)
    counts: list[float] = []
    again.learn(lambda r: counts or counts.append(r.model.get_vec_normalize_env().obs_rms.count))
    assert counts[0] > run.model.get_vec_normalize_env().obs_rms.count - 10
    assert again.value("ppo_training_step") == 400


def test_what_is_saved_is_read_by_stable_baselines3_alone_and_by_a_service(contract: Contract) -> None:
    run = Run(contract)
    run.learn()
    directory = contract.checkpoint_dir / "step-00000400"
    text = zipfile.ZipFile(directory / "model.zip").read("data").decode()
    assert "accord_trainer" not in text
    loaded = PPO.load(directory / "model.zip", device="cpu")
    observation = np.array([0.01, -0.02, 0.03, 0.04], dtype=np.float32)
    action, _ = loaded.predict(observation, deterministic=True)
    assert action == run.model.predict(observation, deterministic=True)[0]
    assert Policy.read(directory / "policy.npz") is not None
    assert json.loads((directory / "session.json").read_text())["step"] == 400
