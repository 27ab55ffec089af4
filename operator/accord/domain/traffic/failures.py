"""The signal of the circuit breakers: the question to Prometheus, and what its answer says about each watched mode.

All breakers of a policy are asked about at once. A query of a breaker's own is one part of it, so the number of
requests comes along with any number of failures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from accord.api.base import format_duration
from accord.api.v1alpha1.trafficpolicy import CircuitBreaker, TrafficPolicy
from accord.domain import age, podnames
from accord.domain.questions import (
    PART,
    Ask,
    Custom,
    Question,
    Shared,
    by_labels,
    filled,
    labelled,
    literally,
    matcher,
    quoted,
)
from accord.domain.samples import Answer, Sample
from accord.domain.traffic import names
from accord.domain.traffic.breaker import Reading, interval_of, question_of

FAILURES, REQUESTS = "llm_failures_total", "http_requests_total"
_MODE = "accord_mode"
"""Label with the mode that a query of a breaker's own is for; it may return any labels."""


@dataclass(frozen=True)
class Failures:
    """What was read last about the modes that have circuit breakers."""

    outcome: Literal["Measured", "QueryFailed"]
    at: datetime
    modes: Mapping[str, Reading] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Watched:
    """The modes of one policy that have circuit breakers, but not what is read at its router."""

    namespace: str
    router: str
    modes: tuple[tuple[str, str], ...]
    """Each with its window."""


@dataclass(frozen=True)
class _Template:
    """Failures and requests of each mode within each of these windows, and when failures were sampled last."""

    windows: tuple[str, ...]

    def promql(self, scopes: Sequence[Watched]) -> str:
        """For these policies."""
        return " or ".join(part for window in self.windows for part in _parts(window, scopes))

    def parts(self, answer: Answer, scopes: Sequence[Watched]) -> Mapping[Watched, Answer]:
        """By namespace and mode."""
        found = by_labels(answer.samples, "namespace", "mode")
        return {
            scope: replace(
                answer,
                samples=tuple(s for mode, _ in scope.modes for s in found.get((scope.namespace, mode), ())),
            )
            for scope in scopes
        }


def _parts(window: str, scopes: Sequence[Watched]) -> list[str]:
    """PromQL of all parts for one window, for the modes that have it: `failures`, `requests` and `sampled`, each with
    the window in its label.
    """
    modes = {mode for scope in scopes for mode, its in scope.modes if its == window}
    routers = sorted({literally(scope.router) for scope in scopes})
    pods = podnames.of_deployment(routers[0] if len(routers) == 1 else f"({'|'.join(routers)})")
    chosen = (
        f'{matcher("namespace", [scope.namespace for scope in scopes])},{matcher("mode", modes)},pod!~"{quoted(pods)}"'
    )
    return [
        labelled(f"sum by (namespace, mode) (increase({FAILURES}{{{chosen}}}[{window}]))", f"failures {window}"),
        labelled(f"sum by (namespace, mode) (increase({REQUESTS}{{{chosen}}}[{window}]))", f"requests {window}"),
        labelled(f"max by (namespace, mode) (timestamp({FAILURES}{{{chosen}}}))", f"sampled {window}"),
    ]


def ask(policy: TrafficPolicy, _: datetime) -> Ask:
    """About all modes that have a circuit breaker. In a user's query `$namespace`, `$mode`, `$window` are filled in."""
    breakers = policy.spec.breakers
    if not any(breaker.query for breaker in breakers):
        windows = sorted({format_duration(breaker.window) for breaker in breakers})
        return Shared(_Template(tuple(windows)), _scope(policy, breakers))
    parts = []
    for breaker in breakers:
        window = format_duration(breaker.window)
        failures, requests, sampled = _parts(window, [_scope(policy, [breaker])])
        if breaker.query is None:
            parts += [failures, requests, sampled]
        else:
            # A query may end in a comment.
            own = labelled(f"(\n{_filled(breaker.query, policy, breaker)}\n)", f"failures {window}")
            parts += [labelled(own, breaker.mode, _MODE), requests]
    return Custom(" or ".join(parts))


def _scope(policy: TrafficPolicy, breakers: Sequence[CircuitBreaker]) -> Watched:
    modes = tuple(sorted((breaker.mode, format_duration(breaker.window)) for breaker in breakers))
    return Watched(policy.metadata.namespace, names.router(policy.metadata.name), modes)


