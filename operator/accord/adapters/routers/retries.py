"""Which requests are repeated, and how often: the same rules for every router that is told."""

from __future__ import annotations

IDEMPOTENT = "GET|HEAD|OPTIONS|PUT|DELETE|TRACE"
"""Methods that may be repeated after any failure, as a regular expression (RFC 9110, section 9.2.2)."""
ANY_FAILURE = "5xx"
"""Failures after which those are repeated, in Envoy's terms: the lack of an answer is one."""
UNSEEN = "connect-failure,refused-stream,reset-before-request"
"""Failures after which all others are: no server can have seen the request."""
_MOST = 3


def attempts(modes: int) -> int:
    """How often a request is repeated at most, where that many modes have a share."""
    return max(1, min(modes - 1, _MOST))
