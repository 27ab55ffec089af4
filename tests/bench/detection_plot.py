"""The picture of the detector's figures, as SVG: false rollbacks as bars, and how soon jumps are caught."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _RIGHT, _ROW = 760, 230, 60, 26
_COLORS = {"Adaptive": "#1f6feb", "Ratio": "#d9822b"}
_STYLE = "text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-size: 14px; font-weight: 600 }"
_MOST_STEPS, _MOST_UPDATES = 600, 6
"""On the x axes of the lags."""
_POINTS = 120
"""Of a curve."""

Lags = tuple[Sequence[float], int]
"""Lags of the runs in which a fault was caught, and how many runs there were."""


def picture(wrong: Mapping[str, tuple[float, ...]], lags: Mapping[str, Lags]) -> str:
    """`wrong`: per family the share of healthy runs rolled back by each method. `lags`: per family, of jumps."""
    stairs = {family: each for family, each in lags.items() if "stair" in family}
    jumps = {family: each for family, each in lags.items() if family not in stairs}
    parts: list[str] = []
    top = _bars(parts, 0, wrong)
    top = _curves(parts, top + 20, "Jumps caught within so many steps (Adaptive)", jumps, _MOST_STEPS)
    top = _curves(parts, top + 20, "Jumps caught within so many updates, staircases (Adaptive)", stairs, _MOST_UPDATES)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}" '
        f'role="img">\n  <title>False rollbacks, and how soon faults are caught</title>\n  <style>{_STYLE}</style>\n'
        f'  <rect width="{_WIDTH}" height="{top}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _bars(parts: list[str], top: int, wrong: Mapping[str, tuple[float, ...]]) -> int:
    parts.append(_text(20, top + 24, "Healthy trainings that are rolled back", "title"))
    for number, (name, color) in enumerate(_COLORS.items()):
        parts.append(f'  <rect x="{_LEFT + 200 + 90 * number}" y="{top + 13}" width="12" height="12" fill="{color}"/>')
        parts.append(_text(_LEFT + 218 + 90 * number, top + 24, name))
    y = top + 44
    for family, shares in wrong.items():
        parts.append(_text(20, y + 14, family))
        for number, (share, color) in enumerate(zip(shares, _COLORS.values(), strict=True)):
            width = max(share * (_WIDTH - _LEFT - _RIGHT), 1.0)
            parts.append(f'  <rect x="{_LEFT}" y="{y + 10 * number}" width="{width:.1f}" height="8" fill="{color}"/>')
            parts.append(_text(_LEFT + width + 4, y + 10 * number + 8, f"{100 * share:.3g} %", size=9))
        y += _ROW
    return y + 10


def _curves(parts: list[str], top: int, title: str, lags: Mapping[str, Lags], most: float) -> int:
    height = 170
    base, ceiling, right = top + 40 + height, top + 40, _WIDTH - 250
    parts.append(_text(20, top + 24, title, "title"))
    parts.append(f'  <path d="M60 {ceiling}V{base}H{right}" fill="none" stroke="#888"/>')
    parts += [_text(52, base - share / 100 * height + 4, f"{share} %", anchor="end") for share in (0, 50, 100)]
    for quarter in range(5):
        x = 60 + quarter / 4 * (right - 60)
        parts.append(_text(x, base + 16, f"{quarter / 4 * most:g}", anchor="middle"))
    shades = ("#0b3d91", "#1f6feb", "#6ea8fe", "#2a9d8f", "#d9822b", "#9b5de5")
    for number, (family, (each, runs)) in enumerate(lags.items()):
        color = shades[number % len(shades)]
        lag, points = sorted(each), []
        for index in range(_POINTS + 1):
            done = index / _POINTS
            share = bisect_right(lag, done * most) / runs
            points.append((60 + done * (right - 60), base - share * height))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'  <polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        parts.append(f'  <rect x="{right + 16}" y="{ceiling + 20 * number}" width="12" height="12" fill="{color}"/>')
        parts.append(_text(right + 34, ceiling + 20 * number + 11, family))
    return base + 30


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start", size: int = 0) -> str:
    style = f' style="font-size: {size}px"' if size else ""
    named = f' class="{kind}"' if kind else ""
    return f'  <text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}{style}>{escape(text)}</text>'
