"""What came of a backtest: as a table, as JSON, as a picture."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from accord.cli.backtest_input import Given
from accord.cli.documents import InputError
from accord.cli.plot import Chart, svg
from accord.domain.checkpoint.detection.replay import Replayed, Rollback
from accord.domain.checkpoint.detection.series import Name, Segment

_POINTS = 480  # of a curve: more than the picture has room for
_HEADINGS = ("STEP", "SIGNAL", "TARGET", "BASELINE", "RECENT", "RULE")
_NAMES: tuple[Name, ...] = ("loss", "reward")


def notes(given: Given) -> Iterator[str]:
    """What a reader of the figures should know."""
    spec = given.policy.spec
    if spec.detection.method == "Ratio":
        yield "method Ratio takes neither chance nor trend into account: it fires on many healthy trainings"
    if not spec.rollback.enabled:
        yield "spec.rollback.enabled is false: nothing is rolled back"


def as_json(result: Replayed) -> str:
    """`{"checks": n, "rollbacks": [{"step": s, "signal": …, "target": t, "baseline": b, "recent": r}]}`."""
    rollbacks = [
        {
            "step": each.step,
            "signal": each.signal,
            "target": each.target,
            "baseline": _finite(each.judgement.baseline),
            "recent": _finite(each.judgement.recent),
        }
        for each in result.rollbacks
    ]
    return json.dumps({"checks": result.checks, "rollbacks": rollbacks}, indent=2) + "\n"


def as_table(given: Given, result: Replayed) -> str:
    """A sentence, and one line a rollback."""
    meta, detection = given.policy.metadata, given.policy.spec.detection
    lines = [
        f"CheckpointPolicy {meta.namespace}/{meta.name}, method {detection.method}: {result.checks} checks, "
        f"{result.inconclusive} of them with too little data; {_times(len(result.rollbacks))}."
    ]
    if result.rollbacks:
        table = [_HEADINGS, *(_line(each) for each in result.rollbacks)]
        widths = [max(len(row[column]) for row in table) for column in range(len(_HEADINGS) - 1)]
        lines += ["   ".join([*map(str.rjust, row[:-1], widths), row[-1]]) for row in table]
    elif result.last is not None:
        lines.append(f"At the end: {result.last.outcome}, {result.last.message}.")
    return "\n".join(lines) + "\n"


def draw(given: Given, result: Replayed, path: Path) -> None:
    """Write the run, with its rollbacks and their targets, into a file. InputError if that cannot be done."""
    charts = [chart for name in _NAMES if (chart := _chart(name, given, result)) is not None]
    if not charts:
        raise InputError(f"{path}: there is no loss and no reward to draw")
    picture = svg(f"Backtest of CheckpointPolicy {given.policy.metadata.name}", "training step", charts)
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _chart(name: Name, given: Given, result: Replayed) -> Chart | None:
    points = _points(name, given)
    if not points:
        return None
    found = [
        f"rolled back at {each.step:,}" + (f" to {each.target:,}" if each.target is not None else "")
        for each in result.rollbacks
    ]
    title = f"{name.capitalize()}: {'; '.join(found) or 'never rolled back'}"
    steps = [step for each in result.rollbacks for step in (each.target, each.step) if step is not None]
    return Chart(title, points, [_at(points, step) for step in steps])


def _points(name: Name, given: Given) -> list[tuple[float, float]]:
    """Means over stretches of steps, as many as there is room for."""
    segments = [
        (moment.step, report)
        for life in given.lives
        for moment in life.moments
        if isinstance(report := getattr(moment, name), Segment)
    ]
    chunk = max(math.ceil(len(segments) / _POINTS), 1)
    points = []
    for begin in range(0, len(segments), chunk):
        part = segments[begin : begin + chunk]
        values = sum(segment.values for _, segment in part)
        points.append((float(part[-1][0]), sum(segment.total for _, segment in part) / values))
    return points


def _at(points: Sequence[tuple[float, float]], step: int) -> tuple[float, float]:
    """The place of a step on the curve."""
    index = bisect_right([x for x, _ in points], step) - 1
    return float(step), points[max(index, 0)][1]


def _line(rollback: Rollback) -> tuple[str, ...]:
    judgement = rollback.judgement
    target = "none" if rollback.target is None else str(rollback.target)
    figures = ("–" if value is None else f"{value:.6g}" for value in (judgement.baseline, judgement.recent))
    return (str(rollback.step), rollback.signal, target, *figures, judgement.rule or "")


def _times(count: int) -> str:
    return {0: "never rolled back", 1: "rolled back once"}.get(count, f"rolled back {count} times")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
