"""Tables of text, as kubectl prints them."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    """A line for each row, the headings first. Columns of numbers stand to the right, or all with `right`."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    sides = to_the_right(rows, right=right)
    return ["   ".join(_cells(row, widths, sides)).rstrip() for row in rows]


def to_the_right(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[bool]:
    """Of each column, whether it stands to the right."""
    return [right or all(_is_figure(row[column]) for row in rows[1:]) for column in range(len(rows[0]))]


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
