"""Line charts, one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from accord.cli import pictures

_WIDTH, _HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 48, 40, 44
_STYLE = """\
    .grid { stroke: #ddd } .axis { stroke: #888 }
    .line { fill: none; stroke: #1f6feb; stroke-width: 2 }
    .mark { fill: #1f6feb }"""


@dataclass(frozen=True)
class Chart:
    """One curve. `marks` are points of it that get a dot and their value."""

    title: str
    points: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, float]]


def svg(title: str, x_label: str, charts: Sequence[Chart]) -> str:
    """The charts below each other, on a common x axis that begins at 0."""
    height = _HEIGHT * len(charts)
    body = "\n".join(_chart(chart, x_label, _HEIGHT * index) for index, chart in enumerate(charts))
    return pictures.svg(title, _WIDTH, height, _STYLE, body)


def _chart(chart: Chart, x_label: str, top: int) -> str:
    x_high = max(x for x, _ in chart.points) or 1
    low, high = pictures.axis([y for _, y in chart.points])
    base, ceiling = top + _HEIGHT - _BOTTOM, top + _TOP

    def x_of(x: float) -> float:
        return _LEFT + x / x_high * (_WIDTH - _LEFT - _RIGHT)

    def y_of(y: float) -> float:
        return base - (y - low) / (high - low) * (base - ceiling)

    path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in chart.points)
    lines = [f'  <text class="title" x="{_LEFT}" y="{top + 22}">{escape(chart.title)}</text>']
    lines += [
        f'  <path class="grid" d="M{_LEFT} {y_of(value):.1f}H{_WIDTH - _RIGHT}"/>'
        for value in sorted({y for _, y in chart.marks})
    ]
    lines.append(f'  <path class="axis" d="M{_LEFT} {ceiling}V{base}H{_WIDTH - _RIGHT}" fill="none"/>')
    lines.append(f'  <polyline class="line" points="{path}"/>')
    for x, y in chart.marks:
        lines.append(f'  <circle class="mark" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="4"/>')
        lines.append(f'  <text x="{x_of(x):.1f}" y="{base + 18}" text-anchor="middle">{x:,.0f}</text>')
    for height, text in _apart({y_of(y): f"{y:g}" for _, y in chart.marks}):
        lines.append(f'  <text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{text}</text>')
    lines.append(f'  <text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{base + 36}" text-anchor="middle">{x_label}</text>')
    return "\n".join(lines)


def _apart(labels: Mapping[float, str], distance: float = 14) -> list[tuple[float, str]]:
    """Labels by height, without those that would be written over the one before."""
    kept: list[tuple[float, str]] = []
    for height, text in sorted(labels.items()):
        if not kept or height - kept[-1][0] >= distance:
            kept.append((height, text))
    return kept
