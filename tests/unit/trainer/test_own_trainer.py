"""The example trainer, run as a process under the environment that the operator would write."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.training.contract import environment
from accord_trainer.sdk import Checkpoint, CheckpointStore

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "examples/own-trainer/own_trainer.py"


class Trainer:
    """A running trainer: its log, and its metrics as Prometheus would get them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self._log = process.stderr
        line = self._log.readline()
        found = re.search(r"attempt (\d+) from step (\d+), metrics on port (\d+)", line)
        assert found, line + self._log.read()
        self.attempt, self.first_step, self._port = map(int, found.groups())

    def wait_for_log(self, text: str) -> None:
        while text not in (line := self._log.readline()):
            assert line, f"the trainer ended without saying {text!r}"

    def scrape(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=120) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return {each.name: each.value for family in families for each in family.samples if "le" not in each.labels}

    def last_scrape(self) -> dict[str, float]:
        """What is seen of it when it is done: scraped until it is gone."""
        self.wait_for_log("finished")
        found = self.scrape()
        while self.process.poll() is None:
            with suppress(OSError, HTTPException):  # it leaves as soon as one scrape is through
                found = self.scrape()
        assert self.process.returncode == 0
        return found


@contextmanager
def _trainer(directory: Path, attempt: int, spec: dict[str, Any], **changes: str) -> Iterator[Trainer]:
    run = TrainingRun.model_validate(
        {"metadata": {"name": "demo", "namespace": "ns"}, "spec": {"template": {}, **spec}},
    )
    contract = {entry["name"]: entry["value"] for entry in environment(run, attempt=attempt)}
    own = {
        "METRICS_PORT": "0",
        "CHECKPOINT_DIR": str(directory),
        "PYTHONPATH": str(ROOT / "trainer"),
        "OPENBLAS_NUM_THREADS": "1",
        **changes,
    }
    command = [sys.executable, str(PROGRAM)]
    with subprocess.Popen(command, env={**os.environ, **contract, **own}, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Trainer(process)
        finally:
            process.kill()


def _finish(directory: Path, attempt: int, spec: dict[str, Any], **changes: str) -> dict[str, float]:
    """Run to the end and return the last scrape."""
    with _trainer(directory, attempt, spec, **changes) as trainer:
        return trainer.last_scrape()


def test_the_whole_run_is_seen_and_the_policy_learns(tmp_path: Path) -> None:
    found = _finish(tmp_path, 1, {})
    assert found["ppo_training_step"] == found["ppo_checkpoint_step"] == 10_000
    assert (found["ppo_entropy_coef"], found["ppo_learning_rate"]) == (0.005, 1e-4)
    assert found["ppo_reward_count"] == 10_000
    assert found["ppo_updates_total"] == found["checkpoint_saves_total"] == 20
    assert found["ppo_loss_count"] == 20 * 4 * 8
    checkpoints = [CheckpointStore(tmp_path).load(step) for step in range(500, 10_001, 500)]
    # An untrained policy is rated 3 by its make; the trained one has found out what users like.
    assert checkpoints[0].metrics["reward"] == pytest.approx(3.0, abs=0.3)
    assert checkpoints[-1].metrics["reward"] > 4
    assert checkpoints[9].schedule["entropyCoef"] == pytest.approx(0.0125)


def _state(checkpoint: Checkpoint | None) -> tuple[dict[str, Any], bytes]:
    assert checkpoint is not None
    with np.load(checkpoint.file("policy.npz")) as arrays:
        return json.loads(checkpoint.file("state.json").read_bytes()), b"".join(
            arrays[name].tobytes() for name in "wmv"
        )


def test_a_run_that_was_stopped_and_one_that_was_killed_end_like_an_unbroken_one(tmp_path: Path) -> None:
    spec = {"totalSteps": 6000, "ppo": {"updateFrequency": 200}, "checkpoints": {"saveFrequency": 250}}
    unbroken = _finish(tmp_path / "unbroken", 1, spec)

    broken = tmp_path / "broken"
    with _trainer(broken, 1, spec) as first:
        first.wait_for_log("step 750:")
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(30) == 143
    stopped = CheckpointStore(broken).latest_verified()
    assert stopped is not None
    with _trainer(broken, 1, spec) as second:
        assert second.first_step == stopped.step >= 750, "nothing is lost where there was time to save"
        second.wait_for_log("step 1500:")
        second.process.kill()
        second.process.wait(30)
    killed = CheckpointStore(broken).latest_verified()
    assert killed is not None
    with _trainer(broken, 1, spec) as third:
        assert third.first_step == killed.step >= 1500
        resumed = third.last_scrape()

    assert _state(CheckpointStore(broken).latest_verified()) == _state(
        CheckpointStore(tmp_path / "unbroken").latest_verified()
    )
    for name in ("ppo_reward_sum", "ppo_reward_count", "ppo_loss_sum", "ppo_loss_count", "reward_normalizer_mean"):
        assert resumed[name] == unbroken[name], name


def test_a_later_attempt_from_the_same_checkpoint_takes_another_way_each_time_the_same(tmp_path: Path) -> None:
    spec = {"totalSteps": 1500, "ppo": {"updateFrequency": 200}, "checkpoints": {"saveFrequency": 500}}
    _finish(tmp_path / "first", 1, spec)
    first = CheckpointStore(tmp_path / "first").load(1500)
    ends = []
    for directory in ("second", "once-more"):
        shutil.copytree(tmp_path / "first", tmp_path / directory)
        with _trainer(tmp_path / directory, 2, spec, RESUME_FROM="step-00000500") as second:
            assert second.first_step == 500
            second.last_scrape()
        ends.append(CheckpointStore(tmp_path / directory).load(1500))
    assert [end.attempt for end in ends] == [2, 2]
    assert _state(ends[0])[1] == _state(ends[1])[1]
    assert _state(ends[0])[1] != _state(first)[1]
    assert ends[0].metrics["reward"] != first.metrics["reward"]


def test_a_finished_run_that_is_started_again_changes_nothing(tmp_path: Path) -> None:
    spec = {"totalSteps": 300, "checkpoints": {"saveFrequency": 100}}
    _finish(tmp_path, 1, spec)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("step-*/*")}
    found = _finish(tmp_path, 2, spec)
    assert found["ppo_training_step"] == 300
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("step-*/*")} == before


