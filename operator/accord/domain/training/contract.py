"""The contract of the container `trainer`: its environment, in one table.

The pod's environment is written from this table and docs/reference/trainer-environment.md is made from it, so neither
can say what the other does not. The trainer's side is `accord_trainer.sdk.contract`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import ObjectMeta
from accord.api.v1alpha1.trainingrun import TRAINER_CONTAINER, TrainingRun, TrainingRunSpec

CHECKPOINT_DIR = "/checkpoints"
"""Where the checkpoint volume is mounted in the trainer's container."""
RESUME_LATEST = "latest"
"""RESUME_FROM: start from the newest verified checkpoint, or from step 0 if there is none."""
RESUME_NEVER = ""
"""RESUME_FROM: start from step 0."""

Type = Literal["text", "integer", "number", "boolean", "path"]


@dataclass(frozen=True)
class Variable:
    """One environment variable. `source` is a field of the TrainingRun, or one of the keys of `_decided`."""

    name: str
    source: str
    type: Type
    meaning: str


def _schedule(prefix: str, field: str, what: str) -> tuple[Variable, ...]:
    source = f"spec.schedules.{field}"
    return (
        Variable(f"{prefix}_INITIAL", f"{source}.initial", "number", f"{what} at step 0."),
        Variable(f"{prefix}_FINAL", f"{source}.final", "number", f"{what} from the last step of the decay on."),
        Variable(f"{prefix}_DECAY_STEPS", f"{source}.decaySteps", "integer", "Steps until the final value is reached."),
        Variable(f"{prefix}_DECAY_STRATEGY", f"{source}.decayStrategy", "text", "`Linear`, `Cosine` or `Constant`."),
    )


_NORM = "spec.rewardNormalization"

VARIABLES = (
    Variable("ACCORD_RUN", "metadata.name", "text", "Name of the run."),
    Variable("ACCORD_RUN_UID", "metadata.uid", "text", "Tells it from another run of that name, before or after."),
    Variable("ACCORD_ATTEMPT", "attempt", "integer", "Number of the attempt, from 1; it never goes back."),
    Variable("ACCORD_SEED", "seed", "integer", "Seed for all random numbers, below 2³¹; another one every attempt."),
    Variable("METRICS_PORT", "spec.monitoring.port", "integer", "Port on which metrics are to be served."),
    Variable("CHECKPOINT_DIR", "checkpointDir", "path", "Directory of the checkpoints, on the run's volume."),
    Variable(
        "RESUME_FROM",
        "resumeFrom",
        "text",
        "`latest`: the newest verified checkpoint, if there is one; empty: step 0; or the name of a checkpoint such as "
        "`step-00000500`. If that one does not verify, the newest before it.",
    ),
    Variable("PPO_TOTAL_STEPS", "spec.totalSteps", "integer", "Steps to train, over all attempts."),
    *_schedule("PPO_ENTROPY_COEF", "entropyCoef", "Entropy coefficient"),
    *_schedule("PPO_LEARNING_RATE", "learningRate", "Learning rate"),
    Variable("PPO_CLIP_RANGE", "spec.ppo.clipRange", "number", "How far one update may move the policy."),
    Variable("PPO_GAMMA", "spec.ppo.gamma", "number", "Discount of future rewards."),
    Variable("PPO_LAMBDA", "spec.ppo.lambda", "number", "λ of generalized advantage estimation."),
    Variable("PPO_BATCH_SIZE", "spec.ppo.batchSize", "integer", "Samples in a minibatch."),
    Variable("PPO_N_EPOCHS", "spec.ppo.epochs", "integer", "Passes over the samples of one update."),
    Variable("PPO_UPDATE_FREQUENCY", "spec.ppo.updateFrequency", "integer", "Steps collected for one update."),
    Variable("PPO_SAVE_FREQUENCY", "spec.checkpoints.saveFrequency", "integer", "Steps between two checkpoints."),
    Variable("REWARD_NORM_ENABLED", f"{_NORM}.enabled", "boolean", "Whether rewards are normalized."),
    Variable("REWARD_NORM_WINDOW", f"{_NORM}.window", "integer", "Rewards in the window."),
    Variable("REWARD_NORM_EPSILON", f"{_NORM}.epsilon", "number", "Added to the standard deviation."),
    Variable("REWARD_NORM_CLIP", f"{_NORM}.clip", "number", "Normalized rewards are cut off at ± this."),
    Variable(
        "REWARD_NORM_UPDATE_FREQUENCY",
        f"{_NORM}.updateFrequency",
        "integer",
        "Rewards between two updates of the statistics.",
    ),
    Variable(
        "REWARD_NORM_BOOTSTRAP_SIZE",
        f"{_NORM}.bootstrap.size",
        "integer",
        "Rewards to wait for before the statistics of the window are used.",
    ),
    Variable("REWARD_NORM_BOOTSTRAP_MEAN", f"{_NORM}.bootstrap.mean", "number", "Mean until then."),
    Variable("REWARD_NORM_BOOTSTRAP_STD", f"{_NORM}.bootstrap.std", "number", "Standard deviation until then."),
    Variable("CHECKPOINT_KEEP", "spec.checkpoints.keep", "integer", "Newest checkpoints to keep on the volume."),
)
"""The whole contract, in the order in which it is written and documented."""


