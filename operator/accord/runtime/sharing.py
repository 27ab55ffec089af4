"""Equal parts of objects, kept once: a thousand policies differ in names, and are else as their defaults made them.

As the strings of decoded JSON, of which each object has its own `metadata`, `name` and `TCP`.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

_SHARED = 40
"""Characters of a string that may well be met again."""
REMEMBERED = 1024
"""Parts that were met last. What many objects have is met all the time; what one alone has is forgotten soon."""


class Sharing:
    """Replaces parts of objects by equal ones that it has met. What it returns must never be changed in place."""

    def __init__(self) -> None:
        self._met: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._met)

    def __call__(self, value: Any) -> Any:
        """Equal to `value`."""
        if isinstance(value, dict):
            made: Any = {sys.intern(name): self(item) for name, item in value.items()}
            return self._first(made, (dict, *made, *map(_mark, made.values())))
        if isinstance(value, list):
            made = [self(item) for item in value]
            return self._first(made, (list, *map(_mark, made)))
        return sys.intern(value) if type(value) is str and len(value) <= _SHARED else value

    def _first(self, made: Any, key: tuple[Any, ...]) -> Any:
        """What was met under that key. It holds its own parts, so that no other can have their identities."""
        met = self._met.setdefault(key, made)
        self._met.move_to_end(key)
        if len(self._met) > REMEMBERED:
            self._met.popitem(last=False)
        return met


def _mark(item: Any) -> Any:
    """What two equal parts have in common and no two different ones: parts of parts are the same where they are equal.

    1, 1.0 and true are equal in Python, and are not the same.
    """
    if isinstance(item, str):
        return item
    return id(item) if isinstance(item, dict | list) else (type(item), item)
