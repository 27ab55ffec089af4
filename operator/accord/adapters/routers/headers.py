"""What requests and answers carry, whichever router sends them: part of the contract with services and clients."""

from __future__ import annotations

from datetime import timedelta

MODE_HEADER = "x-accord-mode"
"""Of an answer: the mode that gave it."""
TTL_HEADER = "x-accord-cache-ttl"
"""Of a request to a pod: for how many seconds an answer may be cached."""


def whole_seconds(span: timedelta) -> int:
    """As headers and cookies have it: at least 1, for 0 would mean at once or never."""
    return max(1, round(span.total_seconds()))
