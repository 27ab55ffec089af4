"""Shares in percent as the whole numbers that routers want."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

TOTAL = 10_000
"""Sum of the weights of all modes: hundredths of a percent. It never changes, so that a user's hash, taken modulo
the sum, moves only where the shares move."""


def whole(shares: Mapping[str, float]) -> dict[str, int]:
    """Whole weights that sum to `TOTAL`, in the proportions of `shares` (positive, any sum), each at least 1.

    What rounding leaves over goes to the largest remainders (Hamilton's method), ties by name.
    """
    total = sum((Fraction(share) for share in shares.values()), Fraction())
    exact = {name: Fraction(share) * TOTAL / total for name, share in shares.items()}
    weights = {name: max(1, int(value)) for name, value in exact.items()}
    left = TOTAL - sum(weights.values())
    order = sorted(exact, key=lambda name: (weights[name] - exact[name], name))
    for name in order[: max(left, 0)]:
        weights[name] += 1
    if left < 0:
        weights[max(weights, key=lambda name: (weights[name], name))] += left
    return weights
