"""Where the weight of downshifted modes goes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.builders import NOW

from accord.api.v1alpha1.trafficpolicy import CircuitBreaker
from accord.domain.traffic.breaker import State
from accord.domain.traffic.downshift import apply

WEIGHTS = {"fast": 60.0, "balanced": 30.0, "creative": 10.0}
OPEN, CLOSED = State("Open", NOW), State("Closed", NOW)
NAMES = ("fast", "balanced", "creative", "bold")


def trial(share: int) -> State:
    return State("HalfOpen", NOW, step=share)


def breaker(mode: str, **shift: int) -> CircuitBreaker:
    return CircuitBreaker.model_validate(
        {"mode": mode, "shiftTo": [{"mode": name, "weight": weight} for name, weight in shift.items()]}
    )


@pytest.mark.parametrize(
    ("breakers", "states", "shares", "paused"),
    [
        ([breaker("creative")], {}, WEIGHTS, ""),
        ([breaker("creative")], {"creative": CLOSED}, WEIGHTS, ""),
        ([], {"creative": OPEN}, WEIGHTS, ""),
        ([breaker("creative")], {"creative": OPEN}, {"fast": 70, "balanced": 30, "creative": 0}, "creative"),
        (
            [breaker("creative", fast=70, balanced=30)],
            {"creative": OPEN},
            {"fast": 67, "balanced": 33, "creative": 0},
            "creative",
        ),
        (
            [breaker("creative", fast=70, balanced=30)],
            {"creative": trial(10)},
            {"fast": 66.3, "balanced": 32.7, "creative": 1},
            "creative",
        ),
        ([breaker("creative")], {"creative": trial(100)}, WEIGHTS, ""),
        # One that is itself open is passed over: first for the others of shiftTo, then for the fallback mode.
        (
            [breaker("creative", fast=70, balanced=30), breaker("balanced")],
            {"creative": OPEN, "balanced": OPEN},
            {"fast": 100, "balanced": 0, "creative": 0},
            "balanced creative",
        ),
        (
            [breaker("creative", balanced=100), breaker("balanced", creative=100)],
            {"creative": OPEN, "balanced": trial(50)},
            {"fast": 85, "balanced": 15, "creative": 0},
            "balanced creative",
        ),
        # The fallback mode is open: whoever is whole, by weight.
        (
            [breaker("fast", balanced=100), breaker("balanced")],
            {"fast": OPEN, "balanced": OPEN},
            {"fast": 0, "balanced": 0, "creative": 100},
            "balanced fast",
        ),
        # Nobody is whole: those that recover.
        (
            [breaker("fast", balanced=100), breaker("balanced"), breaker("creative")],
            {"fast": OPEN, "balanced": trial(10), "creative": trial(10)},
            {"fast": 0, "balanced": 75, "creative": 25},
            "fast",
        ),
        # All are open: none would do better.
        (
            [breaker("fast", balanced=100), breaker("balanced"), breaker("creative")],
            {"fast": OPEN, "balanced": OPEN, "creative": OPEN},
            WEIGHTS,
            "",
        ),
        ([breaker("creative"), breaker("gone")], {"gone": OPEN}, WEIGHTS, ""),
    ],
)
def test_the_weight_goes_to(
    breakers: list[CircuitBreaker], states: dict[str, State], shares: dict[str, float], paused: str
) -> None:
    moved = apply(WEIGHTS, breakers, states, "fast")
    assert moved.shares == shares
    assert moved.paused == set(paused.split())


def test_who_took_the_weight_is_told() -> None:
    assert apply(WEIGHTS, [breaker("creative")], {"creative": OPEN}, "fast").moves == {"creative": ("fast",)}
    assert apply(WEIGHTS, [breaker("creative")], {"creative": CLOSED}, "fast").moves == {}


def test_modes_without_weight_take_equal_parts() -> None:
    moved = apply({"a": 100.0, "b": 0.0, "c": 0.0}, [breaker("a", a=0)], {"a": OPEN}, "a")
    assert moved.shares == {"a": 0, "b": 50, "c": 50}


states = st.sampled_from((OPEN, CLOSED, trial(10), trial(50), trial(100)))


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=3, max_size=3)))
    parts = (b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True))
    shifts = {}
    for mode in draw(st.sets(st.sampled_from(NAMES))):
        others = [name for name in NAMES if name != mode]
        first = draw(st.integers(0, 100))
        shifts[mode] = breaker(mode, **draw(st.sampled_from(({}, {others[0]: first, others[1]: 100 - first}))))
    return {
        "weights": dict(zip(NAMES, map(float, parts), strict=True)),
        "breakers": list(shifts.values()),
        "states": draw(st.dictionaries(st.sampled_from(NAMES), states)),
        "fallback": draw(st.sampled_from(NAMES)),
    }


@given(situations())
def test_shares_sum_to_100_and_an_open_mode_gets_nothing_while_another_may_be_tried(situation: dict[str, Any]) -> None:
    moved = apply(**situation)
    assert sum(round(share * 100) for share in moved.shares.values()) == 10_000
    assert all(share >= 0 and share == round(share, 2) for share in moved.shares.values())
    assert list(moved.shares) == list(situation["weights"])
    watched = {each.mode for each in situation["breakers"]}
    down = {mode for mode, state in situation["states"].items() if mode in watched and not state.share}
    if down < set(NAMES):
        assert all(moved.shares[mode] == 0 and mode in moved.paused for mode in down)
    else:
        assert moved.shares == situation["weights"]
    for mode, takers in moved.moves.items():
        assert mode in watched
        assert not down & set(takers)
