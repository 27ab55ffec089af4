"""How far a run has come: one question to Prometheus, and what its answer is worth.

`ask` asks for everything at once, so that the values belong to one moment; `interpret` turns any answer into a
`Progress`. The names of the series are those of docs/reference/trainer-metrics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from accord.api.base import format_duration
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain import age
from accord.domain.conditions import parse_timestamp
from accord.domain.questions import PART, Question, Scope, Shared, labelled, matchers, split
from accord.domain.samples import Answer, Sample
from accord.domain.training import names

WINDOW = timedelta(minutes=5)
"""Latest steps: those of this time. Also how long a value is remembered after its pod is gone."""
AFTER_THE_END = timedelta(minutes=1)
"""How long a finished run is still looked at: its last steps are scraped after the last look at it."""
_FINENESS = "5s"
"""How exactly the time of a newest sample is known."""
_SERIES = (
    "ppo_training_step",
    "ppo_entropy_coef",
    "ppo_learning_rate",
    "ppo_checkpoint_step",
    "ppo_loss_sum",
    "ppo_loss_count",
    "ppo_reward_sum",
    "ppo_reward_count",
)


@dataclass(frozen=True)
class Progress:
    """What Prometheus said about the newest attempt, last time it was asked. None: not reported."""

    outcome: Literal["Measured", "NoMetrics", "Stale", "NoEndpoint", "QueryFailed"]
    at: datetime
    message: str = ""
    step: int | None = None
    entropy_coef: float | None = None
    learning_rate: float | None = None
    loss: float | None = None
    reward: float | None = None
    checkpoint_step: int | None = None
    speed: float | None = None
    """Steps a second over the window."""
    attempt: int = field(default=0)
    """The attempt that it is about."""


def schedule(run: TrainingRun, now: datetime) -> timedelta | None:
    """Time between two looks; None where there is nothing to see: before the first attempt, or after the end."""
    status = run.status
    if status.attempt is None:
        return None
    if status.completion_time is not None and now - parse_timestamp(status.completion_time) > AFTER_THE_END:
        return None
    return run.spec.monitoring.interval


@dataclass(frozen=True)
class _Template:
    """Gauges are read over the window, so that the last values of a pod that is gone count; the means of loss and
    reward are differences of the running sums, exact however rarely Prometheus scrapes. The time of the newest sample
    tells whether the pod is scraped still. It is looked for over the window, too: Prometheus forgets the series of a
    pod that has ended at once.
    """

    def promql(self, scopes: Sequence[Scope]) -> str:
        """For the pods of these Jobs."""
        pods = matchers(scopes)
        window = format_duration(WINDOW)
        gauges = f'last_over_time({{__name__=~"{"|".join(_SERIES)}",{pods}}}[{window}])'
        parts = [f'label_replace({gauges}, "{PART}", "$1", "__name__", "(.+)")']
        for name in ("loss", "reward"):
            sums, counts = (f"delta(ppo_{name}_{each}{{{pods}}}[{window}])" for each in ("sum", "count"))
            parts.append(labelled(f"{sums} / ({counts} > 0)", name))
        parts.append(labelled(f"deriv(ppo_training_step{{{pods}}}[{window}])", "speed"))
        newest = f"timestamp(ppo_training_step{{{pods}}})"
        # The steps of a subquery may all lie before the first sample.
        sampled = f"(max_over_time({newest}[{window}:{_FINENESS}]) or {newest})"
        parts.append(labelled(sampled, "sampled"))
        return " or ".join(parts)

    def parts(self, answer: Answer, scopes: Sequence[Scope]) -> Mapping[Scope, Answer]:
        """By pod."""
        return split(answer, scopes)


def ask(run: TrainingRun, _: datetime) -> Shared:
    """About the newest attempt."""
    return Shared(_Template(), Scope((("namespace", run.metadata.namespace),), names.recorded(run)))


def query(run: TrainingRun) -> str:
    """PromQL for the newest attempt of one run."""
    return ask(run, datetime.min).promql


def interpret(run: TrainingRun, answer: Answer, now: datetime) -> Progress:
    """What an answer says. Total: everything that Prometheus may say becomes an outcome with a sentence."""
    attempt = run.status.attempt or 1
    if answer.failure is not None:
        is_named = answer.failure != "UnknownEndpoint"
        return Progress("QueryFailed" if is_named else "NoEndpoint", now, answer.problem, attempt=attempt)
    targets = [target for target in _by_target(answer) if not _is_earlier(run, target)]
    if not targets:
        return Progress("NoMetrics", now, _where_to_look(run), attempt=attempt)
    values = max(targets, key=lambda found: (_value(found, "sampled") or 0.0, _value(found, "ppo_training_step") or 0))
    stale = _stale(run, values)
    return Progress(
        "Measured" if stale is None else "Stale",
        now,
        stale or "",
        step=_whole(values, "ppo_training_step"),
        entropy_coef=_value(values, "ppo_entropy_coef"),
        learning_rate=_value(values, "ppo_learning_rate"),
        loss=_mean(values, "loss"),
        reward=_mean(values, "reward"),
        checkpoint_step=_whole(values, "ppo_checkpoint_step"),
        speed=_value(values, "speed"),
        attempt=attempt,
    )


def _by_target(answer: Answer) -> list[dict[str, Sample]]:
    """The parts of each scrape target: a pod that two scrape jobs look at is two targets with the same numbers."""
    found: dict[tuple[tuple[str, str], ...], dict[str, Sample]] = {}
    for sample in answer.samples:
        target = tuple(sorted((k, v) for k, v in sample.labels.items() if k not in (PART, "__name__")))
        found.setdefault(target, {})[sample.labels.get(PART, "")] = sample
    return [found[target] for target in sorted(found) if "ppo_training_step" in found[target]]


def _is_earlier(run: TrainingRun, values: Mapping[str, Sample]) -> bool:
    """Whether these are of an earlier run of this name: its pods were named alike, and are remembered for a while."""
    created, sampled = run.metadata.creation_timestamp, _value(values, "sampled")
    return bool(created) and sampled is not None and sampled < parse_timestamp(str(created)).timestamp()


def _value(values: Mapping[str, Sample], part: str) -> float | None:
    """A finite number, or None: the API server stores no NaN."""
    sample = values.get(part)
    return sample.value if sample is not None and math.isfinite(sample.value) else None


def _whole(values: Mapping[str, Sample], part: str) -> int | None:
    value = _value(values, part)
    return None if value is None else max(int(value), 0)


def _mean(values: Mapping[str, Sample], name: str) -> float | None:
    """The mean over the window; with one sample only, that of all so far."""
    if name in values:
        return _value(values, name)
    total, count = _value(values, f"ppo_{name}_sum"), _value(values, f"ppo_{name}_count")
    return total / count if total is not None and count else None


def _stale(run: TrainingRun, values: Mapping[str, Sample]) -> str | None:
    """Ages are taken against the time at which Prometheus evaluated the query, which is `Sample.at`."""
    interval, sampled = run.spec.monitoring.interval, values.get("sampled")
    if sampled is not None and not age.is_unscraped(sampled.value, sampled.at.timestamp(), interval):
        return None
    return "the pod's metrics are no longer scraped; showing the last values"


def _where_to_look(run: TrainingRun) -> str:
    return (
        f"Prometheus has no ppo_training_step of pods {names.recorded(run)}-…: check "
        f"that port {run.spec.monitoring.port} of the trainer is scraped with labels namespace and pod"
    )


QUESTION = Question(ask, interpret, schedule)
