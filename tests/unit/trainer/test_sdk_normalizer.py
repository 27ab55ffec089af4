"""The normalizer against NumPy and against exact fractions."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accord_trainer.sdk import RewardNormalizer

rewards = st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=120)
wild = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40)


def _normalizer(window: int = 1000, **changes: float) -> RewardNormalizer:
    return RewardNormalizer(window=window, **{"bootstrap_size": 0, **changes})  # type: ignore[arg-type]


@given(rewards, st.integers(min_value=1, max_value=50))
def test_mean_and_spread_are_those_of_numpy_over_the_window(series: list[float], window: int) -> None:
    normalizer = _normalizer(window)
    for count, reward in enumerate(series, 1):
        normalizer.update(reward)
        held = np.array(series[max(0, count - window) : count])
        size = np.abs(held).max()
        assert normalizer.mean == pytest.approx(held.mean(), rel=1e-12, abs=1e-12 * size)
        # NumPy itself rounds: its error grows with the size of the values, and small squares become zero.
        assert normalizer.std == pytest.approx(held.std(), rel=1e-9, abs=max(1e-9 * size, 1e-150))


@given(wild, st.integers(min_value=1, max_value=7))
@example([1e300, -1e300, 1e300], 3)
@example([5e-324, 1.7e308, 1.0, 1.0], 2)
@example([1e16, 1.0, 2.0], 2)
def test_mean_and_spread_are_exact_for_any_floats(series: list[float], window: int) -> None:
    normalizer = _normalizer(window)
    for count, reward in enumerate(series, 1):
        normalizer.update(reward)
        held = [Fraction(each) for each in series[max(0, count - window) : count]]
        mean = sum(held) / len(held)
        variance = sum((each - mean) ** 2 for each in held) / len(held)
        assert normalizer.mean == pytest.approx(float(mean), rel=1e-15, abs=1e-323)
        # Square roots of fractions beyond the range of floats: 200 bits of integer square root.
        scale = 2 ** (2 * 1280)
        root = Fraction(math.isqrt(int(variance * scale)), 2**1280)
        assert normalizer.std == pytest.approx(float(root), rel=1e-14, abs=1e-323)


def test_an_outlier_leaves_no_trace_once_it_is_out_of_the_window() -> None:
    disturbed, calm = _normalizer(10), _normalizer(10)
    for reward in (1e15, -3e200, *(0.1 * step for step in range(10))):
        disturbed.update(reward)
    for step in range(10):
        calm.update(0.1 * step)
    assert (disturbed.mean, disturbed.std) == (calm.mean, calm.std)


def test_a_small_spread_on_a_large_mean_is_not_cancelled_away() -> None:
    normalizer = _normalizer(1000)
    for step in range(200_000):
        normalizer.update(1e9 + (step % 2) * 1e-3)
    held = [Fraction(1e9), Fraction(1e9 + 1e-3)]
    assert normalizer.std == pytest.approx(float((held[1] - held[0]) / 2), rel=1e-14)


@given(rewards, st.integers(min_value=0, max_value=120), st.integers(min_value=1, max_value=5))
def test_a_restored_normalizer_goes_on_bit_for_bit(series: list[float], stop: int, frequency: int) -> None:
    changes = {"update_frequency": frequency, "bootstrap_size": 5}
    unbroken, first, second = _normalizer(20, **changes), _normalizer(20, **changes), _normalizer(20, **changes)
    expected = [unbroken(reward) for reward in series]
    found = [first(reward) for reward in series[:stop]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    found += [second(reward) for reward in series[stop:]]
    assert found == expected
    assert second.state_dict() == unbroken.state_dict()


def test_until_enough_rewards_are_in_the_bootstrap_statistics_count() -> None:
    normalizer = RewardNormalizer(bootstrap_size=100, bootstrap_mean=3.0, bootstrap_std=1.0)
    assert normalizer(5.0) == pytest.approx(2.0)
    for _ in range(98):
        normalizer.update(7.0)
    assert (normalizer.mean, normalizer.std) == (3.0, 1.0)
    normalizer.update(7.0)
    assert normalizer.mean == pytest.approx((5.0 + 99 * 7.0) / 100)


def test_the_window_may_be_smaller_than_the_bootstrap_size() -> None:
    normalizer = RewardNormalizer(window=3, bootstrap_size=5)
    for reward in (1.0, 2.0, 3.0, 4.0):
        normalizer.update(reward)
    assert normalizer.mean == 3.0
    assert normalizer.std == 1.0
    normalizer.update(5.0)
    assert normalizer.mean == 4.0
    assert len(normalizer) == 3


def test_statistics_are_refreshed_as_often_as_asked() -> None:
    normalizer = _normalizer(update_frequency=4, bootstrap_size=2)
    means = []
    for reward in (1.0, 3.0, 100.0, 0.0, 50.0):
        normalizer.update(reward)
        means.append(normalizer.mean)
    assert means == [3.0, 2.0, 2.0, 26.0, 26.0]


@given(rewards)
def test_normalized_rewards_are_clipped(series: list[float]) -> None:
    normalizer = _normalizer(clip=2.5)
    assert all(-2.5 <= normalizer(reward) <= 2.5 for reward in series)


def test_equal_rewards_are_zero_and_others_clipped() -> None:
    normalizer = _normalizer()
    assert [normalizer(4.0) for _ in range(10)] == [0.0] * 10
    assert normalizer.normalize(4.1) == 10.0
    assert normalizer.normalize(-math.inf) == -10.0


def test_disabled_rewards_pass_but_statistics_are_kept() -> None:
    normalizer = _normalizer(enabled=False)
    assert [normalizer(reward) for reward in (100.0, 300.0)] == [100.0, 300.0]
    assert (normalizer.mean, normalizer.std) == (200.0, 100.0)


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_refused_and_changes_nothing(reward: float) -> None:
    normalizer = _normalizer(2)
    normalizer.update(1.0)
    normalizer.update(2.0)
    before = normalizer.state_dict()
    with pytest.raises(ValueError, match="the reward is"):
        normalizer.update(reward)
    assert normalizer.state_dict() == before


def test_a_smaller_window_keeps_the_newest_rewards() -> None:
    large, small = _normalizer(10), _normalizer(2)
    for reward in range(10):
        large.update(reward)
    small.load_state_dict(large.state_dict())
    small.update(10)
    assert small.state_dict()["rewards"] == [9.0, 10.0]
    assert small.mean == 9.5


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 0},
        {"update_frequency": 0},
        {"bootstrap_size": -1},
        {"epsilon": 0.0},
        {"clip": 0.0},
        {"bootstrap_std": -1.0},
        {"bootstrap_mean": math.nan},
    ],
)
def test_parameters_without_meaning_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RewardNormalizer(**changes)  # type: ignore[arg-type]
