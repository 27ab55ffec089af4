"""Pictures as SVG, written by hand: what all of them have. A few lines need no plotting library."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from xml.sax.saxutils import escape

from accord.cli.errors import unwritable

_STYLE = """\
    text { font: 12px system-ui, sans-serif; fill: #333 }
    .title { font-size: 14px; font-weight: 600 }"""


def svg(title: str, width: int, height: int, style: str, body: str) -> str:
    """The whole picture, in pixels. `style` are the classes that `body` has beside `title`, as CSS."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img">\n'
        f"  <title>{escape(title)}</title>\n  <style>\n{_STYLE}\n{style}\n  </style>\n"
        f'  <rect width="{width}" height="{height}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def axis(values: Collection[float]) -> tuple[float, float]:
    """Ends of an axis on which all of these have a place, and some room around them."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.5 or 1.0
    return low - margin, high + margin


def write(path: Path, picture: str) -> None:
    """Into a file. CommandError that names it if that cannot be done."""
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
