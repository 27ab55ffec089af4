"""What the traffic really does: the question to Prometheus, and what its answer is worth.

`query` asks, `interpret` turns any answer into a `Measurement`; `judgement` compares it with the targets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime

from accord.api.base import format_duration
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain import age
from accord.domain.samples import Answer, Sample
from accord.domain.traffic import names
from accord.domain.traffic.observed import Measurement

_PART = "accord"
"""Label that tells the two halves of our own query apart: `requests` and `sampled`."""


def query(policy: TrafficPolicy) -> str:
    """PromQL for the requests of each mode in the window.

    Our own query also asks, in the same breath, for the time of each mode's newest sample, so that an answer made of
    old samples is recognised. In a user's query `$namespace`, `$modes` and `$window` are filled in.
    """
    namespace, modes, window = _quoted(policy.metadata.namespace), _quoted(_modes(policy)), _window(policy)
    if policy.spec.monitoring.query is not None:
        values = {"namespace": namespace, "modes": modes, "window": window}
        return re.sub(
            r"\$(?:(namespace|modes|window)\b|\{(namespace|modes|window)\})",
            lambda match: values[match[1] or match[2]],
            policy.spec.monitoring.query,
        )
    # A Prometheus that also scrapes the port for the traffic reads some mode's metrics there a second time.
    router = _quoted(f"{_literally(names.router(policy.metadata.name))}-[a-z0-9]+-[a-z0-9]+")
    series = f'http_requests_total{{namespace="{namespace}",mode=~"{modes}",pod!~"{router}"}}'
    return (
        f'label_replace(sum by (mode) (increase({series}[{window}])), "{_PART}", "requests", "", "")'
        f' or label_replace(max by (mode) (timestamp({series})), "{_PART}", "sampled", "", "")'
    )


def interpret(policy: TrafficPolicy, answer: Answer, now: datetime) -> Measurement:
    """What an answer to `query` says. Total: everything that Prometheus may say becomes an outcome with a sentence."""
    if answer.failure == "UnknownEndpoint":
        return Measurement("NoEndpoint", now, message=answer.message)
    if answer.failure is not None:
        return Measurement("QueryFailed", now, message=answer.message or f"the query failed: {answer.failure}")
    known = _names(policy)
    counted = [sample for sample in answer.samples if sample.labels.get(_PART, "requests") == "requests"]
    sampled = [sample for sample in answer.samples if sample.labels.get(_PART) == "sampled"]
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
            "are the pods scraped, and does the series have the labels namespace and mode?"
            if policy.spec.monitoring.query is None
            else "the query returned no series"
        )
    if not any(sample.labels.get(_PART, "requests") == "requests" for sample in answer.samples):
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
    return f"the newest samples of {', '.join(old)} are older than {limit}: is Prometheus scraping?"


def _names(policy: TrafficPolicy) -> list[str]:
    """Modes of the spec and those on their way out, each once."""
    return list(dict.fromkeys([mode.name for mode in policy.spec.modes] + [mode.name for mode in policy.status.modes]))


def _modes(policy: TrafficPolicy) -> str:
    """A regular expression (RE2) that matches the names of the modes."""
    return "|".join(sorted(_literally(name) for name in _names(policy)))


def _literally(name: str) -> str:
    """A regular expression (RE2) that matches just this name."""
    return re.sub(r"([^\w-])", r"\\\1", name)


def _window(policy: TrafficPolicy) -> str:
    return format_duration(policy.spec.monitoring.window)


def _quoted(text: str) -> str:
    """`text` for the inside of a PromQL string, in single or double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'").replace("\n", "\\n")