def _filled(query: str, policy: TrafficPolicy, breaker: CircuitBreaker) -> str:
    values = {
        "namespace": quoted(policy.metadata.namespace),
        "mode": quoted(breaker.mode),
        "window": format_duration(breaker.window),
    }
    return filled(query, values)


def schedule(policy: TrafficPolicy, _: datetime) -> timedelta | None:
    """As often as the shortest window needs; not at all without a circuit breaker."""
    return min((interval(policy, breaker) for breaker in policy.spec.breakers), default=None)


def interval(policy: TrafficPolicy, breaker: CircuitBreaker) -> timedelta:
    """Time between two readings of one breaker, at most."""
    return interval_of(breaker.window, policy.spec.monitoring.interval)


def interpret(policy: TrafficPolicy, answer: Answer, now: datetime) -> Failures:
    """What an answer says. Total: everything that Prometheus may say becomes a reading of each watched mode."""
    if answer.failure is not None:
        unknown = {
            breaker.mode: Reading(now, "Unknown", question_of(breaker), message=answer.problem)
            for breaker in policy.spec.breakers
        }
        return Failures("QueryFailed", now, unknown, answer.problem)
    return Failures("Measured", now, {b.mode: _read(policy, b, answer, now) for b in policy.spec.breakers})


def _read(policy: TrafficPolicy, breaker: CircuitBreaker, answer: Answer, now: datetime) -> Reading:
    own = [
        sample for sample in answer.samples if breaker.mode == sample.labels.get(_MODE, sample.labels.get("mode", ""))
    ]
    window, asked = format_duration(breaker.window), question_of(breaker)

    def part(name: str) -> list[Sample]:
        return [sample for sample in own if sample.labels.get(PART) == f"{name} {window}"]

    counted, requests = part("failures"), _requests(part("requests"))
    problem = _problem(breaker, counted) or _stale(policy, breaker, counted, part("sampled"))
    if problem:
        return Reading(now, "Unknown", asked, message=problem)
    if counted:
        return _known(Reading(now, "Known", asked, counted[0].value, requests))
    if breaker.query is None and requests is not None:
        # A labelled counter is there from its first failure on, and these pods are scraped.
        return _known(Reading(now, "Known", asked, 0.0, requests))
    return Reading(now, "Absent", asked, message=_why_none(policy, breaker))


def _known(reading: Reading) -> Reading:
    """Of a mode without failures only whether it has requests is news: their number changes all the time."""
    if reading.failures or reading.requests is None:
        return reading
    return replace(reading, requests=float(reading.requests >= 1))


def _requests(counted: Sequence[Sample]) -> float | None:
    value = counted[0].value if len(counted) == 1 else math.nan
    return value if math.isfinite(value) and value >= 0 else None


def _problem(breaker: CircuitBreaker, counted: Sequence[Sample]) -> str:
    """What makes the number of failures unusable; empty: nothing."""
    if len(counted) > 1:
        return f"the query for mode {breaker.mode} returned more than one series; aggregate it with `sum(…)`"
    if counted and not (math.isfinite(counted[0].value) and counted[0].value >= 0):
        return f"the query for mode {breaker.mode} returned a value that is not a number of failures"
    return ""


def _stale(policy: TrafficPolicy, breaker: CircuitBreaker, counted: Sequence[Sample], sampled: Sequence[Sample]) -> str:
    """Whether the count rests on old samples, by the clock of Prometheus. A user's query tells no ages."""
    if breaker.query is not None or not counted:
        return ""
    if not sampled:
        return f"the pods that counted failures of mode {breaker.mode} are no longer scraped"
    newest, every = sampled[0], interval(policy, breaker)
    if age.is_unscraped(newest.value, newest.at.timestamp(), every):
        limit = format_duration(age.of_sample(every))
        return f"the newest samples of mode {breaker.mode} are older than {limit}: check that Prometheus is scraping"
    return ""


def _why_none(policy: TrafficPolicy, breaker: CircuitBreaker) -> str:
    if breaker.query is not None:
        return f"the query for mode {breaker.mode} returned no series"
    return (
        f"no series {FAILURES} counts failures of mode {breaker.mode} in namespace {policy.metadata.namespace}: "
        "check that the pods are scraped, and that the series has the labels namespace and mode"
    )


QUESTION = Question(ask, interpret, schedule)
