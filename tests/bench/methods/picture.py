"""The plot, as SVG: false share against caught share, and lags."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from xml.sax.saxutils import escape

from tests.bench.methods.score import Score, percentile

_WIDTH, _LEFT, _PLOT = 760, 60, 400
_HEIGHT, _ROW = 260, 24
_STYLE = "text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-size: 14px; font-weight: 600 }"
_COLORS = (
    "#9ec1ff",
    "#1f6feb",
    "#0b3d91",
    "#6fb1c9",
    "#d9822b",
    "#2a9d8f",
    "#9b5de5",
    "#c0392b",
    "#b8860b",
    "#999",
    "#444",
)
_SHARES = (0, 1, 5, 10, 25, 50, 100)
_LAGS = (1, 3, 10, 30, 100, 300, 1000)
_NAMES = 230
"""Width of the names beside the lags."""


def picture(scores: Mapping[str, Score]) -> str:
    """One dot a method; below, its median lag and the lag within which nine of ten are caught."""
    parts: list[str] = []
    top = _lags(parts, _shares(parts, scores) + 20, scores)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}" '
        f'role="img">\n  <title>Methods compared: false rollbacks, share caught, lag</title>\n'
        f'  <style>{_STYLE}</style>\n  <rect width="{_WIDTH}" height="{top}" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _shares(parts: list[str], scores: Mapping[str, Score]) -> int:
    ceiling, base = 44, 44 + _HEIGHT
    parts.append(_text(20, 24, "Share of harmed runs that is caught (up) against false alarms, of all runs", "title"))
    parts.append(f'  <path d="M{_LEFT} {ceiling}V{base}H{_LEFT + _PLOT}" fill="none" stroke="#888"/>')
    parts += [_text(_LEFT - 8, base - share / 100 * _HEIGHT + 4, f"{share} %", "", "end") for share in (0, 50, 95, 100)]
    for share in _SHARES:
        parts.append(_text(_across(share / 100), base + 16, f"{share} %", "", "middle"))
        parts.append(f'  <path d="M{_across(share / 100):.1f} {base}v-4" stroke="#888"/>')
    for number, (name, found) in enumerate(scores.items()):
        color = _COLORS[number % len(_COLORS)]
        x, y = _across(found.false_share), base - found.caught_share * _HEIGHT
        parts.append(
            f'  <circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}" stroke="#fff">'
            f"<title>{escape(name)}: {found.false_share:.1%} false, {found.caught_share:.1%} caught</title></circle>"
        )
        row = ceiling + 20 * number
        parts.append(f'  <circle cx="{_LEFT + _PLOT + 36}" cy="{row + 6}" r="5" fill="{color}"/>')
        parts.append(_text(_LEFT + _PLOT + 48, row + 10, name))
    return base + 30


def _across(share: float) -> float:
    """Small shares are what matters: the axis is that of square roots."""
    return _LEFT + 6 + math.sqrt(share) * (_PLOT - 6)


def _lags(parts: list[str], top: int, scores: Mapping[str, Score]) -> int:
    parts.append(
        _text(20, top + 24, "Episodes until a harmed run is caught: median, and 90 % of those caught", "title")
    )
    y = top + 44
    for number, (name, found) in enumerate(scores.items()):
        color = _COLORS[number % len(_COLORS)]
        parts.append(_text(20, y + 12, name))
        if found.episodes:
            middle, late = _along(statistics.median(found.episodes)), _along(percentile(found.episodes, 0.9))
            parts.append(f'  <path d="M{middle:.1f} {y + 8}H{late:.1f}" stroke="{color}" stroke-width="3"/>')
            parts.append(f'  <circle cx="{middle:.1f}" cy="{y + 8}" r="5" fill="{color}"/>')
            parts.append(f'  <path d="M{late:.1f} {y + 3}v10" stroke="{color}" stroke-width="3"/>')
        y += _ROW
    parts.append(f'  <path d="M{_NAMES} {y}H{_WIDTH - 30}" stroke="#888"/>')
    parts += [_text(_along(lag), y + 16, f"{lag}", "", "middle") for lag in _LAGS]
    return y + 30


def _along(lag: float) -> float:
    """Logarithmic, 1 to the last of the marks."""
    done = math.log(min(max(lag, 1), _LAGS[-1])) / math.log(_LAGS[-1])
    return _NAMES + 10 + done * (_WIDTH - 50 - _NAMES)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'  <text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'
