"""The fault on purpose strikes once, where it was ordered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from making import Made, parameters

from accord_trainer.sb3.policyfile import Policy

HEAD = "action_net.weight"


def test_it_strikes_after_the_checkpoint_of_its_step_and_only_the_head(tmp_path: Path) -> None:
    directories = tmp_path / "whole", tmp_path / "broken"
    # One after the other: random numbers are the process's.
    Made(directories[0]).run()
    Made(directories[1], disturb_at=150).run()
    policies = {
        step: [Policy.read(directory / f"step-{step:08d}" / "policy.npz") for directory in directories]
        for step in (200, 300)
    }
    observations = np.random.default_rng(1).normal(size=(300, 40))
    good, still_good = policies[200]
    np.testing.assert_array_equal(good.logits(observations), still_good.logits(observations))
    good, bad = policies[300]
    agree = np.mean(good.logits(observations).argmax(axis=1) == bad.logits(observations).argmax(axis=1))
    assert agree < 0.2


def test_it_strikes_no_later_attempt(tmp_path: Path) -> None:
    heads = []
    for name, disturb_at in (("a", None), ("b", 150)):
        made = Made(tmp_path / name, attempt=2, disturb_at=disturb_at)
        made.run()
        heads.append(parameters(made)[HEAD])
    np.testing.assert_array_equal(*heads)


def test_a_fault_that_lies_behind_is_not_repeated(tmp_path: Path) -> None:
    Made(tmp_path, total_steps=300, disturb_at=150).run()
    resumed = Made(tmp_path, disturb_at=150).resume()
    before = parameters(resumed)[HEAD]
    resumed.run()
    assert np.abs(parameters(resumed)[HEAD] - before).max() < 0.1
