"""What a report asks Prometheus, and what an answer says: a figure, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from accord.api.base import format_duration
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.report.facts import Asked, Queries
from accord.domain import age, podnames
from accord.domain.conditions import parse_timestamp
from accord.domain.questions import PART, filled, labelled, literally, matcher, quoted
from accord.domain.samples import Answer
from accord.domain.traffic import names as traffic_names
from accord.domain.training import names as training_names

_LOOK = timedelta(seconds=30)
"""Time between two looks at conditions and ages."""
_COVERED = 0.9
"""Part of the time that must have been watched for a statement about all of it."""


@dataclass(frozen=True)
class Figure:
    """A number, or None and why. `note` may qualify a number, too; `partial`: it is not about the whole time."""

    value: float | None
    note: str = ""
    partial: bool = False


@dataclass(frozen=True)
class Normalizer:
    """What a trainer reports of its reward normalization. None: not reported."""

    mean: float | None = None
    std: float | None = None
    rewards: float | None = None
    note: str = ""


def of_policy(policy: TrafficPolicy, range_: timedelta, queries: Queries) -> Iterator[tuple[Asked, str]]:
    """What is asked about one TrafficPolicy, in PromQL."""
    window, chosen = format_duration(range_), _requests(policy)
    errors = f'sum(increase(http_requests_total{{{chosen},code=~"5.."}}[{window}]))'
    requests = f'sum(increase(http_requests_total{{{chosen},code!=""}}[{window}]))'
    buckets = f"sum by (le) (rate(http_request_duration_seconds_bucket{{{chosen}}}[{window}]))"
    hits, misses = (f"sum(increase(cache_{each}_total{{{chosen}}}[{window}]))" for each in ("hits", "misses"))
    # Without a series of errors there were none, if requests were counted at all.
    yield "errors", _own(policy, window, queries.errors) or f"100 * (({errors}) or 0 * ({requests})) / ({requests})"
    yield "latency", _own(policy, window, queries.latency) or f"histogram_quantile(0.95, {buckets})"
    yield "cache", _own(policy, window, queries.cache) or f"100 * {hits} / ({hits} + {misses})"
    about = f'kind="TrafficPolicy",{_named(policy)},type="ModesAvailable"'
    looks = f"[{window}:{format_duration(_LOOK)}]"
    known = f"count_over_time(max(accord_condition{{{about}}}){looks})"
    down = f'count_over_time((max(accord_condition{{{about},reason="NoModeAvailable"}}) == 1){looks})'
    yield "uptime", f"{labelled(known, 'known')} or {labelled(down, 'down')}"


def of_run(run: TrainingRun, range_: timedelta) -> Iterator[tuple[Asked, str]]:
    """What is asked about the newest attempt of one TrainingRun."""
    window = format_duration(range_)
    job = literally(training_names.job(run.metadata.name, run.status.attempt or 1))
    pods = f'namespace="{quoted(run.metadata.namespace)}",pod=~"{quoted(podnames.of_job(job))}"'
    newest = f"timestamp(reward_normalizer_mean{{{pods}}})"
    # Without `_count`: a histogram with buckets below zero has none.
    counted = f'reward_raw_bucket{{{pods},le="+Inf"}}'
    parts = {
        "mean": f"last_over_time(reward_normalizer_mean{{{pods}}}[{window}])",
        "std": f"last_over_time(reward_normalizer_std{{{pods}}}[{window}])",
        "rewards": f"last_over_time({counted}[{window}])",
        "sampled": f"(max_over_time({newest}[{window}:{format_duration(_LOOK)}]) or {newest})",
    }
    yield "normalizer", " or ".join(labelled(query, name) for name, query in parts.items())


def single(answer: Answer, missing: str) -> Figure:
    """The one number of an answer. `missing`: what to say where there is no series."""
    if answer.failure is not None:
        return Figure(None, answer.problem)
    if not answer.samples:
        return Figure(None, missing)
    if len(answer.samples) > 1:
        return Figure(None, "the query returned more than one series")
    value = answer.samples[0].value
    return Figure(value) if math.isfinite(value) else Figure(None, "no requests in this time")


def uptime(policy: TrafficPolicy, answer: Answer, range_: timedelta, now: datetime) -> Figure:
    """Percentage of the time in which some mode had ready pods, of the time in which the operator was scraped."""
    if answer.failure is not None:
        return Figure(None, answer.problem)
    found = {sample.labels.get(PART): sample.value for sample in answer.samples}
    known = found.get("known", 0.0)
    if known <= 0:
        return Figure(None, "no series accord_condition of this policy: scrape the operator's Service accord-metrics")
    created = policy.metadata.creation_timestamp
    whole = range_ if created is None else min(range_, now - parse_timestamp(created))
    seen = known * _LOOK
    percent = 100 * (1 - found.get("down", 0.0) / known)
    if seen < _COVERED * whole:
        return Figure(percent, f"known for {_rough(seen)} of {_rough(whole)} only; use a shorter --range", partial=True)
    return Figure(percent)


def normalizer(run: TrainingRun, answer: Answer, now: datetime) -> Normalizer:
    """Of the pod that was scraped last."""
    if answer.failure is not None:
        return Normalizer(note=answer.problem)
    pods: dict[str, dict[str, float]] = {}
    for sample in answer.samples:
        pods.setdefault(sample.labels.get("pod", ""), {})[sample.labels.get(PART, "")] = sample.value
    if not pods:
        return Normalizer(note="no series reward_normalizer_mean of the newest attempt: scrape its pods")
    newest = max(pods.values(), key=lambda values: values.get("sampled", -math.inf))
    if run.status.phase == "Running" and age.is_unscraped(
        newest.get("sampled", math.nan), now.timestamp(), run.spec.monitoring.interval
    ):
        return Normalizer(note="the trainer is running, but its newest samples are old: check its scrape target")
    return Normalizer(newest.get("mean"), newest.get("std"), newest.get("rewards"))


def _requests(policy: TrafficPolicy) -> str:
    """Those that the modes' own pods count, not what is read a second time at the router."""
    router = podnames.of_deployment(literally(traffic_names.router(policy.metadata.name)))
    modes = matcher("mode", [mode.name for mode in policy.spec.modes], always_regexp=True)
    return f'namespace="{quoted(policy.metadata.namespace)}",{modes},pod!~"{quoted(router)}"'


def _own(policy: TrafficPolicy, window: str, query: str | None) -> str | None:
    if query is None:
        return None
    values = {
        "namespace": quoted(policy.metadata.namespace),
        "modes": quoted("|".join(literally(mode.name) for mode in policy.spec.modes)),
        "window": window,
    }
    return filled(query, values)


def _named(policy: TrafficPolicy) -> str:
    return f'namespace="{quoted(policy.metadata.namespace)}",name="{quoted(policy.metadata.name)}"'


def _rough(time: timedelta) -> str:
    """Without what is too fine to matter."""
    unit = 60 if time >= timedelta(minutes=10) else 1
    return format_duration(timedelta(seconds=int(time.total_seconds()) // unit * unit))
