"""A TrafficPolicy: its modes with target, effective and measured shares, and what moves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from accord.api.v1alpha1.trafficpolicy import ModeStatus, PhaseStatus, TrafficPolicy
from accord.cli.status import wording
from accord.cli.trees import Node, Span, columns, node

_WHOLE = 100
_WORTH_SAYING = 0.05
"""Percent; less is rounded to nothing."""


def lines(policy: TrafficPolicy, serves: Mapping[str, str], now: datetime) -> Iterator[Node]:
    """What is below a policy. `serves` says by Deployment which checkpoint it serves."""
    status = policy.status
    routed = [policy.spec.strategy] + ([status.address] if status.address is not None else [])
    yield node(f"routes {', '.join(routed)}")
    yield node("modes", Span(measured(policy, now), "dim"), children=_modes(policy, serves))
    yield from moving(policy, now)


def moving(policy: TrafficPolicy, now: datetime) -> Iterator[Node]:
    """What moves the shares: circuit breakers that are not closed, and the phase that is on."""
    status = policy.status
    for breaker in status.circuit_breakers:
        if breaker.share < _WHOLE:
            part = f" gets {breaker.share}% of its share" if breaker.share else ""
            until = f" recovers {wording.ahead(breaker.until, now)}" if breaker.until else part
            why = f": {breaker.reason}" if breaker.reason else ""
            yield node(Span(f"downshift of {breaker.mode}", "warning"), f"{until}{why}")
    if status.phase is not None and status.phase.name is not None:
        yield node(f"phase {status.phase.name}", _phase(status.phase, now))


def _phase(phase: PhaseStatus, now: datetime) -> Span:
    following = f"then {phase.next or 'the weights of the modes'}"
    if phase.state == "Running":
        ends = f" ends {wording.ahead(phase.until, now)}," if phase.until else ""
        return Span(f"{ends} {following}")
    return Span(f" {phase.state.lower()}{f': {phase.message}' if phase.message else ''}, {following}", "warning")


def measured(policy: TrafficPolicy, now: datetime) -> str:
    """Whether, by whom and when the shares were measured."""
    status = policy.status
    if status.actual is None or status.last_report is None:
        return "  not measured"
    by = {"Service": " by the service", "Proxies": " by the proxies"}.get(status.counted_by or "", "")
    return f"  measured{by} {wording.ago(status.last_report, now)}"


def _modes(policy: TrafficPolicy, serves: Mapping[str, str]) -> list[Node]:
    deployments = {mode.name: mode.deployment_ref.name for mode in policy.spec.modes}
    known = {mode.name: mode for mode in policy.status.modes}
    rows = [
        _row(mode, serves.get(deployments.get(mode.name, ""), ""), is_removed=mode.name not in deployments)
        for mode in policy.status.modes
    ]
    rows += [
        (Span(mode.name, "strong"), Span(f"weight {mode.weight}%"), *(Span("") for _ in range(5)))
        for mode in policy.spec.modes
        if mode.name not in known
    ]
    return [Node(line) for line in columns(rows)]


def _row(mode: ModeStatus, serves: str, *, is_removed: bool) -> tuple[Span, ...]:
    shifted = is_shifted(mode)
    actual = "–" if mode.actual is None else wording.percent(mode.actual)
    return (
        Span(mode.name, "strong"),
        Span(f"target {wording.percent(mode.target)}"),
        Span(f"effective {wording.percent(mode.effective)}", "warning" if shifted else "plain"),
        Span(f"measured {actual}", "bad" if mode.alert else "dim" if mode.actual is None else "plain"),
        pods(mode),
        Span(serves, "dim"),
        Span(", ".join(remarks(mode, is_removed=is_removed)), "bad" if mode.alert else "warning"),
    )


def is_shifted(mode: ModeStatus) -> bool:
    """Whether the router has another share than the spec."""
    return abs(mode.effective - mode.target) >= _WORTH_SAYING


def remarks(mode: ModeStatus, *, is_removed: bool) -> Iterator[str]:
    """What is out of the ordinary about a mode."""
    if mode.alert and mode.deviation is not None:
        yield f"alert: off by {mode.deviation:+.1f} points"
    if mode.ejected_pods:
        yield f"{wording.count(mode.ejected_pods, 'pod')} ejected"
    if mode.errors and mode.errors >= _WORTH_SAYING:
        yield f"{wording.percent(mode.errors)} errors"
    if is_removed:
        yield "is being removed"


def pods(mode: ModeStatus) -> Span:
    """How many pods of a mode serve."""
    ready = wording.count(mode.ready_pods, "pod")
    if not mode.ready_pods:
        return Span("no pod ready", "bad" if mode.target else "dim")
    if mode.healthy_pods is not None and mode.healthy_pods < mode.ready_pods:
        return Span(f"{mode.healthy_pods} of {ready} healthy", "warning" if mode.healthy_pods else "bad")
    return Span(f"{ready} ready", "good")
