"""A backtest as a picture: what was reported, what it was compared with at each look, and what came of that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from accord.cli import pictures
from accord.cli.backtest.input import Given
from accord.cli.errors import InputError
from accord.domain.checkpoint.detection.history import Judgement
from accord.domain.checkpoint.detection.replay import Look, Replayed, Rollback
from accord.domain.checkpoint.detection.series import Name, Segment
from accord.domain.checkpoint.detection.signals import OF_SERIES, SIGNALS

_POINTS = 480  # of a curve: more than the picture has room for
_LABELS = 3  # rollbacks that are written beside their lines; more would lie over each other
_OUTLIERS = 0.01  # part of the reported values at either end that need not be in the picture

_WIDTH, _PANEL = 860, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 36, 66, 46
_STYLE = """\
    .grid { stroke: #e6e6e6 } .axis { stroke: #888; fill: none }
    .reported { fill: none; stroke: #b9c4d0; stroke-width: 1.2 }
    .newest { fill: none; stroke: #1f6feb; stroke-width: 2 }
    .before { fill: none; stroke: #1a7f37; stroke-width: 1.5; stroke-dasharray: 7 3 }
    .limit { fill: none; stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 2 3 }
    .band { fill: #1a7f37; fill-opacity: .07 }
    .suspect { fill: #f2b134; fill-opacity: .4 }
    .fail { fill: #cf222e; fill-opacity: .28 }
    .unsure { fill: #8c959f; fill-opacity: .14 }
    .rollback { stroke: #cf222e; stroke-width: 1.8; fill: none }
    .head { fill: #cf222e }
    .elsewhere { stroke: #8c959f; stroke-width: 1.2; stroke-dasharray: 6 4; fill: none }"""
_SPANS = {"Suspect": ("suspect", "Suspect"), "Fail": ("fail", "Fail"), "Inconclusive": ("unsure", "too little data")}

Point = tuple[float, float]


@dataclass(frozen=True)
class _Line:
    style: str
    name: str
    parts: Sequence[Sequence[Point]]
    """Each drawn by itself: nothing is known in between."""


@dataclass(frozen=True)
class _Scale:
    """From values to places in one panel."""

    top: int
    x: tuple[float, float]
    y: tuple[float, float]

    @property
    def floor(self) -> int:
        return self.top + _PANEL - _BOTTOM

    @property
    def ceiling(self) -> int:
        return self.top + _TOP

    def across(self, x: float) -> float:
        low, high = self.x
        return _LEFT + (x - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def up(self, y: float) -> float:
        low, high = self.y
        return self.floor - (y - low) / (high - low) * (self.floor - self.ceiling)


def draw(given: Given, result: Replayed, path: Path) -> None:
    """Write the picture of a traced replay into a file. InputError where there is nothing to draw,
    CommandError if the file cannot be written.
    """
    detection = given.policy.spec.detection
    names = [each.series for each in SIGNALS if each.is_seen(detection) and _reported(each.series, given)]
    if not names:
        raise InputError(f"{path}: there is no loss and no reward to draw")
    steps = [moment.step for life in given.lives for moment in life.moments]
    low = 0 if min(steps) < max(steps) / 4 else min(steps)
    x = (float(low), float(max(steps)) if max(steps) > low else low + 1.0)
    panels = [_panel(name, given, result, x, _PANEL * index) for index, name in enumerate(names)]
    title = f"Backtest of CheckpointPolicy {given.policy.metadata.name}"
    pictures.write(path, pictures.svg(title, _WIDTH, _PANEL * len(names), _STYLE, "\n".join(panels)))


def _panel(name: Name, given: Given, result: Replayed, x: tuple[float, float], top: int) -> str:
    lines = list(_lines(name, given, result.looks))
    scale = _Scale(top, x, _range(lines))
    spans = list(_spans(name, result, x[1]))
    found = [each for each in result.rollbacks if OF_SERIES[name].may_say(each.signal)]
    clip = f"inside-{name}"
    width = _WIDTH - _LEFT - _RIGHT
    body = [
        f'  <clipPath id="{clip}"><rect x="{_LEFT}" y="{scale.ceiling}" width="{width}" '
        f'height="{scale.floor - scale.ceiling}"/></clipPath>',
        f'  <text class="title" x="{_LEFT}" y="{top + 24}">{escape(_title(name, found))}</text>',
        *_legend(lines, spans, top + 46),
        *_ticks(scale),
        f'  <g clip-path="url(#{clip})">',
    ]
    for begin, end, outcome in spans:
        left, right = scale.across(begin), scale.across(end)
        body.append(
            f'    <rect class="{_SPANS[outcome][0]}" x="{left:.1f}" y="{scale.ceiling}" '
            f'width="{max(right - left, 1.5):.1f}" height="{scale.floor - scale.ceiling}"/>'
        )
    body += _band(lines, scale)
    for line in lines:
        for part in line.parts:
            places = " ".join(f"{scale.across(at):.1f},{scale.up(value):.1f}" for at, value in part)
            body.append(f'    <polyline class="{line.style}" points="{places}"/>')
    body.append("  </g>")
    for each in result.rollbacks:
        if each in found:
            body += _rollback(each, scale, len(found) <= _LABELS)
        else:
            at = scale.across(each.step)
            body.append(f'  <path class="elsewhere" d="M{at:.1f} {scale.ceiling}V{scale.floor}"/>')
    body.append(f'  <path class="axis" d="M{_LEFT} {scale.ceiling}V{scale.floor}H{_WIDTH - _RIGHT}"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    body.append(f'  <text x="{middle}" y="{scale.floor + 36}" text-anchor="middle">training step</text>')
    return "\n".join(body)


def _title(name: Name, found: Sequence[Rollback]) -> str:
    words = OF_SERIES[name].words
    title = words[:1].upper() + words[1:]
    if not found:
        return f"{title}: no reason to roll back"
    if len(found) > _LABELS:
        return f"{title}: rolled back {len(found)} times, first at {found[0].step:,}"
    told = [f"{each.step:,}" + ("" if each.target is None else f" to {each.target:,}") for each in found]
    return f"{title}: rolled back at {', at '.join(told)}"


def _lines(name: Name, given: Given, looks: Sequence[Look]) -> Iterator[_Line]:
    yield _Line("reported", "reported", list(_unbroken(_reported(name, given))))
    judged = [(look.step, look.signals[name]) for look in looks if name in look.signals]
    judged = judged[:: max(len(judged) // _POINTS, 1)]
    best = "best before" if name == "reward" else "before"
    for style, label, attribute in (
        ("before", best, "baseline"),
        ("limit", "limit", "limit"),
        ("newest", "newest window", "recent"),
    ):
        parts = list(_judged(judged, attribute))
        if parts:
            yield _Line(style, label, parts)


def _judged(judged: Sequence[tuple[int, Judgement]], attribute: str) -> Iterator[list[Point]]:
    """One figure of each look, as long as there is one."""
    for known, part in groupby(judged, key=lambda each: _is_drawn(getattr(each[1], attribute))):
        if known:
            yield from _unbroken([(float(step), getattr(judgement, attribute)) for step, judgement in part])


def _is_drawn(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _unbroken(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Cut where the trainer was restarted from an earlier step."""
    begin = 0
    for index in range(1, len(points) + 1):
        if index == len(points) or points[index][0] < points[index - 1][0]:
            yield list(points[begin:index])
            begin = index


def _reported(name: Name, given: Given) -> list[Point]:
    """Means over stretches of steps, as many as there is room for."""
    segments = [
        (moment.step, report)
        for life in given.lives
        for moment in life.moments
        if isinstance(report := moment.report(name), Segment)
    ]
    chunk = max(math.ceil(len(segments) / _POINTS), 1)
    points = []
    for begin in range(0, len(segments), chunk):
        part = segments[begin : begin + chunk]
        values = sum(segment.values for _, segment in part)
        points.append((float(part[-1][0]), sum(segment.total for _, segment in part) / values))
    return points


def _range(lines: Sequence[_Line]) -> tuple[float, float]:
    """All that was compared, and all of the reported values but a few outliers."""
    reported = sorted(y for line in lines if line.style == "reported" for part in line.parts for _, y in part)
    cut = int(len(reported) * _OUTLIERS)
    values = reported[cut : len(reported) - cut]
    values += [y for line in lines if line.style != "reported" for part in line.parts for _, y in part]
    return pictures.axis(values)


def _spans(name: Name, result: Replayed, last: float) -> Iterator[tuple[float, float, str]]:
    """Stretches of looks that said the same, from the first of them to the look after the last."""
    # What comes after a rollback is judged anew.
    anew = {each.step for each in result.rollbacks}
    judged = [
        (look.step, "Inconclusive" if look.step in anew else look.signals[name].outcome)
        for look in result.looks
        if name in look.signals
    ]
    begin = 0
    for index in range(1, len(judged) + 1):
        over = index == len(judged)
        if not over and judged[index][1] == judged[begin][1] and judged[index][0] >= judged[index - 1][0]:
            continue
        # A trainer that was restarted goes on from an earlier step.
        end = last if over else max(judged[index - 1][0], judged[index][0])
        if judged[begin][1] in _SPANS:
            yield float(judged[begin][0]), float(end), judged[begin][1]
        begin = index


def _band(lines: Sequence[_Line], scale: _Scale) -> Iterator[str]:
    """What lies between the level before and the limit."""
    before = next((line for line in lines if line.style == "before"), None)
    limit = next((line for line in lines if line.style == "limit"), None)
    if before is None or limit is None:
        return
    for upper in before.parts:
        for lower in limit.parts:
            if upper[0][0] == lower[0][0]:
                around = [*upper, *reversed(lower)]
                places = " ".join(f"{scale.across(x):.1f},{scale.up(y):.1f}" for x, y in around)
                yield f'    <polygon class="band" points="{places}"/>'


def _rollback(rollback: Rollback, scale: _Scale, labelled: bool) -> Iterator[str]:
    """A line where it was, and an arrow to where it goes back."""
    at, height = scale.across(rollback.step), scale.ceiling + 10
    yield f'  <path class="rollback" d="M{at:.1f} {scale.ceiling}V{scale.floor}"/>'
    label = "no checkpoint to go back to"
    if rollback.target is not None:
        back = scale.across(rollback.target)
        yield f'  <path class="rollback" d="M{at:.1f} {height}H{back + 6:.1f}"/>'
        yield f'  <path class="head" d="M{back:.1f} {height}l8 -4v8z"/>'
        yield f'  <path class="rollback" stroke-dasharray="2 3" d="M{back:.1f} {scale.ceiling}V{scale.floor}"/>'
        label = f"{rollback.step:,} → {rollback.target:,}"
    if labelled:
        left = at > _WIDTH - _RIGHT - 110
        x, anchor = (at - 6, "end") if left else (at + 6, "start")
        y = height + (18 if left else 4)
        yield f'  <text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{label}</text>'


def _legend(lines: Sequence[_Line], spans: Sequence[tuple[float, float, str]], y: int) -> Iterator[str]:
    x = _LEFT
    for line in lines:
        yield f'  <path class="{line.style}" d="M{x} {y - 4}h22"/>'
        yield f'  <text x="{x + 28}" y="{y}">{line.name}</text>'
        x += 44 + 7 * len(line.name)
    told = {outcome for _, _, outcome in spans}
    for outcome, (style, name) in _SPANS.items():
        if outcome in told:
            yield f'  <rect class="{style}" x="{x}" y="{y - 10}" width="14" height="12"/>'
            yield f'  <text x="{x + 20}" y="{y}">{name}</text>'
            x += 36 + 7 * len(name)


def _ticks(scale: _Scale) -> Iterator[str]:
    for value in _round(*scale.y, 5):
        height = scale.up(value)
        yield f'  <path class="grid" d="M{_LEFT} {height:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'  <text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{value:,.6g}</text>'
    for value in _round(*scale.x, 8):
        x = scale.across(value)
        yield f'  <text x="{x:.1f}" y="{scale.floor + 18}" text-anchor="middle">{value:,.0f}</text>'


def _round(low: float, high: float, most: int) -> Iterator[float]:
    """Round numbers from `low` to `high`, about so many."""
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    unit = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * (1 - 1e-9))
    for index in range(math.ceil(low / unit - 1e-9), math.floor(high / unit + 1e-9) + 1):
        yield index * unit
