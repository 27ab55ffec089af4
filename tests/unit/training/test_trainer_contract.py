"""The environment of the container `trainer`, as the operator writes it."""

from pathlib import Path
from typing import Any

import pytest

from accord.api.schema import resource_schema
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.training.contract import VARIABLES, environment, render, seed

# The names that trainers rely on, written out: a name that changes breaks every image in the field.
NAMES = (
    "ACCORD_RUN ACCORD_RUN_UID ACCORD_ATTEMPT ACCORD_SEED METRICS_PORT CHECKPOINT_DIR RESUME_FROM PPO_TOTAL_STEPS "
    "PPO_ENTROPY_COEF_INITIAL PPO_ENTROPY_COEF_FINAL PPO_ENTROPY_COEF_DECAY_STEPS PPO_ENTROPY_COEF_DECAY_STRATEGY "
    "PPO_LEARNING_RATE_INITIAL PPO_LEARNING_RATE_FINAL PPO_LEARNING_RATE_DECAY_STEPS PPO_LEARNING_RATE_DECAY_STRATEGY "
    "PPO_CLIP_RANGE PPO_GAMMA PPO_LAMBDA PPO_BATCH_SIZE PPO_N_EPOCHS PPO_UPDATE_FREQUENCY PPO_SAVE_FREQUENCY "
    "REWARD_NORM_ENABLED REWARD_NORM_WINDOW REWARD_NORM_EPSILON REWARD_NORM_CLIP REWARD_NORM_UPDATE_FREQUENCY "
    "REWARD_NORM_BOOTSTRAP_SIZE REWARD_NORM_BOOTSTRAP_MEAN REWARD_NORM_BOOTSTRAP_STD CHECKPOINT_KEEP "
)


def _run(spec: dict[str, Any] | None = None, **more: Any) -> TrainingRun:
    metadata = {"name": "demo", "namespace": "ns"}
    return TrainingRun.model_validate({"metadata": metadata, "spec": {"template": {}, **(spec or {})}, **more})


def _values(run: TrainingRun, **arguments: Any) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in environment(run, **arguments)}


def test_the_names_are_those_that_trainers_rely_on() -> None:
    assert [variable.name for variable in VARIABLES] == NAMES.split()


def test_defaults() -> None:
    values = _values(_run())
    assert values["ACCORD_RUN"] == "demo"
    assert values["ACCORD_ATTEMPT"] == "1"
    assert values["CHECKPOINT_DIR"] == "/checkpoints"
    assert values["RESUME_FROM"] == "latest"
    assert values["PPO_ENTROPY_COEF_INITIAL"] == "0.02"
    assert values["PPO_LEARNING_RATE_DECAY_STRATEGY"] == "Cosine"
    assert values["REWARD_NORM_ENABLED"] == "true"
    assert values["REWARD_NORM_EPSILON"] == "1e-08"


def test_every_value_is_text_and_no_float_loses_a_digit() -> None:
    values = _values(_run({"ppo": {"gamma": 1, "clipRange": 0.1 + 0.2}}))
    assert all(isinstance(value, str) for value in values.values())
    assert values["PPO_GAMMA"] == "1.0"
    assert float(values["PPO_CLIP_RANGE"]) == 0.1 + 0.2


def test_the_attempt_is_that_of_the_status_unless_given() -> None:
    run = _run(status={"attempt": 3})
    assert _values(run)["ACCORD_ATTEMPT"] == "3"
    assert _values(run, attempt=4)["ACCORD_ATTEMPT"] == "4"


@pytest.mark.parametrize(
    ("resume", "named", "expected"),
    [
        ("Latest", None, "latest"),
        ("Never", None, ""),
        ("Latest", "step-00000500", "step-00000500"),
        ("Never", "step-00000500", "step-00000500"),
        ("Latest", "", ""),
    ],
)
def test_a_rollback_wins_over_what_the_spec_says_of_resuming(resume: str, named: str | None, expected: str) -> None:
    assert _values(_run({"resume": resume}), resume_from=named)["RESUME_FROM"] == expected


def test_the_environment_is_equal_for_equal_arguments() -> None:
    assert environment(_run(), attempt=2) == environment(_run(), attempt=2)


def test_the_seed_is_that_of_the_run_and_the_attempt() -> None:
    seeds = [seed(_run(), attempt) for attempt in range(1, 100)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= each < 2**31 for each in seeds)
    assert seed(_run(), 1) == seeds[0] == 369_318_626  # sha256("ns/demo/1")


def test_every_source_is_a_field_of_the_crd_or_the_operators_to_decide() -> None:
    schema = resource_schema(TrainingRun)
    for variable in VARIABLES:
        node = schema
        for key in variable.source.split(".") if variable.source.startswith("spec.") else ():
            node = node["properties"][key]
        assert variable.type in ("text", "path") or node["type"] in (variable.type, "object"), variable


def test_the_committed_page_is_what_the_table_says() -> None:
    page = Path(__file__).parents[3] / "docs/reference/trainer-environment.md"
    assert page.read_text(encoding="utf-8") == render()


def test_the_page_shows_every_variable_with_its_default() -> None:
    page = render()
    assert all(f"| `{variable.name}` | " in page for variable in VARIABLES)
    assert "| `PPO_GAMMA` | `spec.ppo.gamma` | number | `0.99` | " in page
    assert "| `ACCORD_SEED` | run and attempt | integer |  | " in page
