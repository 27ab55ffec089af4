"""No message is too long, and none loses what a person can do about it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accord.domain
import accord.runtime
from accord.domain.conditions import Wanted, merge, parse_timestamp
from accord.domain.plan import Event
from accord.domain.words import MESSAGE_LIMIT, QUOTE_LIMIT, REMEDY_LIMIT, quote, shorten

REMEDY = re.compile(r"kubectl |accord approve|[Cc]onfigure \x00|set spec\.|set max|free up|rollbackTo|--reject")
"""By these words a sentence is one that says what to do; \\x00 stands for what is filled in."""
LONGEST = {
    "pod.node": 253,
    "deployment.name": 253,
    "serving.deployment_ref.name": 253,
    "source.name": 253,
    "observed.source_name": 253,
    "who": 128,
    "key.name": 75,
    "record.id": 40,
    "record.to_step": 10,
}
"""Characters of what is filled in, as the API server allows them. What is not here is a name of at most 63: of ours, of
a pod, a container or a namespace."""
CONSTANT = re.compile(r"[A-Z_.a-z]*\b[A-Z_]+")
LONGEST_CONSTANT = 28
WORDS = st.text("abc def, ghi (jkl) xyz0123/-", min_size=1, max_size=900)


def sentences(package: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Each text of a package's code: where it is, the text with \\x00 for what is filled in, and what that is."""
    for path in sorted(Path(package.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                filled = [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
                parts = (str(part.value) if isinstance(part, ast.Constant) else "\x00" for part in node.values)
                yield f"{path.name}:{node.lineno}", "".join(parts), filled


def at_their_longest(text: str, filled: list[str]) -> str:
    lengths = (LONGEST.get(each, LONGEST_CONSTANT if CONSTANT.fullmatch(each) else 63) for each in filled)
    return re.sub("\x00", lambda _: "x" * next(lengths), text)


def remedy_of(text: str) -> str:
    """From the clause with the first word of it to the end."""
    first = REMEDY.search(text)
    assert first is not None
    return text[max(text.rfind(mark, 0, first.start()) for mark in ("; ", ". ", ": ")) + 1 :].strip()


REMEDIES = [
    pytest.param(
        at_their_longest(remedy_of(text), filled[text.count("\x00") - remedy_of(text).count("\x00") :]), id=where
    )
    for package in (accord.domain, accord.runtime)
    for where, text, filled in sentences(package)
    if REMEDY.search(text)
]


def test_the_messages_with_a_remedy_are_found() -> None:
    found = " ".join(str(each.values[0]) for each in REMEDIES)
    for words in (
        "kubectl delete node",
        "accord approve",
        "annotation",
        "rollout resume",
        "kubectl label",
        "to ignore",
    ):
        assert words in found
    assert len(REMEDIES) >= 15


@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("mark", ["; ", ". ", ": "])
def test_what_to_do_is_never_cut_off(remedy: str, mark: str) -> None:
    assert len(remedy) + len(mark) <= REMEDY_LIMIT
    for words in ("no room for it " * 60, "a: b; c. " * 200, "x" * 3000, "short"):
        message = f"rollback to step 4294967295 failed: pod a-1: {words}{mark}{remedy}"
        said = shorten(message)
        assert len(said) <= MESSAGE_LIMIT
        assert said.endswith(remedy)
        assert said.startswith("rollback to step 4294967295 failed: pod a-1")


@given(WORDS, WORDS, st.sampled_from(["; ", ". ", ": "]), st.text("abcd -=/`'", max_size=REMEDY_LIMIT - 2))
def test_what_others_said_is_cut_first(begin: str, quoted: str, mark: str, remedy: str) -> None:
    remedy = remedy.strip() or "wait"
    message = f"{begin.strip()}: {quote(quoted)}{mark}{remedy}"
    said = shorten(message)
    assert len(said) <= MESSAGE_LIMIT
    assert said.endswith(remedy)
    assert said == message or "…" in said
    kept = said.partition("…")[0].rstrip(" ,;:.")
    assert message.startswith(kept)


@given(st.text(max_size=3000))
def test_whatever_is_said_no_message_is_longer(text: str) -> None:
    assert len(shorten(text)) <= MESSAGE_LIMIT
    assert len(quote(text)) <= QUOTE_LIMIT
    assert shorten(shorten(text)) == shorten(text)


def test_conditions_and_events_keep_it_alike() -> None:
    message = f"cannot schedule pod a: {'0/9 nodes, ' * 90}; free up resources"
    (said,) = merge(
        [], [Wanted("Ready", "False", "x", message)], generation=1, now=parse_timestamp("2026-01-01T00:00:00Z")
    )
    assert said["message"].endswith("nodes, 0/9…; free up resources")
    assert Event("Warning", "x", message).note == said["message"]