def seed(run: TrainingRun, attempt: int) -> int:
    """The seed of an attempt: the same for the same run and attempt, below 2**31, as every library takes it."""
    text = f"{run.metadata.namespace}/{run.metadata.name}/{attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


def environment(run: TrainingRun, *, attempt: int | None = None, resume_from: str | None = None) -> list[Manifest]:
    """`env` of the container `trainer` (core/v1 EnvVar), equal for equal arguments.

    `attempt` is that of the status unless given, and 1 before there is one. `resume_from` names a checkpoint to go
    back to; unless given, `spec.resume` decides.
    """
    fields: dict[str, Any] = {
        "metadata": {"name": run.metadata.name, "uid": run.metadata.uid},
        "spec": run.spec.model_dump(by_alias=True, exclude={"template"}),
        **_decided(run, attempt or run.status.attempt or 1, resume_from),
    }
    return [{"name": variable.name, "value": _text(_lookup(fields, variable.source))} for variable in VARIABLES]


def render() -> str:
    """The page docs/reference/trainer-environment.md."""
    spec = TrainingRunSpec(template={})
    defaults = {
        entry["name"]: entry["value"]
        for entry in environment(TrainingRun(metadata=ObjectMeta(name="-", namespace="-"), spec=spec))
    }
    rows = "\n".join(
        f"| `{variable.name}` | {_origin(variable)} | {variable.type} | {_shown(variable, defaults)} | "
        f"{variable.meaning} |"
        for variable in VARIABLES
    )
    return f"""\
<!-- Generated from operator/accord/domain/training/contract.py. Do not edit. -->

# Environment of a trainer

The operator sets these variables in the container `{TRAINER_CONTAINER}` of a TrainingRun's pod. A Python trainer reads
them with `accord_trainer.sdk.Contract.from_environment()`, any other by name.

| variable | from | type | default | meaning |
| --- | --- | --- | --- | --- |
{rows}

Numbers are written with a decimal point and, where needed, an exponent (`1e-08`); booleans are `true` or `false`.
Steps are environment steps, counted over all attempts.
"""


def _decided(run: TrainingRun, attempt: int, resume_from: str | None) -> dict[str, Any]:
    by_spec = RESUME_LATEST if run.spec.resume == "Latest" else RESUME_NEVER
    return {
        "attempt": attempt,
        "seed": seed(run, attempt),
        "checkpointDir": CHECKPOINT_DIR,
        "resumeFrom": by_spec if resume_from is None else resume_from,
    }


_ORIGINS = {
    "attempt": "the operator",
    "seed": "run and attempt",
    "checkpointDir": "the operator",
    "resumeFrom": "`spec.resume`, or a rollback",
}


def _origin(variable: Variable) -> str:
    return _ORIGINS.get(variable.source, f"`{variable.source}`")


def _shown(variable: Variable, defaults: Mapping[str, str]) -> str:
    return (
        ""
        if variable.source in ("metadata.name", "metadata.uid", "attempt", "seed")
        else f"`{defaults[variable.name]}`"
    )


def _lookup(fields: Mapping[str, Any], source: str) -> Any:
    value: Any = fields
    for key in source.split("."):
        value = value[key]
    return value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
