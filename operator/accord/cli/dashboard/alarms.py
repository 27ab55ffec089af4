"""What needs attention, each with what it compared: level, threshold, effect, samples. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from accord.api.base import format_duration
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy, RollbackRecord, Verdict
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.dashboard.actions import Name
from accord.cli.status import wording
from accord.cli.status.seen import Seen, summary, told
from accord.domain.checkpoint.detection.signals import SIGNALS

Tone = Literal["good", "warning", "bad"]
Compared = tuple[tuple[str, str], ...]
TONES: dict[str, Literal["good", "warning", "bad", "dim"]] = {
    "Pass": "good",
    "Suspect": "warning",
    "Fail": "bad",
    "Inconclusive": "dim",
}
"""By the outcome of a check."""
_OF_A_ROLLBACK = ("AwaitingApproval", "AwaitingRollback")
"""Reasons of a run that its CheckpointPolicy has an alarm about."""
_AT_REST = {"Suspended": "Paused", "StoppedByRollback": "Stopped"}
"""By the reason of what is ready and rests; the others are waiting."""
_WHOLE = 100


@dataclass(frozen=True)
class Alarm:
    """One thing."""

    seen: Seen
    key: str
    """Tells those of one object apart."""
    tone: Tone
    title: str
    text: str = ""
    since: str | None = None
    compared: Compared = ()
    answers: frozenset[Name] = field(default_factory=frozenset)
    """Actions that are an answer to it."""


def of(seen: Seen, now: datetime) -> Iterator[Alarm]:
    """Of one object."""
    model = seen.model
    shown: set[str] = set()
    if isinstance(model, CheckpointPolicy):
        for alarm in _of_checkpoints(seen, model):
            shown |= {"Healthy", "Promoted"}
            yield alarm
    if isinstance(model, TrafficPolicy):
        for alarm in _of_traffic(seen, model, now):
            shown |= {"WithinTarget", "CircuitsClosed"}
            yield alarm
    _, tone, said = summary(seen)
    ready = next((each for each in model.status.conditions if each.type == "Ready"), None) if model else None
    is_told = isinstance(model, TrainingRun) and seen.verdict[1] in _OF_A_ROLLBACK
    if tone != "good" and not shown and not is_told:
        since = None if ready is None else ready.last_transition_time
        resume: frozenset[Name] = frozenset({"resume"})
        yield Alarm(seen, "Ready", "bad" if tone == "bad" else "warning", _title(seen), said, since, answers=resume)
    for each in seen.problems:
        if each.type not in shown:
            yield Alarm(
                seen,
                each.type,
                "bad" if each.status == "False" else "warning",
                f"{each.type} is {each.status}",
                told(each.reason, each.message),
                each.last_transition_time,
            )


def _title(seen: Seen) -> str:
    return resting(seen) or f"Not ready: {seen.verdict[0]}"


def resting(seen: Seen) -> str | None:
    """What is ready and rests, in a word; None for what does not."""
    state, tone, _ = summary(seen)
    return _AT_REST.get(seen.verdict[1], "Waiting") if state == "Ready" and tone != "good" else None


def _of_checkpoints(seen: Seen, policy: CheckpointPolicy) -> Iterator[Alarm]:
    status, record = policy.status, policy.status.rollback
    verdict = status.detection
    if record is not None:
        waits = record.phase == "AwaitingApproval"
        title = f"Rollback to step {record.to_step} " + ("is waiting for approval" if waits else f"is {record.phase}")
        yield Alarm(
            seen,
            "rollback",
            "bad",
            title,
            record.message or (verdict.message if verdict is not None and verdict.message else ""),
            record.started_at,
            (*_levels(record), *_effect(policy, verdict)),
            frozenset({"approve", "reject"}),
        )
    elif verdict is not None and verdict.outcome in ("Suspect", "Fail"):
        hold = status.hold
        yield Alarm(
            seen,
            "check",
            "bad" if verdict.outcome == "Fail" else "warning",
            f"{verdict.signal or 'Training'}: {verdict.outcome}" + (", promotion is paused" if hold else ""),
            verdict.message or "",
            hold.since if hold is not None else verdict.at,
            compared(policy, verdict),
        )
    elif status.hold is not None:
        hold = status.hold
        yield Alarm(seen, "hold", "warning", f"Promotion is paused: {hold.signal}", hold.message, hold.since)


def _of_traffic(seen: Seen, policy: TrafficPolicy, now: datetime) -> Iterator[Alarm]:
    monitoring, known = policy.spec.monitoring, {each.mode: each for each in policy.spec.breakers}
    for mode in policy.status.modes:
        if mode.alert and mode.actual is not None:
            deviation = mode.actual - mode.target if mode.deviation is None else mode.deviation
            yield Alarm(
                seen,
                f"share/{mode.name}",
                "bad",
                f"Mode {mode.name} is off its target",
                "",
                policy.status.last_report,
                (
                    ("measured", wording.percent(mode.actual)),
                    ("target", wording.percent(mode.target)),
                    ("deviation", f"{deviation:+.1f} points"),
                    ("threshold", f"{monitoring.alert_deviation:g} points"),
                    *(() if mode.requests is None else (("samples", wording.count(mode.requests, "request")),)),
                    ("window", format_duration(monitoring.window)),
                ),
            )
    for breaker in policy.status.circuit_breakers:
        if breaker.share >= _WHOLE:
            continue
        spec = known.get(breaker.mode)
        until = f"Recovers {wording.ahead(breaker.until, now)}. " if breaker.until else ""
        facts: list[tuple[str, str]] = [("gets", f"{breaker.share} % of its share")]
        if breaker.failures is not None:
            facts.append(("failures", str(breaker.failures)))
        if spec is not None:
            facts.append(("threshold", f"{spec.failures} in {format_duration(spec.window)}"))
        if breaker.requests is not None:
            facts.append(("samples", wording.count(breaker.requests, "request")))
        title = f"Circuit breaker of mode {breaker.mode} is {'open' if breaker.phase == 'Open' else 'recovering'}"
        said = f"{until}{breaker.reason or ''}".strip()
        yield Alarm(seen, f"breaker/{breaker.mode}", "warning", title, said, breaker.since, tuple(facts))


def _levels(record: RollbackRecord) -> Compared:
    found = [("signal", str(record.signal))]
    if record.baseline is not None:
        found.append(("level before", wording.figure(record.baseline)))
    if record.recent is not None:
        found.append(("level now", wording.figure(record.recent)))
    return tuple(found)


def compared(policy: CheckpointPolicy, verdict: Verdict) -> Compared:
    """The figures of a check."""
    found: list[tuple[str, str]] = []
    if verdict.signal is not None:
        found.append(("signal", str(verdict.signal)))
    if verdict.baseline is not None:
        found.append(("level before", wording.figure(verdict.baseline)))
    if verdict.recent is not None:
        found.append(("level now", wording.figure(verdict.recent)))
    return (*found, *_effect(policy, verdict))


def _effect(policy: CheckpointPolicy, verdict: Verdict | None) -> Compared:
    """What the level was held against, and of how much."""
    if verdict is None:
        return ()
    found: list[tuple[str, str]] = []
    if verdict.limit is not None:
        found.append(("fails at", wording.figure(verdict.limit)))
    if verdict.share is not None:
        found.append(("effect", f"{wording.percent(100 * verdict.share)} of what was learnt is lost"))
    signal = next((each for each in SIGNALS if each.name == verdict.signal), None)
    if signal is not None:
        found.append(("threshold", f"{signal.rule(policy.spec.detection).threshold:g}"))
    if verdict.samples is not None:
        found.append(("samples", str(verdict.samples)))
    if verdict.step is not None:
        found.append(("checked to step", str(verdict.step)))
    if verdict.rule is not None:
        found.append(("rule", verdict.rule))
    return tuple(found)


def past(record: RollbackRecord) -> dict[str, Any]:
    """A rollback that is over."""
    return {
        "id": record.id,
        "phase": record.phase,
        "tone": "good" if record.phase == "Done" else "warning",
        "from": record.from_step,
        "to": record.to_step,
        "at": record.completed_at or record.started_at,
        "message": record.message or "",
        "compared": [{"name": name, "value": value} for name, value in _levels(record)],
    }
