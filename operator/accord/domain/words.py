"""One length for what people read: conditions, events, and what others said in them."""

from __future__ import annotations

MESSAGE_LIMIT = 500
"""Characters of a condition's or an event's message at most: five lines of a terminal."""
QUOTE_LIMIT = 300
"""Characters of what an API server, a scheduler or a driver said, within such a message."""
NO_REASON = "no reason given"
"""Where somebody else should have said why."""
_ELLIPSIS = "…"


def shorten(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """`text`, cut at a word with an ellipsis where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    # One word without an end (a dumped object) is cut where it is.
    whole = kept.rpartition(" ")[0]
    return (whole if len(whole) > limit // 2 else kept).rstrip(" ,;:.") + _ELLIPSIS


def quote(text: str, limit: int = QUOTE_LIMIT) -> str:
    """What somebody else said, in one line without a full stop. Of a long one the beginning and the end.

    An API server that refuses a change repeats the whole object first, and says what is wrong with it last.
    """
    words = " ".join(text.split()).rstrip(".")
    if len(words) <= limit:
        return words
    tail = words[-limit // 4 :]
    return f"{shorten(words, limit - len(tail) - 1)} {tail.partition(' ')[2] or tail}"
