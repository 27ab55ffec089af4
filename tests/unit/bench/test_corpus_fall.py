"""When a return began to fall for good, on falls that are known."""

from __future__ import annotations

import random

import pytest
from tests.bench.corpus_fall import fall
from tests.bench.corpus_index import Recording, judge


def noise(count: int, level: float, seed: int, sigma: float = 1.0) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(level, sigma) for _ in range(count)]


def recording(returns: list[float], lost: int | None = None) -> Recording:
    """An episode every ten steps, an update every fifty."""
    steps = [10 * (index + 1) for index in range(len(returns))]
    return Recording(steps, returns, list(range(50, steps[-1] + 1, 50)), steps[-1], lost)


def test_a_fall_at_once_is_where_it_is() -> None:
    assert fall(noise(100, 10, 1) + noise(100, 0, 2), 0) == (100, 0)


def test_a_way_down_begins_where_it_does() -> None:
    slide = [value + 10 - index / 10 for index, value in enumerate(noise(100, 0, 3))]
    begin, length = fall(noise(100, 10, 1) + slide + noise(100, 0, 2), 50)
    assert begin == pytest.approx(100, abs=15)
    assert begin + length == pytest.approx(200, abs=15)


def test_one_return_that_is_a_thousand_times_the_others_moves_nothing() -> None:
    before, after = noise(100, 10, 1), noise(100, 0, 2)
    before[20] = after[60] = 10_000.0
    assert fall(before + after, 0) == (100, 0)


def test_a_fall_is_not_before_the_fault() -> None:
    assert fall(noise(50, 10, 1) + noise(50, 0, 2), 60).begin >= 60


def test_a_dip_that_mends_itself_is_no_harm() -> None:
    learnt = noise(100, 0, 1) + noise(300, 100, 2)
    down, back = noise(200, 0, 3), noise(400, 100, 4)
    assert judge(recording(learnt + down + back), 4000).label == "harmless"
    assert judge(recording(learnt + down + back), None).label == "healthy"
    lasting = judge(recording(learnt + back + down + down), 8000)
    assert (lasting.label, lasting.fall) == ("harmed", (800, 0))
    collapsed = judge(recording(learnt + back + down + down), None)
    assert (collapsed.label, collapsed.flat) == ("collapsed", False)
    assert collapsed.fall is not None
    assert collapsed.fall.begin == pytest.approx(800, abs=3)


def test_a_level_below_zero_is_no_scale() -> None:
    # Nothing was learnt, and it is lower by more than half of it, but by little beside what episodes differ by.
    flat = noise(400, -100, 1, 50)
    assert judge(recording(flat + noise(400, -160, 2, 50)), 4000).label == "harmless"
    assert judge(recording(flat + noise(400, -260, 2, 50)), 4000).label == "harmed"
    # The same from another zero.
    assert judge(recording([each - 1000 for each in flat + noise(400, -160, 2, 50)]), 4000).label == "harmless"


def test_a_loss_that_is_no_number_until_the_end_is_harm_whatever_the_returns_are() -> None:
    found = judge(recording(noise(800, 100, 1), lost=4000), 4000)
    assert (found.label, found.stays_down, found.fall) == ("harmed", True, None)
