"""Target and actual shares over time, as an SVG of a few kilobytes that reads well on light and dark pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 340
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 44, 52
COLOURS = ("#2f81f7", "#e3872d", "#3fa45b", "#b35cd6", "#d64545", "#7a8490")


@dataclass(frozen=True)
class Sample:
    """Shares in percent at `at` seconds after the beginning."""

    at: float
    target: dict[str, float]
    live: dict[str, float]


@dataclass(frozen=True)
class Mark:
    """Something that happened at `at` seconds."""

    at: float
    text: str


def draw(samples: Sequence[Sample], marks: Sequence[Mark]) -> str:
    """The SVG: dashed steps are what the policy asks for, lines are what the load got."""
    end = max((sample.at for sample in samples), default=1.0) or 1.0
    modes = list(samples[0].target) if samples else []

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / end

    def y(percent: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - percent / 100)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" '
        'font-size="12" fill="#7a8490" role="img" aria-label="Target and actual shares over time">',
        f'<text x="{LEFT}" y="18" font-size="14">Share of the requests: the target dashed, what arrived solid</text>',
    ]
    parts += [
        f'<path d="M{LEFT} {y(percent):.1f}H{WIDTH - RIGHT}" stroke="#7a8490" stroke-opacity=".25"/>'
        f'<text x="{LEFT - 6}" y="{y(percent) + 4:.1f}" text-anchor="end">{percent} %</text>'
        for percent in range(0, 101, 20)
    ]
    parts += _marks(marks, x)
    for index, mode in enumerate(modes):
        colour = COLOURS[index % len(COLOURS)]
        target = _path(_steps((x(sample.at), y(sample.target.get(mode, 0))) for sample in samples))
        live = _path((x(sample.at), y(sample.live.get(mode, 0))) for sample in samples)
        parts.append(f'<path d="{target}" fill="none" stroke="{colour}" stroke-width="1.2" stroke-dasharray="5 4"/>')
        parts.append(f'<path d="{live}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT - 90 * (len(modes) - index)}" y="18" fill="{colour}">{escape(mode)}</text>'
        )
    step = 30 if end <= 400 else 60
    for second in range(0, int(end) + 1, step):
        parts.append(f'<text x="{x(second):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{second} s</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def write(path: Path, samples: Sequence[Sample], marks: Sequence[Mark]) -> None:
    """Writes the picture where there is something to show."""
    if samples:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(samples, marks))


def _marks(marks: Sequence[Mark], x: Callable[[float], float]) -> list[str]:
    parts = []
    for number, mark in enumerate(marks, start=1):
        parts.append(
            f'<path d="M{x(mark.at):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#7a8490" stroke-opacity=".6" '
            f'stroke-dasharray="2 3"/><text x="{x(mark.at):.1f}" y="{TOP - 6}" text-anchor="middle">{number}</text>'
        )
    legend = "   ".join(f"{number} {mark.text}" for number, mark in enumerate(marks, start=1))
    return [*parts, f'<text x="{LEFT}" y="{HEIGHT - 10}" font-size="10.5" xml:space="preserve">{escape(legend)}</text>']


def _steps(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    stepped: list[tuple[float, float]] = []
    for x, y in points:
        if stepped:
            if stepped[-1][1] == y:
                if len(stepped) > 1 and stepped[-2][1] == y:
                    stepped[-1] = (x, y)
                    continue
            else:
                stepped.append((x, stepped[-1][1]))
        stepped.append((x, y))
    return stepped


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
