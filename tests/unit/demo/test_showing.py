"""What the demo shows: the picture, the table, and a claim that does not hold."""

from __future__ import annotations

import io
import itertools
import re
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from demo import picture, story
from demo.picture import Mark, Sample
from demo.screen import Row, Screen
from demo.steps.errors import StepError
from demo.steps.experiments.splits import wave
from demo.steps.load import Tally
from demo.steps.outcome import Outcome, furthest

MODES = ["fast", "balanced", "creative"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def visible(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).splitlines()


def test_the_picture_is_an_svg_with_a_target_and_a_line_for_each_mode() -> None:
    samples = [Sample(float(at), {"fast": 60, "a<b": 40}, {"fast": 58.0, "a<b": 42.0}) for at in range(100)]
    root = ET.fromstring(picture.draw(samples, [Mark(30, "Service deleted & back")]))
    texts = "".join(root.itertext())
    assert "a<b" in texts
    assert "1 Service deleted & back" in texts
    curves = [path for path in root if path.get("fill") == "none"]
    assert [curve.get("stroke-dasharray") for curve in curves] == ["5 4", None, "5 4", None]
    assert len((curves[0].get("d") or "").split("L")) == 2, "a target that does not move is one straight line"


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_the_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    Screen(out).table([Row("a-mode-with-a-long-name", 100, 100, 100, 100, True, 12)], "1 request")
    assert max(len(line) for line in visible(out.getvalue())) <= columns
    assert "ALERT" in out.getvalue()


def test_a_narrow_terminal_and_a_file_get_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for out in (Terminal(), io.StringIO()):
        Screen(out).table([Row("fast", 60, 60, None, 58.4, False, 2)], "10 requests")
        assert "target 60  live 58" in out.getvalue()
        assert "\x1b" not in out.getvalue()


def test_a_hundred_changes_are_a_hundred_different_splits() -> None:
    splits = [tuple(wave(MODES, number / 100).values()) for number in range(100)]
    assert all(sum(split) == 100 and min(split) >= 0 for split in splits)
    assert all(before != after for before, after in itertools.pairwise(splits))


def test_tallies_subtract() -> None:
    early, late = Tally(Counter(fast=5), failed=1), Tally(Counter(fast=8, creative=1), failed=3)
    assert late.since(early) == Tally(Counter(fast=3, creative=1), failed=2)
    assert late.since(early).shares == {"creative": 25.0, "fast": 75.0}
    assert furthest({"fast": 75.0}, {"fast": 60, "creative": 40}) == 40


def test_a_claim_that_does_not_hold_is_shown_and_the_others_are_still_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(world: object) -> Outcome:
        raise StepError("not within 5 s: Service example-fast is back")

    monkeypatch.setattr(
        story,
        "acts",
        lambda _: [
            story.Act("First", fails, ""),
            story.Act("Second", lambda world: Outcome("two is two", holds=True, measured="2"), ""),
        ],
    )
    monkeypatch.setattr(story, "whole_story", lambda world: Outcome("all", holds=False, measured="1 failed"))
    monkeypatch.setattr(story, "_put_back", lambda world: None)
    out = io.StringIO()
    outcomes = story.tell(_World(), Screen(out), _Watch(), 1)  # type: ignore[arg-type]
    assert [outcome.holds for outcome, _ in outcomes] == [False, True, False]
    assert "FAIL" in out.getvalue()
    assert "Service example-fast is back" in out.getvalue()
    assert story.summary(outcomes)[-1].strip() == "1 of 3 claims hold"


class _Watch:
    def mark(self, text: str) -> None: ...

    def drawing(self) -> io.StringIO:
        return io.StringIO()  # a context manager that draws nothing


class _World:
    @property
    def background(self) -> _World:
        return self

    def fresh_tally(self) -> None: ...
