"""Tables of text, as kubectl prints them."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, the headings first. Columns of whole numbers stand to the right, the last one as it is."""
    columns = len(rows[0])
    widths = [max(len(row[column]) for row in rows) for column in range(columns)]
    right = [all(_is_figure(row[column]) for row in rows[1:]) for column in range(columns)]
    return ["   ".join(_cells(row, widths, right)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    return [
        text.rjust(width) if figures else text.ljust(width)
        for text, width, figures in zip(row, widths, right, strict=True)
    ]


def _is_figure(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).replace("e", "", 1).isdigit() or text in ("–", "none")


def plural(count: int, word: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
