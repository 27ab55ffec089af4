"""What the answers of a gateway say of the split."""

from __future__ import annotations

from collections.abc import Mapping

from tests.envoy.http1 import Reply
from tests.envoy.load import shares

LIKELY = 27.6
"""What chi-square with two degrees of freedom exceeds by chance once in a million."""


def served(replies: list[Reply]) -> dict[str, float]:
    """Shares by mode; every request was answered, and says by whom."""
    assert {reply.status for reply in replies} == {200}
    assert all(reply.header("x-accord-mode") == reply.body for reply in replies)
    return shares(replies)


def chi_square(split: Mapping[str, float], wanted: Mapping[str, float], count: int) -> float:
    """Pearson's statistic of shares in percent, of `count` requests that are each drawn by itself."""
    return sum(count / 100 * (split[mode] - share) ** 2 / share for mode, share in wanted.items())
