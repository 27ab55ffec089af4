"""What the charts are drawn of: questions to Prometheus over a range, and their answers as points.

Pure; whoever asks is elsewhere. Loss and reward are means of what was reported between two points, from the running
sums, as the status has them (`accord.domain.training.progress`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args

from accord.api.base import format_duration
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.conditions import parse_timestamp
from accord.domain.questions import PART, labelled, quoted
from accord.domain.samples import Answer
from accord.kinds import pods_of

Series = Literal["reward", "loss", "entropy_coef", "learning_rate"]
SERIES: tuple[Series, ...] = get_args(Series)
_POINTS = 240
"""Of one curve: more than a chart has pixels for would only make the answer longer."""
_FINEST = timedelta(seconds=5)
_LEAST_WINDOW = timedelta(minutes=2)
"""Two scrapes a minute apart are in it."""
_ATTEMPT = re.compile(r".*-(\d+)-[^-]+")
Point = tuple[float, float]


@dataclass(frozen=True)
class Attempt:
    """What one pod of a run reported."""

    pod: str
    points: Mapping[Series, Sequence[Point]]
    """(training step, value), in the order of time."""

    @property
    def label(self) -> str:
        """`attempt 2`, as the pod's name says."""
        found = _ATTEMPT.fullmatch(self.pod)
        return f"attempt {found[1]}" if found else self.pod


@dataclass(frozen=True)
class Curves:
    """Of one run, the oldest attempt first. `problem`: why there are none."""

    attempts: Sequence[Attempt] = ()
    problem: str = ""


@dataclass(frozen=True)
class Spell:
    """A time in which one checkpoint was served; Unix times in seconds."""

    step: int
    begin: float
    end: float


@dataclass(frozen=True)
class Spells:
    """What one CheckpointPolicy served when, the oldest first."""

    spells: Sequence[Spell] = field(default=())
    problem: str = ""


def resolution(reach: timedelta) -> timedelta:
    """Time between two points."""
    return max(timedelta(seconds=math.ceil(reach.total_seconds() / _POINTS)), _FINEST)


def of_run(run: TrainingRun, reach: timedelta) -> str:
    """PromQL for the curves of all attempts of a run."""
    pods = f'namespace="{quoted(run.metadata.namespace)}",pod=~"{pods_of(run.metadata.name)}"'
    window = format_duration(max(2 * resolution(reach), _LEAST_WINDOW))
    parts = {
        "step": f"ppo_training_step{{{pods}}}",
        "entropy_coef": f"ppo_entropy_coef{{{pods}}}",
        "learning_rate": f"ppo_learning_rate{{{pods}}}",
        **{
            name: f"delta(ppo_{name}_sum{{{pods}}}[{window}]) / (delta(ppo_{name}_count{{{pods}}}[{window}]) > 0)"
            for name in ("loss", "reward")
        },
    }
    together = " or ".join(labelled(query, name) for name, query in parts.items())
    # A pod that two scrape jobs look at is one.
    return f"max by (pod, {PART}) ({together}){_over(reach)}"


def of_policy(policy: CheckpointPolicy, reach: timedelta) -> str:
    """PromQL for what a policy served when."""
    meta = policy.metadata
    named = f'namespace="{quoted(meta.namespace)}",policy="{quoted(meta.name)}"'
    return f"max(checkpoint_served_step{{{named}}}){_over(reach)}"


def _over(reach: timedelta) -> str:
    return f"[{format_duration(reach)}:{format_duration(resolution(reach))}]"


def curves(run: TrainingRun, answer: Answer) -> Curves:
    """Total. What an earlier run of that name reported is left out."""
    if answer.failure is not None:
        return Curves(problem=answer.problem)
    created = run.metadata.creation_timestamp
    since = parse_timestamp(created).timestamp() if created else -math.inf
    pods: dict[str, dict[str, dict[float, float]]] = {}
    for series in answer.series:
        points = {at: value for at, value in series.points if math.isfinite(value) and at >= since}
        pods.setdefault(series.labels.get("pod", ""), {})[series.labels.get(PART, "")] = points
    pods = {pod: parts for pod, parts in pods.items() if parts.get("step")}
    if not pods:
        return Curves(problem="no series ppo_training_step of this run's pods in that time")
    ordered = sorted(pods, key=lambda pod: (min(pods[pod]["step"]), pod))
    return Curves([Attempt(pod, {name: _against_steps(pods[pod], name) for name in SERIES}) for pod in ordered])


def _against_steps(parts: Mapping[str, Mapping[float, float]], name: Series) -> Sequence[Point]:
    steps = parts["step"]
    return [(steps[at], value) for at, value in sorted(parts.get(name, {}).items()) if at in steps]


def spells(policy: CheckpointPolicy, answer: Answer, reach: timedelta) -> Spells:
    """Total. A gap in what was scraped ends a spell."""
    if answer.failure is not None:
        return Spells(problem=answer.problem)
    created = policy.metadata.creation_timestamp
    since = parse_timestamp(created).timestamp() if created else -math.inf
    every = resolution(reach).total_seconds()
    found: list[Spell] = []
    for at, value in sorted(point for series in answer.series for point in series.points):
        if not math.isfinite(value) or at < since:
            continue
        last = found[-1] if found else None
        if last is not None and at - last.end <= 2 * every:
            # It was served until the next one was seen.
            found[-1] = Spell(last.step, last.begin, at)
            if last.step == int(value):
                continue
        found.append(Spell(int(value), at, at))
    if not found:
        return Spells(problem="no series checkpoint_served_step of this policy in that time")
    return Spells(found)
