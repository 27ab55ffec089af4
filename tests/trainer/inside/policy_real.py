"""The policy in `policy.npz` is the one that stable-baselines3 has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from making import CARTPOLE, Made

from accord_trainer.sb3.environments import RATINGS
from accord_trainer.sb3.policyfile import Policy


@pytest.mark.parametrize("environment", [RATINGS, CARTPOLE])
def test_it_answers_as_stable_baselines3_does(tmp_path: Path, environment: str) -> None:
    made = Made(tmp_path, environment)
    made.run()
    policy = Policy.read(tmp_path / "step-00000400" / "policy.npz")
    observations = np.random.default_rng(5).normal(size=(2000, policy.inputs)).astype(np.float32)
    with torch.no_grad():
        logits = made.model.policy.get_distribution(torch.as_tensor(observations)).distribution.logits.numpy()
    ours = policy.logits(observations)
    np.testing.assert_allclose(
        ours - ours.max(axis=1, keepdims=True), logits - logits.max(axis=1, keepdims=True), atol=2e-5
    )
    answers = made.model.predict(observations, deterministic=True)[0]
    assert [policy.best(each) for each in observations] == answers.tolist()


def test_every_checkpoint_holds_the_policy_of_its_step(tmp_path: Path) -> None:
    Made(tmp_path).run()
    contents = {(path / "policy.npz").read_bytes() for path in tmp_path.glob("step-*")}
    assert len(contents) == 4


def test_a_policy_of_another_shape_has_none(tmp_path: Path) -> None:
    made = Made(tmp_path, "Pendulum-v1")
    assert made.run()
    assert {path.name for path in (tmp_path / "step-00000400").iterdir()} == {
        "model.zip",
        "state.json",
        "manifest.json",
    }


def test_its_reader_needs_numpy_alone() -> None:
    code = (
        "import sys; from accord_trainer.sb3.policyfile import Policy; "
        "print([name for name in ('torch', 'gymnasium', 'stable_baselines3') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
