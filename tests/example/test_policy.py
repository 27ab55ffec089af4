"""The service with a policy: what it serves, what it refuses to serve, and what its users think of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.example.conftest import EXAMPLE, Process, environment

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.training import ratings
from accord_trainer.sb3.policyfile import FILE, Layer, Policy
from accord_trainer.sb3.ratings import ACTION_DIM, STATE_DIM, Users
from accord_trainer.sdk import CheckpointStore

Start = Callable[..., Process]
ANSWERED = 600


def learnt_from_ratings() -> Policy:
    """A policy of one layer, from nothing but ratings: for each answer, how they depend on the users who got it."""
    chance, users = np.random.default_rng(7), Users()
    weights = np.zeros((STATE_DIM, ACTION_DIM), dtype=np.float32)
    bias = np.zeros(ACTION_DIM, dtype=np.float32)
    for answer in range(ACTION_DIM):
        states = np.array([users.state(chance) for _ in range(300)])
        given = np.array([users.rating(state, answer, chance) for state in states])
        found = np.linalg.lstsq(np.column_stack([states, np.ones(len(states))]), given, rcond=None)[0]
        weights[:, answer], bias[answer] = found[:-1], found[-1]
    return Policy([Layer(weights, bias)])


def other_shape() -> Policy:
    return Policy([Layer(np.ones((4, 2), dtype=np.float32), np.zeros(2, dtype=np.float32))])


def checkpoint(directory: Path, step: int, policy: Policy) -> Path:
    """As a trainer commits it."""
    return CheckpointStore(directory).save(step, {FILE: policy.write, "model.zip": b"for the trainer only"}).path


def answers(service: Process, number: int) -> list[dict[str, Any]]:
    return [json.loads(service.call("/generate")[1]) for _ in range(number)]


def mean_rating(service: Process) -> float:
    counted = service.counted("user_ratings_total", "rating")
    return sum(float(stars) * count for stars, count in counted.items()) / sum(counted.values())


def fails_to_start(**more: str) -> str:
    """What a process says that ends at once, on a port of nobody."""
    done = subprocess.run(
        [sys.executable, "-m", "modeservice"],
        cwd=EXAMPLE,
        env=environment(PORT="1", **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_says_which_checkpoint_it_serves(start_service: Start, tmp_path: Path) -> None:
    for step in (500, 4000):
        checkpoint(tmp_path, step, learnt_from_ratings())
    service = start_service(MODE="balanced", CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP="500")
    (answer,) = answers(service, 1)
    assert answer["checkpointStep"] == 500
    assert answer["rating"] in range(1, 6)
    assert answer["answer"] in range(ACTION_DIM)
    assert service.header("x-accord-checkpoint-step") == "500"
    assert service.counted("served_checkpoint_step", "mode") == {"balanced": 500}
    assert service.call("/fault?mode=500", "POST")[0] == 200
    assert service.call("/")[0] == 500


def test_what_was_learnt_from_ratings_pleases_users_more_than_chance(start_service: Start, tmp_path: Path) -> None:
    checkpoint(tmp_path, 4000, learnt_from_ratings())
    trained = start_service(CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP="4000")
    untrained = start_service(CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP="")
    for service in (trained, untrained):
        assert sum(service.counted("user_ratings_total", "rating").values()) == 0
        given = [answer["rating"] for answer in answers(service, ANSWERED)]
        # The counter is what the users said, no more and no less.
        assert mean_rating(service) == pytest.approx(sum(given) / len(given))
    print(f"mean rating: untrained {mean_rating(untrained):.2f}, trained {mean_rating(trained):.2f}")
    assert 2.6 < mean_rating(untrained) < 3.3
    assert mean_rating(trained) > 4.2
    assert len({answer["answer"] for answer in answers(untrained, 200)}) > 40


@pytest.mark.parametrize("step", ["", "0"])
def test_before_the_first_checkpoint_an_empty_volume_will_do(start_service: Start, tmp_path: Path, step: str) -> None:
    service = start_service(CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP=step)
    assert answers(service, 1)[0]["checkpointStep"] == 0
    assert service.header("x-accord-checkpoint-step") == "0"


def test_the_checkpoint_itself_may_be_what_is_mounted(start_service: Start, tmp_path: Path) -> None:
    mounted = checkpoint(tmp_path / "volume", 4000, learnt_from_ratings()).rename(tmp_path / "policy")
    service = start_service(CHECKPOINT_DIR=str(mounted), CHECKPOINT_STEP="4000")
    assert answers(service, 1)[0]["checkpointStep"] == 4000
    assert "it says step 4000" in fails_to_start(CHECKPOINT_DIR=str(mounted), CHECKPOINT_STEP="500")


def test_a_mode_without_a_policy_is_not_rated(start_service: Start) -> None:
    service = start_service(MODE="fast")
    assert answers(service, 1)[0].keys() == {"mode", "pod", "text"}
    assert service.header("x-accord-checkpoint-step") is None
    metrics = service.call("/metrics")[1]
    assert "user_ratings" not in metrics
    assert "served_checkpoint_step" not in metrics


def test_errors_are_not_rated(start_service: Start, tmp_path: Path) -> None:
    service = start_service(CHECKPOINT_DIR=str(tmp_path), FAULT_CODE="500")
    assert service.call("/")[0] == 500
    assert service.call("/fault?mode=off", "POST")[0] == 200
    assert service.call("/generate", "POST", b"[1]")[0] == 400
    assert sum(service.counted("user_ratings_total", "rating").values()) == 0
    assert service.counted("user_ratings_total", "rating").keys() == {"1", "2", "3", "4", "5"}


def _flip(path: Path) -> None:
    content = bytearray((path / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (path / FILE).write_bytes(content)


TORN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda path: (path / "manifest.json").unlink(), "has no manifest.json: it was never completed"),
    "cut off": (lambda path: (path / FILE).write_bytes(b"short"), "policy.npz has 5 bytes"),
    "a flipped bit": (_flip, "policy.npz is damaged"),
    "a file missing": (lambda path: (path / "model.zip").unlink(), "model.zip is missing"),
    "elsewhere": (
        lambda path: path.rename(path.with_name("step-00000500")),
        "there is no step-00004000, only step-00000500",
    ),
}


@pytest.mark.parametrize("accident", TORN)
def test_a_checkpoint_that_does_not_verify_is_not_served(accident: str, tmp_path: Path) -> None:
    damage, words = TORN[accident]
    damage(checkpoint(tmp_path, 4000, learnt_from_ratings()))
    said = fails_to_start(CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP="4000")
    assert said.startswith(f"the example service cannot start: the checkpoint of step 4000 in {tmp_path} cannot be")
    assert words in said


def test_a_checkpoint_of_something_else_is_not_served(tmp_path: Path) -> None:
    checkpoint(tmp_path, 500, other_shape())
    assert "takes 4 numbers and chooses one of 2" in fails_to_start(CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP="500")
    CheckpointStore(tmp_path).save(1000, {"model.zip": b"no policy beside it"})
    assert "holds no 'policy.npz'" in fails_to_start(CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP="1000")
    CheckpointStore(tmp_path).save(1500, {FILE: b"nothing of NumPy's"})
    assert "holds no policy that can be used" in fails_to_start(CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP="1500")


@pytest.mark.parametrize("step", ["-1", "latest", "1.5", "٥"])
def test_a_step_that_is_none_is_refused(step: str, tmp_path: Path) -> None:
    assert f"CHECKPOINT_STEP='{step}' is not the step" in fails_to_start(
        CHECKPOINT_DIR=str(tmp_path), CHECKPOINT_STEP=step
    )


def test_the_query_that_retuning_asks_by_default_reads_these_ratings(start_service: Start, tmp_path: Path) -> None:
    service = start_service(MODE="balanced", CHECKPOINT_DIR=str(tmp_path))
    run = TrainingRun.model_validate({"metadata": {"name": "r", "namespace": "ns"}, "spec": {"template": {}}})
    assert ratings.query(run, datetime.now(UTC)) == 'sum by (rating) (user_ratings_total{namespace="ns"})'
    assert 'user_ratings_total{mode="balanced",rating="5"}' in service.call("/metrics")[1]
