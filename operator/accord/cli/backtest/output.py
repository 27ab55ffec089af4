"""What came of a backtest: as a table, as data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from accord.cli.backtest.input import Given
from accord.cli.printer import Block, Table
from accord.cli.tables import plural
from accord.domain.checkpoint.detection.replay import Pause, Replayed, Rollback

_HEADINGS = ("STEP", "SIGNAL", "TARGET", "BASELINE", "RECENT", "LIMIT", "RULE")
_PAUSED = ("FROM", "UNTIL", "SIGNAL", "REASON")


def notes(given: Given) -> Iterator[str]:
    """What a reader of the figures should know."""
    spec = given.policy.spec
    if given.note is not None:
        yield given.note
    if spec.detection.method == "Ratio":
        yield "method Ratio ignores chance and trend: expect rollbacks of healthy trainings"
    if not spec.rollback.enabled:
        yield "spec.rollback.enabled is false: nothing would be rolled back"


def as_data(result: Replayed) -> dict[str, Any]:
    """`{"checks": n, "rollbacks": [{"step": s, "signal": …, "target": t, …}], "pauses": [{"from": s, …}]}`."""
    rollbacks = [
        {
            "step": each.step,
            "signal": each.signal,
            "target": each.target,
            "baseline": _finite(each.judgement.baseline),
            "recent": _finite(each.judgement.recent),
            "limit": _finite(each.judgement.limit),
            "share": _finite(each.judgement.share),
            "message": each.judgement.message,
        }
        for each in result.rollbacks
    ]
    pauses = [
        {
            "from": each.begin,
            "until": each.end,
            "signal": each.judgement.signal,
            "rolledBack": each.rolled_back,
            "message": each.judgement.message,
        }
        for each in result.pauses
    ]
    return {"checks": result.checks, "rollbacks": rollbacks, "pauses": pauses}


def as_table(given: Given, result: Replayed) -> list[Block]:
    """A sentence, one line a rollback, and one line a time in which promotion is paused."""
    meta, detection = given.policy.metadata, given.policy.spec.detection
    method = f"method {detection.method}"
    if detection.method == "Adaptive":
        method += f", sensitivity {detection.sensitivity}"
    lines: list[Block] = [
        f"CheckpointPolicy {meta.namespace}/{meta.name}, {method}: {plural(result.checks, 'check')}, "
        f"{result.inconclusive} without enough data; {_times(len(result.rollbacks))}."
    ]
    if result.rollbacks:
        lines.append(Table([_HEADINGS, *(_line(each) for each in result.rollbacks)]))
    elif result.last is not None and result.checks == result.inconclusive:
        lines.append(f"Too short to judge: {result.last.message}.")
    elif result.last is not None:
        lines.append(f"Last check: {result.last.outcome}, {result.last.message}.")
    if result.pauses:
        lines += ["", f"Promotion would have been paused {_often(len(result.pauses))}:"]
        lines.append(Table([_PAUSED, *(_paused(each) for each in result.pauses)]))
    return lines


def _line(rollback: Rollback) -> tuple[str, ...]:
    judgement = rollback.judgement
    target = "none" if rollback.target is None else str(rollback.target)
    figures = (judgement.baseline, judgement.recent, judgement.limit)
    return (str(rollback.step), rollback.signal, target, *map(_figure, figures), judgement.rule or "")


def _paused(pause: Pause) -> tuple[str, ...]:
    until = "the end" if pause.end is None else f"{pause.end} (rolled back)" if pause.rolled_back else str(pause.end)
    return str(pause.begin), until, pause.judgement.signal or "", pause.judgement.message


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _times(count: int) -> str:
    return {0: "never rolled back", 1: "rolled back once"}.get(count, f"rolled back {count} times")


def _often(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
