"""Where the weight of downshifted modes goes, for any number of circuit breakers in one policy.

A mode is *whole* if no breaker takes anything of its weight. What a downshifted mode may not have goes, by the first
of these lines that names somebody:

| who takes it | in which proportion |
| --- | --- |
| the modes of `shiftTo` that are whole | that of `shiftTo` |
| the fallback mode, if it is whole | |
| all modes that are whole | that of their weights; equal parts where these are 0 |
| no mode is whole: those that recover (HalfOpen) | that of their weights; equal parts where these are 0 |
| all modes are open | nothing moves: every mode keeps its weight, for no other would do better |

So an open mode gets nothing as long as any other may be tried, and no weight follows a chain of breakers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from accord.api.v1alpha1.trafficpolicy import CircuitBreaker
from accord.domain.traffic.breaker import WHOLE, State

_UNITS = 100
"""Shares are multiples of a hundredth of a percent."""


@dataclass(frozen=True)
class Moved:
    """Shares under the breakers."""

    shares: Mapping[str, float]
    """In percent, of each mode that has a weight, be it 0; they sum to 100 as the weights do."""
    paused: frozenset[str]
    """Modes that get nothing by preference or stickiness for now: what they get is counted out."""
    moves: Mapping[str, tuple[str, ...]]
    """Modes that lose weight, and who takes it."""


def apply(
    weights: Mapping[str, float],
    breakers: Iterable[CircuitBreaker],
    states: Mapping[str, State],
    fallback: str,
) -> Moved:
    """The shares for these weights, which sum to 100. States of modes that have no breaker, or left, count nothing."""
    specs = {breaker.mode: breaker for breaker in breakers if breaker.mode in weights}
    parts = {mode: states[mode].share for mode in specs if mode in states and states[mode].share < WHOLE}
    whole = [mode for mode in weights if mode not in parts]
    recovering = [mode for mode, part in parts.items() if part]
    if not parts or not (whole or recovering):
        return Moved(dict(weights), frozenset(), {})
    shares = {mode: weight * parts.get(mode, WHOLE) / WHOLE for mode, weight in weights.items()}
    moves = {}
    for mode, part in parts.items():
        takers = _takers(specs[mode], whole, fallback) or _by_weight(whole or recovering, weights)
        moves[mode] = tuple(takers)
        lost = weights[mode] * (WHOLE - part) / WHOLE
        for taker, proportion in takers.items():
            shares[taker] += lost * proportion
    paused = frozenset(parts) if whole else frozenset(parts) - frozenset(recovering)
    return Moved(_exact(shares), paused, {mode: takers for mode, takers in moves.items() if takers != (mode,)})


def _takers(breaker: CircuitBreaker, whole: list[str], fallback: str) -> dict[str, float]:
    """As the spec says it: mode to its part of 1; none where the spec names nobody who is whole."""
    named = {share.mode: float(share.weight) for share in breaker.shift_to if share.mode in whole and share.weight}
    if not named and fallback in whole:
        named = {fallback: 1.0}
    total = sum(named.values())
    return {mode: weight / total for mode, weight in named.items()}


def _by_weight(modes: list[str], weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights[mode] for mode in modes)
    if not total:
        return {mode: 1 / len(modes) for mode in modes}
    return {mode: weights[mode] / total for mode in modes if weights[mode]}


def _exact(shares: Mapping[str, float]) -> dict[str, float]:
    """In hundredths that sum to as much as before: the largest remainders are rounded up (Hamilton's method)."""
    # What is a whole number of hundredths but for the arithmetic stays one.
    exact = {mode: round(share * _UNITS, 6) for mode, share in shares.items()}
    floors = {mode: math.floor(value) for mode, value in exact.items()}
    missing = round(sum(shares.values()) * _UNITS) - sum(floors.values())
    largest = sorted(exact, key=lambda mode: (floors[mode] - exact[mode], mode))[:missing]
    return {mode: (floor + (mode in largest)) / _UNITS for mode, floor in floors.items()}
