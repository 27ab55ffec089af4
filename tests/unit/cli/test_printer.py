"""What is printed is plain in pipes, and on a terminal the same with colours, unless they are unwanted."""

from __future__ import annotations

import io
import re
import sys

import pytest

from accord.cli.printer import Printer, Table

TABLE = Table(
    [("NAME", "STEP", "REASON"), ("a", "10", "short"), ("bcd", "9", "a reason that is rather long, as these are")]
)
PLAIN = """\
NAME   STEP   REASON
a        10   short
bcd       9   a reason that is rather long, as these are
"""
ESCAPE = "\x1b["


class Terminal(io.StringIO):
    """What a terminal would get."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")


def printed(out: io.StringIO) -> str:
    printer = Printer("accord test", out, out)
    printer.blocks(["Found [2]:", TABLE])
    printer.note("a [note]")
    printer.problem("one\ntwo")
    return out.getvalue()


EVERYTHING = f"Found [2]:\n{PLAIN}accord test: a [note]\naccord test: one\naccord test: two\n"


def stripped(text: str) -> str:
    return re.sub(r" +$", "", re.sub(r"\x1b\[[0-9;]*m", "", text), flags=re.MULTILINE)


def test_it_is_plain_in_a_pipe_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(io.StringIO()) == EVERYTHING
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "10")
    assert printed(io.StringIO()) == EVERYTHING


def test_on_a_terminal_it_says_the_same_in_colours() -> None:
    text = printed(Terminal())
    assert ESCAPE in text
    assert stripped(text) == EVERYTHING


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(Terminal())
    assert ESCAPE not in text
    assert stripped(text) == EVERYTHING


def test_a_terminal_that_can_nothing_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert printed(Terminal()) == EVERYTHING


def test_without_rich_it_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert printed(Terminal()) == EVERYTHING


def test_the_last_column_is_wrapped_where_there_is_room_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "54")
    assert stripped(printed(Terminal())).splitlines()[3:5] == [
        "bcd       9   a reason that is rather long, as these",
        "              are",
    ]
    monkeypatch.setenv("COLUMNS", "30")
    assert stripped(printed(Terminal())) == EVERYTHING