def test_a_wrong_environment_ends_it_at_once_with_every_mistake() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "trainer"), "PPO_GAMMA": "2", "PPO_TOTAL_STEPS": "many"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True, timeout=6000, check=False
    )
    assert done.returncode == 2
    assert "PPO_GAMMA='2': must be from 0 to 1" in done.stderr
    assert "PPO_TOTAL_STEPS='many': must be a whole number" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("own_trainer", PROGRAM)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["own_trainer"] = module  # dataclasses look themselves up there
    specification.loader.exec_module(module)
    return module


def test_its_gradient_is_that_of_its_loss(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(5)
    policy = example.Policy()
    policy.weights = chance.normal(size=policy.weights.shape) * 0.02
    users, count = chance.normal(size=(40, example.FEATURES)), 40
    answers = chance.integers(0, example.ANSWERS, count)
    # Old chances that differ, so that some ratios are clipped.
    old = policy.log_probabilities(users)[np.arange(count), answers] + chance.normal(size=count) * 0.3
    rollout = example.Rollout(users.tolist(), answers.tolist(), old.tolist(), chance.normal(size=count).tolist())
    gradients: list[Any] = []
    monkeypatch.setattr(example.Policy, "_adam", lambda _self, gradient, _rate: gradients.append(gradient))

    def loss() -> float:
        return float(policy.learn(rollout, clip_range=0.2, entropy_coef=0.05, learning_rate=0.0))

    loss()
    for index in np.ndindex(policy.weights.shape):
        middle = policy.weights[index]
        policy.weights[index] = middle + 1e-7
        high = loss()
        policy.weights[index] = middle - 1e-7
        low = loss()
        policy.weights[index] = middle
        assert gradients[0][index] == pytest.approx((high - low) / 2e-7, rel=1e-4, abs=1e-5)
