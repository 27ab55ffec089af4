"""What a command prints: plain text and data, and on a terminal the same with colours.

Colours and wrapped tables come from rich, which belongs to the extra `cli` and is loaded for a terminal alone: in
pipes, in CI and in the operator's image every byte is as written here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar

from accord.cli.tables import aligned, to_the_right
from accord.cli.trees import ASCII, Node, Tone, drawn

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live as RichLive

_GAP = 3  # between two columns
_LEAST = 40  # characters of the last column of a table: wrapped shorter it could not be read

T = TypeVar("T")
Format = Literal["table", "json", "yaml"]


@dataclass(frozen=True)
class Table:
    """Rows of cells, the headings first."""

    rows: Sequence[Sequence[str]]
    right: bool = False
    """Whether all columns stand to the right; else those of numbers do."""


_STYLES: dict[Tone, str] = {
    "plain": "",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "warning": "yellow",
    "bad": "bold red",
}
Block = str | Table
"""A line, or a table."""


class Printer:
    """stdout and stderr of one command."""

    def __init__(self, program: str = "accord", out: TextIO | None = None, err: TextIO | None = None) -> None:
        """`program`: what stands before each message, such as `accord plan`."""
        self.program = program
        self._out, self._err = out or sys.stdout, err or sys.stderr

    def text(self, text: str) -> None:
        """Print it as it is."""
        self._out.write(text)

    def data(self, value: Any, form: Format) -> None:
        """One document, as JSON or YAML."""
        if form == "json":
            self._out.write(json.dumps(value, indent=2) + "\n")
            return
        from accord.api.kubeyaml import written  # here, so that help need not load it

        self._out.write(written(value))

    def blocks(self, blocks: Iterable[Block]) -> None:
        """Lines and tables, one below the other."""
        console = _console(self._out)
        for block in blocks:
            if isinstance(block, str):
                self._out.write(f"{block}\n")
            elif console is None:
                self._out.writelines(f"{line}\n" for line in aligned(block.rows, right=block.right))
            else:
                _print_table(console, block)

    def trees(self, roots: Sequence[Node]) -> None:
        """Trees, with an empty line between two. What the stream cannot encode is written in ASCII."""
        console = _console(self._out) if _is_unicode(self._out) else None
        if console is not None:
            console.print(_grown(roots))
            return
        text = "".join(f"{line}\n" for line in drawn(roots))
        if not _is_unicode(self._out):
            text = text.translate(ASCII).encode("ascii", errors="replace").decode()
        self._out.write(text)

    @contextmanager
    def live(self) -> Iterator[Live]:
        """What is shown anew with each change: on a terminal in the same place, else one below the other."""
        console = _console(self._out) if _is_unicode(self._out) else None
        if console is None:
            yield Live(self, None)
            return
        from rich.live import Live as RichLive

        with RichLive(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as picture:
            yield Live(self, picture)

    def flush(self) -> None:
        """Hand over what was printed. BrokenPipeError where nobody reads it any more."""
        self._out.flush()

    def aside(self, text: str) -> None:
        """Text as it is on stderr, where stdout holds data."""
        self._err.write(text)

    def note(self, message: str) -> None:
        """What a reader of the output should know, on stderr."""
        self._say(message, "yellow")

    def problem(self, message: str) -> None:
        """What is wrong, on stderr; every line with the name of the command before it."""
        for line in message.splitlines() or [""]:
            self._say(line, "bold red")

    def counted(self, items: Sequence[T], what: str) -> Iterator[T]:
        """The items, one by one; on a terminal a line on stderr says how many are done, and is gone in the end."""
        console = _console(self._err)
        if console is None:
            yield from items
            return
        from rich.live import Live
        from rich.text import Text

        with Live(
            console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as line:
            for number, item in enumerate(items):
                line.update(Text(f"{self.program}: {number} of {len(items)} {what}"), refresh=True)
                yield item

    def _say(self, message: str, style: str) -> None:
        console = _console(self._err)
        if console is None:
            self._err.write(f"{self.program}: {message}\n")
            return
        from rich.text import Text

        console.print(Text.assemble((f"{self.program}:", style), f" {message}"), soft_wrap=True)


class Live:
    """Where something is shown that changes. `version` says whether it did, but for how long ago things are."""

    def __init__(self, printer: Printer, picture: RichLive | None) -> None:
        self._printer, self._picture = printer, picture
        self._version: object = None

    def trees(self, roots: Sequence[Node], version: object) -> None:
        """Trees in place of those before; in a pipe below them, after a line `---`, and only if they changed."""
        if self._picture is not None:
            self._picture.update(_grown(roots), refresh=True)
        elif self._is_new(version):
            self._printer.trees(roots)
            self._printer.flush()

    def data(self, value: Any, form: Format, version: object) -> None:
        """A document for each change: JSON one after another, YAML with `---` between."""
        if self._is_new(version, separated=form == "yaml"):
            self._printer.data(value, form)
            self._printer.flush()

    def _is_new(self, version: object, *, separated: bool = True) -> bool:
        if version == self._version:
            return False
        if self._version is not None and separated:
            self._printer.text("---\n")
        self._version = version
        return True


def _grown(roots: Sequence[Node]) -> Group:
    """For a terminal: long lines are wrapped beside the branches."""
    from rich.console import Group
    from rich.text import Text
    from rich.tree import Tree

    def tree(each: Node) -> Tree:
        found = Tree(Text.assemble(*((span.text, _STYLES[span.tone]) for span in each.line)), guide_style="dim")
        found.children = [tree(child) for child in each.children]
        return found

    spaced = [part for root in roots for part in (Text(""), tree(root))]
    return Group(*spaced[1:])


def _is_unicode(stream: TextIO) -> bool:
    """Whether it takes the lines of a tree; a stream of text has no encoding, and takes all."""
    encoding = getattr(stream, "encoding", None)
    try:
        "├█→".encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _console(stream: TextIO) -> Console | None:
    """None where the text stays plain: no terminal, or no rich."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    if os.environ.get("NO_COLOR"):
        return Console(file=stream, color_system=None, highlight=False)
    return Console(file=stream, highlight=False)


def _print_table(console: Console, table: Table) -> None:
    """With the last column wrapped, where that leaves it enough of the terminal; else the terminal wraps the lines."""
    from rich.table import Table as RichTable
    from rich.text import Text

    head, *rows = table.rows
    widths = [max(len(row[column]) for row in table.rows) for column in range(len(head))]
    room = console.width - sum(width + _GAP for width in widths[:-1])
    if room < min(widths[-1], _LEAST):
        console.print(Text("\n".join(aligned(table.rows, right=table.right))), soft_wrap=True)
        return
    widths[-1] = min(widths[-1], room)
    right = to_the_right(table.rows, right=table.right)
    drawn = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for heading, width, side in zip(head, widths, right, strict=True):
        drawn.add_column(heading, justify="right" if side else "left", width=width, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)
