"""One length for what people read: conditions, events, and what others said in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

MESSAGE_LIMIT = 500
"""Characters of a condition's or an event's message at most: five lines of a terminal."""
QUOTE_LIMIT = 300
"""Characters of what an API server, a scheduler or a driver said, within such a message."""
NO_REASON = "no reason given"
"""Where somebody else should have said why."""
REMEDY_LIMIT = 400
"""Characters of what a person is told to do, at the end of such a message, at most."""
_ELLIPSIS = "…"
_CLAUSE = re.compile(r"[;.:] (?=\S)")


def few(names: Sequence[str]) -> str:
    """Three of these at most, and that there are others."""
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


def shorten(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """`text`, no longer than `limit` characters, cut at words with an ellipsis.

    Of a long one the beginning and the last clauses stay: what is to be done comes last, and what somebody else said,
    at whatever length, is in between.
    """
    if len(text) <= limit:
        return text
    end = _last_clauses(text, limit * REMEDY_LIMIT // MESSAGE_LIMIT)
    return _cut(text, limit - len(end)) + end


def _cut(text: str, limit: int) -> str:
    kept = text[: limit - 1]
    # One word without an end (a dumped object) is cut where it is.
    whole = kept.rpartition(" ")[0]
    return (whole if len(whole) > limit // 2 else kept).rstrip(" ,;:.") + _ELLIPSIS


def _last_clauses(text: str, limit: int) -> str:
    """As many of the last clauses as fit, with what parts them from the rest; empty where not even one does."""
    near = text[-limit:]
    found = _CLAUSE.search(near)
    return "" if found is None else near[found.start() :].removeprefix(".")


def quote(text: str, limit: int = QUOTE_LIMIT) -> str:
    """What somebody else said, in one line without a full stop. Of a long one the beginning and the end.

    An API server that refuses a change repeats the whole object first, and says what is wrong with it last.
    """
    words = " ".join(text.split()).rstrip(".")
    if len(words) <= limit:
        return words
    tail = words[-limit // 4 :]
    return f"{_cut(words, limit - len(tail) - 1)} {tail.partition(' ')[2] or tail}"
