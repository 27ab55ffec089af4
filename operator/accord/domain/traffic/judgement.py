"""Does the traffic follow the targets? Shares, deviations and alerts from counted requests.

An alert means: a mode's share is further from its *target* than `alertDeviation` allows, whatever the cause, and
chance is ruled out. That fallback explains a deviation is said in the reason (`Fallback`), but the alert stands: the
traffic is not where the spec wants it.

Chance is ruled out by the Chernoff–Hoeffding bound (Hoeffding 1963, theorem 1): of n independent choices with
probability p, a share at least as far from p as q has probability at most exp(−n·KL(q‖p)). With sticky sessions the
independent choices are sessions, not requests.

An alert ends when the deviation is back within 80 % of the threshold, so that it does not come and go at the edge.

What the modes' own pods count comes first: it sees requests that go past the router too. Where they count nothing, or
there is no Prometheus, the proxies' own counters stand in. A Prometheus that fails is another matter: it may be about
to say that requests go past the router, so nothing is known then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from accord.api.base import format_duration
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain import age
from accord.domain.conditions import Wanted, find
from accord.domain.traffic.assessment import Assessment
from accord.domain.traffic.observed import Counted, Measurement
from accord.domain.traffic.shares import percent

FALSE_ALERTS = 0.001
"""Bound on the probability of a false alert in one check of one policy."""
CLEARED = 0.8
"""Part of the threshold below which an alert ends."""
_TYPE = "WithinTarget"
_UNCOUNTED = frozenset({"NoMetric", "NoTraffic", "NoEndpoint"})
"""Outcomes of a service that counts nothing."""
_ATTRIBUTED = 0.01
"""Part of the requests of which the proxies may not know the mode, and still tell the shares."""

Source = Literal["Service", "Proxies"]


@dataclass(frozen=True)
class Measured:
    """What was found out about one mode; percent and percentage points, both with one decimal. None: not known."""

    actual: float | None = None
    deviation: float | None = None
    alert: bool = False


@dataclass(frozen=True)
class Judgement:
    """The modes as measured, condition `WithinTarget`, and when (seconds) it is worth to look again."""

    modes: Mapping[str, Measured]
    condition: Wanted
    is_new: bool = False
    """Whether the shares come from a measurement, not from the status."""
    counted_by: Source | None = None
    """Whose counters the shares come from."""
    look_again: float | None = None


def judge(assessment: Assessment) -> Judgement:
    """Compare the last measurement with the targets."""
    before = {mode.name: mode for mode in assessment.policy.status.modes}
    alerts = {name: before[name].alert if name in before else False for name in assessment.targets}
    measurement = assessment.observed.measurement
    if not alerts:
        return Judgement(
            {}, Wanted(_TYPE, "Unknown", "NothingRouted", "nothing is routed, so there is nothing to measure")
        )
    if measurement is None or is_outdated(assessment.policy, measurement, assessment.now):
        return _remembered(assessment, alerts)
    if measurement.outcome == "Measured":
        return _compare(assessment, measurement.requests, measurement, alerts, "Service")
    if measurement.outcome in _UNCOUNTED and measurement.proxies.state != "Unknown":
        return _by_proxies(assessment, measurement, alerts)
    reason = "QueryFailed" if measurement.outcome == "NoEndpoint" else measurement.outcome
    return _unknown(alerts, reason, measurement.message)


def _by_proxies(assessment: Assessment, measurement: Measurement, alerts: Mapping[str, bool]) -> Judgement:
    """The shares as the proxies count them, where the service counts nothing."""
    counted = measurement.proxies
    if counted.state == "Pending":
        return _remembered(assessment, alerts)
    requests = _requests(counted, assessment)
    total = sum(requests.values())
    if counted.unattributed > _ATTRIBUTED * (total + counted.unattributed):
        return _unknown(
            alerts,
            "Unattributed",
            "no pod passes its health check, so requests go to all pods and cannot be attributed to a mode",
        )
    if not total:
        window = format_duration(assessment.policy.spec.monitoring.window)
        said = f"the proxies forwarded no requests within {window}"
        return _unknown(alerts, "NoTraffic", said + _instead(measurement))
    return _compare(assessment, requests, measurement, alerts, "Proxies")


def _requests(counted: Counted, assessment: Assessment) -> dict[str, float]:
    return {name: float(tally.requests) for name, tally in counted.modes.items() if name in assessment.targets}


def _instead(measurement: Measurement) -> str:
    """Why the proxies are asked. That a service of a working Prometheus counts nothing is a hint, not a fault."""
    return f"; counted by the proxies, not by the service: {measurement.message}"


def _unknown(alerts: Mapping[str, bool], reason: str, message: str) -> Judgement:
    modes = {name: Measured(alert=alert) for name, alert in alerts.items()}
    return Judgement(modes, Wanted(_TYPE, "Unknown", reason, message))


def chance(measured: float, expected: float, observations: float) -> float:
    """Upper bound on the probability that shares at least as far on that side come about by chance.

    `measured` and `expected` are fractions of 1; `observations` is the number of independent choices.
    """
    return math.exp(-observations * _divergence(measured, expected))


def _divergence(q: float, p: float) -> float:
    """Kullback–Leibler divergence of two coins, in nats."""
    total = 0.0
    for a, b in ((q, p), (1 - q, 1 - p)):
        if a > 0:
            total += a * math.log(a / b) if b > 0 else math.inf
    return max(total, 0.0)


def is_outdated(policy: TrafficPolicy, measurement: Measurement, now: datetime) -> bool:
    """Whether the measurement is from another time, say from before this replica lost the lease."""
    return age.is_old(measurement.at, policy.spec.monitoring.interval, now)


def _remembered(assessment: Assessment, alerts: Mapping[str, bool]) -> Judgement:
    """Nothing was measured yet by this process: what the status says stays."""
    before = {mode.name: mode.actual for mode in assessment.policy.status.modes}
    modes = {name: _measured(before.get(name), assessment.targets[name], alerts[name]) for name in alerts}
    told = find(assessment.policy.status.conditions, _TYPE)
    by = assessment.policy.status.counted_by
    if told is None or told.reason == "NothingRouted":
        return Judgement(modes, Wanted(_TYPE, "Unknown", "NotMeasured", "traffic not measured yet"))
    return Judgement(modes, Wanted(_TYPE, told.status, told.reason, told.message), counted_by=by)


def _measured(actual: float | None, target: float, alert: bool) -> Measured:
    return Measured(actual, None if actual is None else round(actual - target, 1), alert)


def _compare(
    assessment: Assessment,
    requests: Mapping[str, float],
    measurement: Measurement,
    alerts: Mapping[str, bool],
    by: Source,
) -> Judgement:
    policy, targets = assessment.policy, assessment.targets
    total = sum(requests.values())
    shares = {name: 100 * requests.get(name, 0.0) / total for name in targets}
    threshold = policy.spec.monitoring.alert_deviation
    off = {name: abs(share - targets[name]) for name, share in shares.items()}
    kept = {name for name, alert in alerts.items() if alert and off[name] > CLEARED * threshold}
    over = {name for name in targets if off[name] > threshold}
    settling = _settling(assessment, measurement)
    sure = set() if settling else {name for name in over if _is_beyond_chance(assessment, shares[name], name, total)}
    alerting = kept | sure
    modes = {name: _measured(round(share, 1), targets[name], name in alerting) for name, share in shares.items()}
    if alerting:
        condition = _deviation(assessment, shares, [name for name in targets if name in alerting])
        if by == "Service" and condition.reason == "Deviation" and _split_as_asked(assessment, measurement.proxies):
            said = "the proxies split requests as specified, so some bypass the router or are counted incorrectly"
            condition = replace(condition, message=f"{condition.message}; {said}")
    elif not over:
        condition = Wanted(_TYPE, "True", _TYPE, f"every mode is within {percent(threshold)} points of its target")
    elif settling:
        condition = Wanted(
            _TYPE, "Unknown", "Settling", "the window still includes requests from before the last change"
        )
    else:
        condition = Wanted(_TYPE, "Unknown", "LowTraffic", "too few requests to tell a deviation from chance")
    if by == "Proxies":
        condition = replace(condition, message=condition.message + _instead(measurement))
    return Judgement(modes, condition, is_new=True, counted_by=by, look_again=settling if over else None)


def _split_as_asked(assessment: Assessment, counted: Counted) -> bool:
    """Whether the proxies count the shares that the spec asks for."""
    requests, threshold = _requests(counted, assessment), assessment.policy.spec.monitoring.alert_deviation
    total = sum(requests.values())
    return total > 0 and all(
        abs(100 * requests.get(name, 0.0) / total - target) <= threshold for name, target in assessment.targets.items()
    )


def _settling(assessment: Assessment, measurement: Measurement) -> float | None:
    """Seconds until a measurement will hold no request from before the last change of shares; None if this one does."""
    monitoring = assessment.policy.spec.monitoring
    clean = assessment.since + monitoring.window
    if measurement.at >= clean:
        return None
    return max((max(clean, measurement.at + monitoring.interval) - assessment.now).total_seconds(), 1.0)


def _is_beyond_chance(assessment: Assessment, share: float, mode: str, total: float) -> bool:
    intent = assessment.intent
    sessions = intent is not None and intent.sticky is not None
    observations = total / assessment.policy.spec.monitoring.requests_per_session if sessions else total
    allowed = FALSE_ALERTS / (2 * len(assessment.targets))
    return chance(share / 100, assessment.targets[mode] / 100, observations) <= allowed


def _deviation(assessment: Assessment, shares: Mapping[str, float], modes: list[str]) -> Wanted:
    """The condition for modes in alert, in words that stay the same while the numbers move."""
    threshold = assessment.policy.spec.monitoring.alert_deviation
    said = [
        f"mode {name} gets {'more' if shares[name] > assessment.targets[name] else 'less'} "
        f"than its {percent(assessment.targets[name])}%"
        for name in modes
    ]
    message = f"{', '.join(said)}: off by more than {percent(threshold)} points"
    if all(abs(shares[name] - assessment.effective.get(name, 0.0)) <= threshold for name in modes) and any(
        assessment.effective.get(name, 0.0) != assessment.targets[name] for name in modes
    ):
        if assessment.moved.moves:
            return Wanted(_TYPE, "False", "CircuitOpen", f"{message}, because a circuit breaker is not closed")
        return Wanted(_TYPE, "False", "Fallback", f"{message}, because other modes have no ready pods")
    intent = assessment.intent
    if intent is not None and intent.wish is not None:
        message += "; requests with a preferred mode are included"
    if intent is not None and intent.sticky is not None:
        lasts = intent.sticky.ttl + assessment.policy.spec.monitoring.window
        if assessment.now < assessment.since + lasts:
            message += (
                f"; sessions from before the last change keep their mode for up to {format_duration(intent.sticky.ttl)}"
            )
    return Wanted(_TYPE, "False", "Deviation", message)
