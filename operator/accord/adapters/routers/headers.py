"""What requests and answers carry, whichever router sends them: part of the contract with services and clients."""

from __future__ import annotations

import re
from datetime import timedelta

from accord.domain.traffic.routing import Sticky

MODE_HEADER = "x-accord-mode"
"""Of an answer: the mode that gave it."""
TTL_HEADER = "x-accord-cache-ttl"
"""Of a request to a pod: for how many seconds an answer may be cached."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]")


def whole_seconds(span: timedelta) -> int:
    """As headers and cookies have it: at least 1, for 0 would mean at once or never."""
    return max(1, round(span.total_seconds()))


def cookie_pattern(name: str, value: str) -> str:
    """A regular expression for a `cookie` header that has this cookie with this value, for RE2 and Go.

    Gateways search for the expression or match the whole header by it: it means the same for both.
    """
    return f"^(.*; *)?{''.join(map(_escaped, name))}={value}( *;.*)?$"


def set_cookie(sticky: Sticky, mode: str, path: str) -> str:
    """The `set-cookie` header of the answer that assigns a mode. Max-Age counts from that one: no other sets it."""
    age, secure = whole_seconds(sticky.ttl), "; Secure" if sticky.secure else ""
    return f"{sticky.cookie}={mode}; Max-Age={age}; Path={path}; HttpOnly{secure}; SameSite={sticky.same_site}"


def _escaped(character: str) -> str:
    """A backtick by its number: some gateways write expressions between two of them."""
    if _PLAIN.fullmatch(character):
        return character
    return r"\x60" if character == "`" else f"\\{character}"
