"""A policy in a file, read and written without PyTorch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from accord_trainer.sb3.policyfile import Layer, Policy, PolicyFileError


def _policy(*sizes: int) -> Policy:
    chance = np.random.default_rng(7)
    return Policy(
        tuple(
            Layer(chance.normal(size=(inputs, outputs)).astype(np.float32), np.full(outputs, 0.1, np.float32))
            for inputs, outputs in pairwise(sizes)
        )
    )


def test_a_policy_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    policy = _policy(40, 64, 64, 60)
    policy.write(tmp_path / "policy.npz")
    again = Policy.read(tmp_path / "policy.npz")
    observation = np.random.default_rng(1).normal(size=(5, 40))
    assert (again.inputs, again.actions) == (40, 60)
    np.testing.assert_array_equal(again.logits(observation), policy.logits(observation))


def test_the_same_policy_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        _policy(4, 8, 2).write(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_layers_are_named_as_documented_and_applied_with_tanh(tmp_path: Path) -> None:
    _policy(3, 5, 2).write(tmp_path / "policy.npz")
    with np.load(tmp_path / "policy.npz") as file:
        arrays = dict(file)
    assert set(arrays) == {"format", "w0", "b0", "w_out", "b_out"}
    assert {each.dtype for name, each in arrays.items() if name != "format"} == {np.dtype(np.float32)}
    observation = np.array([0.5, -1.0, 2.0], np.float32)
    expected = np.tanh(observation @ arrays["w0"] + arrays["b0"]) @ arrays["w_out"] + arrays["b_out"]
    policy = Policy.read(tmp_path / "policy.npz")
    np.testing.assert_array_equal(policy.logits(observation), expected)
    assert policy.best(observation) == int(expected.argmax())


def test_draws_follow_the_softmax_of_the_logits() -> None:
    policy, chance = _policy(3, 4), np.random.default_rng(3)
    observation = np.array([0.3, 0.1, -0.2])
    logits = policy.logits(observation).astype(float)
    wanted = np.exp(logits) / np.exp(logits).sum()
    drawn = np.bincount([policy.draw(observation, chance) for _ in range(20_000)], minlength=4) / 20_000
    np.testing.assert_allclose(drawn, wanted, atol=0.015)


def test_an_observation_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="has 3 numbers"):
        _policy(3, 2).logits(np.zeros(4))


def _broken(change: str) -> dict[str, np.ndarray]:
    arrays = {
        "format": np.array(1),
        "w0": np.ones((3, 5), np.float32),
        "b0": np.ones(5, np.float32),
        "w_out": np.ones((5, 2), np.float32),
        "b_out": np.ones(2, np.float32),
    }
    if change == "format":
        arrays["format"] = np.array(2)
    elif change == "shape":
        arrays["w_out"] = np.ones((4, 2), np.float32)
    elif change == "NaN":
        arrays["b_out"] = np.array([np.nan, 0], np.float32)
    else:
        del arrays[change]
    return arrays


@pytest.mark.parametrize("change", ["format", "shape", "NaN", "b0", "w_out"])
def test_what_is_no_policy_is_refused_by_name(tmp_path: Path, change: str) -> None:
    np.savez(tmp_path / "policy.npz", **_broken(change))
    with pytest.raises(PolicyFileError, match=r"policy\.npz holds no policy"):
        Policy.read(tmp_path / "policy.npz")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policy.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(PolicyFileError):
        Policy.read(tmp_path / "policy.npz")
    with pytest.raises(PolicyFileError):
        Policy.read(tmp_path / "missing.npz")
