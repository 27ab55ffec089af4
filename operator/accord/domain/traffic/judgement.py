"""Does the traffic follow the targets? Shares, deviations and alerts from counted requests.

An alert means: a mode's share is further from its *target* than `alertDeviation` allows, whatever the cause, and
chance is ruled out. That fallback explains a deviation is said in the reason (`Fallback`), but the alert stands: the
traffic is not where the spec wants it.

Chance is ruled out by the Chernoff–Hoeffding bound (Hoeffding 1963, theorem 1): of n independent choices with
probability p, a share at least as far from p as q has probability at most exp(−n·KL(q‖p)). With sticky sessions the
independent choices are sessions, not requests.

An alert ends when the deviation is back within 80 % of the threshold, so that it does not come and go at the edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from accord.api.base import format_duration
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.conditions import Wanted, find
from accord.domain.traffic.observed import Measurement
from accord.domain.traffic.shares import percent
from accord.domain.traffic.situation import Situation

FALSE_ALERTS = 0.001
"""Bound on the probability of a false alert in one check of one policy."""
CLEARED = 0.8
"""Part of the threshold below which an alert ends."""
_TYPE = "WithinTarget"


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
    look_again: float | None = None


def judge(situation: Situation) -> Judgement:
    """Compare the last measurement with the targets."""
    before = {mode.name: mode for mode in situation.policy.status.modes}
    alerts = {name: before[name].alert if name in before else False for name in situation.targets}
    measurement = situation.observed.measurement
    if not alerts:
        return Judgement({}, Wanted(_TYPE, "Unknown", "NothingRouted", "nothing is routed, so nothing is measured"))
    if measurement is None or _is_outdated(situation.policy, measurement, situation.now):
        return _remembered(situation, alerts)
    if measurement.outcome != "Measured":
        unknown = {name: Measured(alert=alert) for name, alert in alerts.items()}
        return Judgement(unknown, Wanted(_TYPE, "Unknown", measurement.outcome, measurement.message))
    return _compare(situation, measurement, alerts)


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


def _is_outdated(policy: TrafficPolicy, measurement: Measurement, now: datetime) -> bool:
    """Whether the measurement is from another time, say from before this replica lost the lease."""
    return now - measurement.at > 3 * policy.spec.monitoring.interval + timedelta(minutes=1)


def _remembered(situation: Situation, alerts: Mapping[str, bool]) -> Judgement:
    """Nothing was measured yet by this process: what the status says stays."""
    before = {mode.name: mode.actual for mode in situation.policy.status.modes}
    modes = {name: _measured(before.get(name), situation.targets[name], alerts[name]) for name in alerts}
    told = find(situation.policy.status.conditions, _TYPE)
    if told is None or told.reason == "NothingRouted":
        return Judgement(modes, Wanted(_TYPE, "Unknown", "NotMeasured", "the traffic has not been measured yet"))
    return Judgement(modes, Wanted(_TYPE, told.status, told.reason, told.message))


def _measured(actual: float | None, target: float, alert: bool) -> Measured:
    return Measured(actual, None if actual is None else round(actual - target, 1), alert)


def _compare(situation: Situation, measurement: Measurement, alerts: Mapping[str, bool]) -> Judgement:
    policy, targets = situation.policy, situation.targets
    total = sum(measurement.requests.values())
    shares = {name: 100 * measurement.requests.get(name, 0.0) / total for name in targets}
    threshold = policy.spec.monitoring.alert_deviation
    off = {name: abs(share - targets[name]) for name, share in shares.items()}
    kept = {name for name, alert in alerts.items() if alert and off[name] > CLEARED * threshold}
    over = {name for name in targets if off[name] > threshold}
    settling = _settling(situation, measurement)
    sure = set() if settling else {name for name in over if _is_beyond_chance(situation, shares[name], name, total)}
    alerting = kept | sure
    modes = {name: _measured(round(share, 1), targets[name], name in alerting) for name, share in shares.items()}
    if alerting:
        condition = _deviation(situation, shares, [name for name in targets if name in alerting])
    elif not over:
        condition = Wanted(_TYPE, "True", _TYPE, f"every mode is within {percent(threshold)} points of its target")
    elif settling:
        condition = Wanted(_TYPE, "Unknown", "Settling", "the window still holds requests from before the last change")
    else:
        condition = Wanted(_TYPE, "Unknown", "LowTraffic", "too few requests to tell a deviation from chance")
    return Judgement(modes, condition, is_new=True, look_again=settling if over else None)


def _settling(situation: Situation, measurement: Measurement) -> float | None:
    """Seconds until a measurement will hold no request from before the last change of shares; None if this one does."""
    monitoring = situation.policy.spec.monitoring
    clean = situation.since + monitoring.window
    if measurement.at >= clean:
        return None
    return max((max(clean, measurement.at + monitoring.interval) - situation.now).total_seconds(), 1.0)


def _is_beyond_chance(situation: Situation, share: float, mode: str, total: float) -> bool:
    intent = situation.intent
    sessions = intent is not None and intent.sticky is not None
    observations = total / situation.policy.spec.monitoring.requests_per_session if sessions else total
    allowed = FALSE_ALERTS / (2 * len(situation.targets))
    return chance(share / 100, situation.targets[mode] / 100, observations) <= allowed


def _deviation(situation: Situation, shares: Mapping[str, float], modes: list[str]) -> Wanted:
    """The condition for modes in alert, in words that stay the same while the numbers move."""
    threshold = situation.policy.spec.monitoring.alert_deviation
    said = [
        f"mode {name} takes {'more' if shares[name] > situation.targets[name] else 'less'} "
        f"than its {percent(situation.targets[name])}%"
        for name in modes
    ]
    message = f"{', '.join(said)}: off by more than {percent(threshold)} points"
    if all(abs(shares[name] - situation.effective.get(name, 0.0)) <= threshold for name in modes) and any(
        situation.effective.get(name, 0.0) != situation.targets[name] for name in modes
    ):
        return Wanted(_TYPE, "False", "Fallback", f"{message}, because modes without ready pods are stood in for")
    intent = situation.intent
    if intent is not None and intent.wish is not None:
        message += "; requests that wish for a mode count as well"
    if intent is not None and intent.sticky is not None:
        lasts = intent.sticky.ttl + situation.policy.spec.monitoring.window
        if situation.now < situation.since + lasts:
            message += (
                "; sessions from before the last change of shares stay where they were for up to "
                f"{format_duration(intent.sticky.ttl)}"
            )
    return Wanted(_TYPE, "False", "Deviation", message)
