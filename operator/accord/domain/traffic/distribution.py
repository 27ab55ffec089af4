"""What the traffic really does: the question to Prometheus, and what its answer is worth.

`ask` asks, `interpret` turns any answer into a `Measurement`; `judgement` compares it with the targets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from accord.api.base import format_duration
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
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
from accord.domain.traffic.membership import known_modes
from accord.domain.traffic.observed import Measurement


@dataclass(frozen=True)
class Counted:
    """Whose requests are counted: those of these modes in this namespace, but not what is read at this router."""

    namespace: str
    modes: tuple[str, ...]
    router: str


@dataclass(frozen=True)
class _Template:
    """The requests of each mode in the window, and, in the same breath, the time of each mode's newest sample, so that
    an answer made of old samples is recognised.

    A Prometheus that also scrapes the port for the traffic reads some mode's metrics there a second time. Each policy
    leaves out what is read at its own router, so with several the pods of all their routers are counted by themselves.
    """

    window: str

    def promql(self, scopes: Sequence[Counted]) -> str:
        """For these policies."""
        modes = matcher("mode", [mode for scope in scopes for mode in scope.modes], always_regexp=True)
        chosen = f"{matcher('namespace', [scope.namespace for scope in scopes])},{modes}"
        routers = "|".join(sorted({literally(scope.router) for scope in scopes}))
        some = routers if len(scopes) == 1 else f"({routers})"
        pods = f'"{quoted(podnames.of_deployment(some))}"'
        if len(scopes) == 1:
            return self._both("mode", f"{chosen},pod!~{pods}")
        elsewhere = self._both("namespace, mode", f"{chosen},pod!~{pods}")
        at_routers = self._both("namespace, mode, pod", f"{chosen},pod=~{pods}")
        return f"{elsewhere} or {at_routers}"

    def _both(self, by: str, labels: str) -> str:
        series = f"http_requests_total{{{labels}}}"
        return (
            labelled(f"sum by ({by}) (increase({series}[{self.window}]))", "requests")
            + " or "
            + labelled(f"max by ({by}) (timestamp({series}))", "sampled")
        )

    def parts(self, answer: Answer, scopes: Sequence[Counted]) -> Mapping[Counted, Answer]:
        """By namespace and mode; what was read at a router of another policy counts."""
        if len(scopes) == 1:
            return {scopes[0]: answer}
        found = by_labels(answer.samples, "namespace", "mode")
        return {scope: replace(answer, samples=tuple(_whole(scope, found))) for scope in scopes}


def _whole(scope: Counted, found: Mapping[tuple[str, ...], Sequence[Sample]]) -> Iterator[Sample]:
    """One sample for each mode and half, as a query for this policy alone returns them."""
    own = re.compile(podnames.of_deployment(literally(scope.router)))
    for mode in scope.modes:
        here = [s for s in found.get((scope.namespace, mode), ()) if not own.fullmatch(s.labels.get("pod", ""))]
        for part, together in (("requests", sum), ("sampled", max)):
            samples = [sample for sample in here if sample.labels.get(PART) == part]
            if samples:
                value = together(sample.value for sample in samples)
                yield Sample({PART: part, "mode": mode}, value, samples[0].at)


def ask(policy: TrafficPolicy, _: datetime) -> Ask:
    """About the modes of the spec and those on their way out. In a user's query `$namespace`, `$modes` and `$window`
    are filled in.
    """
    own, modes = policy.spec.monitoring.query, sorted(known_modes(policy))
    if own is None:
        router = names.router(policy.metadata.name)
        return Shared(_Template(_window(policy)), Counted(policy.metadata.namespace, tuple(modes), router))
    values = {
        "namespace": quoted(policy.metadata.namespace),
        "modes": quoted("|".join(map(literally, modes))),
        "window": _window(policy),
    }
    return Custom(filled(own, values))


def query(policy: TrafficPolicy) -> str:
    """PromQL for one policy."""
    return ask(policy, datetime.min).promql


def schedule(policy: TrafficPolicy, _: datetime) -> timedelta:
    """Time between two measurements: they go on as long as the policy exists."""
    return policy.spec.monitoring.interval


def interpret(policy: TrafficPolicy, answer: Answer, now: datetime) -> Measurement:
    """What an answer says. Total: everything that Prometheus may say becomes an outcome with a sentence."""
    if answer.failure == "UnknownEndpoint":
        return Measurement("NoEndpoint", now, message=answer.message)
    if answer.failure is not None:
        return Measurement("QueryFailed", now, message=answer.problem)
    known = known_modes(policy)
    counted = [sample for sample in answer.samples if sample.labels.get(PART, "requests") == "requests"]
    sampled = [sample for sample in answer.samples if sample.labels.get(PART) == "sampled"]
    problem = _problem(counted)
    if problem is not None:
        return Measurement("QueryFailed", now, message=problem)
    requests = {mode: sample.value for sample in counted if (mode := sample.labels["mode"]) in known}
    # A counter that is extrapolated over the window can show fractions of a request.
    if sum(requests.values()) < 1:
        return Measurement("NoTraffic" if counted else "NoMetric", now, requests, _why_none(policy, answer))
    stale = _stale(policy, [sample for sample in sampled if sample.labels.get("mode") in known])
    if stale is not None:
        return Measurement("Stale", now, requests, stale)
    return Measurement("Measured", now, requests)


def _problem(counted: Iterable[Sample]) -> str | None:
    """What makes the counts unusable."""
    seen: set[str] = set()
    for sample in counted:
        mode = sample.labels.get("mode")
        if mode is None:
            return "the query returned a series without the label mode; aggregate it with `sum by (mode) (…)`"
        if mode in seen:
            return f"the query returned more than one series for mode {mode}; aggregate it with `sum by (mode) (…)`"
        seen.add(mode)
        if not math.isfinite(sample.value):
            return f"the query returned a value for mode {mode} that is not a number of requests: {sample.value}"
        if sample.value < 0:
            return f"the query returned a negative number of requests for mode {mode}"
    return None


def _why_none(policy: TrafficPolicy, answer: Answer) -> str:
    window = format_duration(policy.spec.monitoring.window)
    if not answer.samples:
        return (
            f"no series http_requests_total counts requests of these modes in namespace {policy.metadata.namespace}: "
            "check that the pods are scraped and that the series has the labels namespace and mode"
            if policy.spec.monitoring.query is None
            else "the query returned no series"
        )
    if not any(sample.labels.get(PART, "requests") == "requests" for sample in answer.samples):
        return f"no series has two samples within {window}; the window must span at least two scrapes"
    return f"no requests within {window}"


def _stale(policy: TrafficPolicy, sampled: list[Sample]) -> str | None:
    """Which counts rest on old samples.

    Ages are taken against the time at which Prometheus evaluated the query, which is `Sample.at`: its clock and ours
    may differ. A mode without a newest sample is not stale: its pods may be gone, or never had a request.
    """
    if policy.spec.monitoring.query is not None:
        return None
    interval = policy.spec.monitoring.interval
    if not sampled:
        return "the pods that counted these requests are no longer scraped"
    old = sorted(s.labels["mode"] for s in sampled if age.is_unscraped(s.value, s.at.timestamp(), interval))
    if not old:
        return None
    limit = format_duration(age.of_sample(interval))
    return f"the newest samples of {', '.join(old)} are older than {limit}: check that Prometheus is scraping"


def _window(policy: TrafficPolicy) -> str:
    return format_duration(policy.spec.monitoring.window)


QUESTION = Question(ask, interpret, schedule)
