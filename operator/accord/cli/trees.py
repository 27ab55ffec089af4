"""Trees of text, each piece with a tone that a terminal shows as a colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "strong", "dim", "good", "warning", "bad"]


@dataclass(frozen=True)
class Span:
    """A piece of one line."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Node:
    """A line, and what stands below it."""

    line: tuple[Span, ...]
    children: tuple[Node, ...] = ()

    @property
    def text(self) -> str:
        """The line without tones."""
        return "".join(span.text for span in self.line).rstrip()


def node(*spans: Span | str, children: Iterable[Node] = ()) -> Node:
    """A node of spans and plain text."""
    return Node(tuple(Span(each) if isinstance(each, str) else each for each in spans), tuple(children))


def drawn(roots: Sequence[Node]) -> Iterator[str]:
    """Plain lines, with an empty one between two trees."""
    for index, root in enumerate(roots):
        if index:
            yield ""
        yield root.text
        yield from _below(root, "")


def columns(rows: Sequence[Sequence[Span]]) -> list[tuple[Span, ...]]:
    """Rows whose cells stand below each other; a column that is empty in all rows is left out."""
    widths = [max(len(row[column].text) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        tuple(Span(f"{cell.text:{width + 3}}", cell.tone) for cell, width in zip(row, widths, strict=True) if width)
        for row in rows
    ]


def _below(parent: Node, indent: str) -> Iterator[str]:
    for child in parent.children:
        last = child is parent.children[-1]
        yield f"{indent}{'└── ' if last else '├── '}{child.text}"
        yield from _below(child, indent + ("    " if last else "│   "))


ASCII = str.maketrans(
    {"├": "|", "└": "`", "│": "|", "─": "-", "█": "#", "░": ".", "–": "-", "→": ">", "✗": "x", "✓": "+"}
)
"""For what a stream cannot encode."""
