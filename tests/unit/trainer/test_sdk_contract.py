"""The environment as a trainer reads it, and as the operator writes it."""

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

import accord_trainer
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.training.contract import VARIABLES, environment
from accord_trainer.sdk import Contract, ContractError, Schedule

SPEC: dict[str, Any] = {
    "template": {},
    "totalSteps": 123,
    "schedules": {
        "entropyCoef": {"initial": 0.5, "final": 0.25, "decaySteps": 11, "decayStrategy": "Cosine"},
        "learningRate": {"initial": 1e-8, "final": 1e-9, "decaySteps": 12, "decayStrategy": "Constant"},
    },
    "ppo": {"clipRange": 0.1, "gamma": 1, "lambda": 0.5, "batchSize": 8, "epochs": 3, "updateFrequency": 64},
    "rewardNormalization": {
        "enabled": False,
        "window": 77,
        "epsilon": 1e-5,
        "clip": 2.5,
        "updateFrequency": 9,
        "bootstrap": {"size": 6, "mean": -1.5, "std": 0.5},
    },
    "checkpoints": {"saveFrequency": 32, "keep": 4},
    "monitoring": {"port": 9999},
    "resume": "Never",
}


def _written(spec: dict[str, Any], **arguments: Any) -> dict[str, str]:
    run = TrainingRun.model_validate({"metadata": {"name": "demo", "namespace": "ns"}, "spec": spec})
    return {entry["name"]: entry["value"] for entry in environment(run, **arguments)}


def test_what_the_operator_writes_is_what_a_trainer_reads() -> None:
    written = _written(SPEC, attempt=4)
    contract = Contract.from_environment(written)
    assert contract == Contract(
        run="demo",
        attempt=4,
        seed=int(written["ACCORD_SEED"]),
        metrics_port=9999,
        checkpoint_dir=Path("/checkpoints"),
        resume_from="",
        total_steps=123,
        entropy_coef=Schedule(0.5, 0.25, 11, "Cosine"),
        learning_rate=Schedule(1e-8, 1e-9, 12, "Constant"),
        ppo=dataclasses.replace(
            contract.ppo, clip_range=0.1, gamma=1.0, gae_lambda=0.5, batch_size=8, n_epochs=3, update_frequency=64
        ),
        save_frequency=32,
        reward_normalization=dataclasses.replace(
            contract.reward_normalization,
            enabled=False,
            window=77,
            epsilon=1e-5,
            clip=2.5,
            update_frequency=9,
            bootstrap_size=6,
            bootstrap_mean=-1.5,
            bootstrap_std=0.5,
        ),
        checkpoint_keep=4,
    )
    normalizer = contract.reward_normalization.normalizer()
    assert (normalizer.enabled, normalizer.window, normalizer.mean, normalizer.std) == (False, 77, -1.5, 0.5)


def test_every_field_of_the_contract_comes_from_its_own_variable() -> None:
    """Each variable changed alone changes the contract, and two never change the same thing."""
    base, changed = _written({"template": {}}), _written(SPEC, attempt=4)
    changed |= {"ACCORD_RUN": "other", "ACCORD_RUN_UID": "6f", "CHECKPOINT_DIR": "/elsewhere"}
    contracts = {name: Contract.from_environment({**base, name: changed[name]}) for name in base}
    assert len(set(map(repr, contracts.values()))) == len(base) == len(VARIABLES)
    assert Contract.from_environment(base) not in contracts.values()


def test_the_defaults_on_a_desk_are_those_of_the_api() -> None:
    written = _written({"template": {}})
    local = dataclasses.replace(
        Contract.from_environment({}),
        run="demo",
        seed=int(written["ACCORD_SEED"]),
        checkpoint_dir=Path(written["CHECKPOINT_DIR"]),
    )
    assert local == Contract.from_environment(written)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(ContractError) as caught:
        Contract.from_environment(
            {
                "ACCORD_ATTEMPT": "first",
                "METRICS_PORT": "70000",
                "CHECKPOINT_DIR": "",
                "PPO_TOTAL_STEPS": "0",
                "PPO_GAMMA": "1.5",
                "PPO_CLIP_RANGE": "-0.1",
                "PPO_LAMBDA": "nan",
                "PPO_ENTROPY_COEF_INITIAL": "high",
                "PPO_ENTROPY_COEF_DECAY_STRATEGY": "Exponential",
                "REWARD_NORM_ENABLED": "yes",
                "REWARD_NORM_EPSILON": "0",
            }
        )
    assert str(caught.value).splitlines() == [
        "the environment of this trainer cannot be used:",
        "  ACCORD_ATTEMPT='first': must be a whole number",
        "  METRICS_PORT='70000': must be from 0 to 65535",
        "  CHECKPOINT_DIR='': must be the path of a directory",
        "  PPO_TOTAL_STEPS='0': must be at least 1",
        "  PPO_ENTROPY_COEF_INITIAL='high': must be a number",
        "  PPO_ENTROPY_COEF_DECAY_STRATEGY='Exponential': is unknown: use Linear, Cosine, Constant",
        "  PPO_CLIP_RANGE='-0.1': must be at least 0",
        "  PPO_GAMMA='1.5': must be from 0 to 1",
        "  PPO_LAMBDA='nan': must be a finite number",
        "  REWARD_NORM_ENABLED='yes': must be true or false",
        "  REWARD_NORM_EPSILON='0': must be greater than 0",
    ]


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPO_TOTAL_STEPS", "42")
    assert Contract.from_environment().total_steps == 42


def test_schedule_values_have_the_names_of_the_manifest() -> None:
    assert Contract().schedule_values(10_000) == {"entropyCoef": 0.005, "learningRate": 1e-4}


def test_the_sdk_does_not_import_the_operator() -> None:
    package = Path(accord_trainer.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "accord"], path
