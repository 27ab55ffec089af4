"""`accord status`: what an argument means, how a tree is drawn, and what is kept while nobody answers."""

from __future__ import annotations

import io
import json
import re

import pytest

from accord.cli import main
from accord.cli.errors import InputError
from accord.cli.printer import Printer
from accord.cli.selection import Selection, parse
from accord.cli.status.showing import Reading, keep
from accord.cli.trees import Node, Span, node
from accord.ports.cluster import ClusterError

LONG = "mode balanced has no ready pod, so that the mode fast takes over until one of them is ready"
TREE: list[Node] = [
    node("a [b]", Span("  Ready", "good"), children=[node(Span(LONG, "bad"), children=[node("█ → end")])])
]
PLAIN = f"a [b]  Ready\n└── {LONG}\n    └── █ → end\n"


class Terminal(io.StringIO):
    """What a terminal would get."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        (None, None, None),
        ("tp", "TrafficPolicy", None),
        ("TrainingRuns/ppo", "TrainingRun", "ppo"),
        ("checkpointpolicy.accord.dev/ppo", "CheckpointPolicy", "ppo"),
        ("tr.v1alpha1.accord.dev", "TrainingRun", None),
    ],
)
def test_a_kind_is_named_as_kubectl_takes_and_prints_it(text: str | None, kind: str | None, name: str | None) -> None:
    assert parse(text) == Selection(kind, name)


@pytest.mark.parametrize("text", ["pods", "tp/", "tp/a/b", "", "/a"])
def test_what_is_no_kind_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse(text)


def test_an_object_is_not_named_in_all_namespaces(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "tp/a", "-A"]) == 2
    assert "cannot be named with --all-namespaces" in capsys.readouterr().err


def test_in_a_pipe_a_tree_is_plain() -> None:
    out = io.StringIO()
    Printer("accord status", out).trees(TREE)
    assert out.getvalue() == PLAIN


def test_on_a_terminal_it_has_colours_and_wraps_beside_its_branches() -> None:
    out = Terminal()
    Printer("accord status", out).trees(TREE)
    assert "\x1b[32m" in out.getvalue()
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()]
    assert lines[0] == "a [b]  Ready"
    assert lines[2].startswith("    ")
    assert all(len(line) <= 60 for line in lines)
    assert " ".join(" ".join(lines[1:-1]).removeprefix("└── ").split()) == LONG


def test_a_stream_that_knows_no_lines_gets_ascii() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="iso-8859-1", newline="\n")
    Printer("accord status", out).trees(TREE)
    out.flush()
    assert raw.getvalue().decode("ascii") == f"a [b]  Ready\n`-- {LONG}\n    `-- # > end\n"


def test_elsewhere_only_changes_are_written_one_below_the_other() -> None:
    out = io.StringIO()
    with Printer("accord status", out).live() as live:
        for version in (1, 1, 2):
            live.trees([node(f"version {version}")], version)
    assert out.getvalue() == "version 1\n---\nversion 2\n"
    out = io.StringIO()
    with Printer("accord status", out).live() as live:
        for version in (1, 1, 2):
            live.data({"version": version}, "json", version)
    decoder, text, found = json.JSONDecoder(), out.getvalue(), []
    while text.strip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    assert found == [{"version": 1}, {"version": 2}]


def test_a_terminal_is_overwritten_and_never_cleared() -> None:
    out = Terminal()
    with Printer("accord status", out).live() as live:
        for number in range(3):
            live.trees([node(f"number {number}")], 1)
    assert "number 2" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


def test_what_was_read_stays_while_the_api_server_does_not_answer() -> None:
    lost = ClusterError(0, "Unreachable", "GET /: refused")
    before = Reading({"TrafficPolicy": [{"a": 1}], "TrainingRun": []}, {})
    kept = keep(before, Reading({"TrainingRun": [{"b": 2}]}, {"TrafficPolicy": lost}))
    assert kept == Reading({"TrafficPolicy": [{"a": 1}], "TrainingRun": [{"b": 2}]}, {"TrafficPolicy": lost})
