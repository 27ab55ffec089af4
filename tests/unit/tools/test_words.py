"""The word list finds its phrases where users read, and only there."""

from __future__ import annotations

import re

import pytest

from tools import words


def phrases(found: object) -> list[str]:
    return [each.phrase for each in found]  # type: ignore[attr-defined]


def test_nothing_that_users_read_has_a_phrase_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert words.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a person decided against the rollback", "a person"),
        ("it Takes down\nwhat is served", "Takes down what"),
        ("yaml without", "yaml without"),
        ("leads: accord-1", "leads:"),
        ("the training is tried again.", "is tried again"),
    ],
)
def test_a_phrase_is_found_in_either_case_and_across_lines(text: str, phrase: str) -> None:
    assert phrase in phrases(words.in_text(text, "x.md"))


@pytest.mark.parametrize("text", ["a personal computer", "a recommended value", "an island", "leads to a rollback"])
def test_parts_of_other_words_are_none(text: str) -> None:
    assert not phrases(words.in_text(text, "x.md"))


def test_the_place_and_what_to_write_are_said() -> None:
    [found] = words.in_text("one\ntwo is under way", "docs/x.md")
    assert str(found) == "docs/x.md:2: 'under way': write in progress"


def test_in_programs_strings_count_and_neither_comments_nor_docstrings() -> None:
    source = '''
def f(x):
    """It is made anew."""
    # somebody else
    return f"step {x} is tried again", "under way"
'''
    assert sorted(phrases(words.in_strings(source, "x.py"))) == ["is tried again", "under way"]


def test_every_phrase_is_an_expression_with_words_to_write_instead() -> None:
    for phrase, instead in words.INSTEAD.items():
        re.compile(phrase)
        assert instead
