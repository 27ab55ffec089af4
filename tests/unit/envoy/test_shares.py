import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.adapters.routers.envoy.cycle import LUA, in_cycle
from accord.adapters.routers.weights import TOTAL, whole

shares = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(0.01, 100), min_size=1, max_size=16)


@given(shares)
def test_whole_weights_sum_to_the_total_and_stay_close(given_shares: dict[str, float]) -> None:
    weights = whole(given_shares)
    total = sum(given_shares.values())
    assert sum(weights.values()) == TOTAL
    for name, share in given_shares.items():
        assert weights[name] >= 1
        assert abs(weights[name] - TOTAL * share / total) < 17


def test_percents_are_exact_and_thirds_are_shared_out() -> None:
    assert whole({"fast": 60, "balanced": 30, "creative": 10}) == {"fast": 6000, "balanced": 3000, "creative": 1000}
    thirds = whole({"a": 100 / 3, "b": 100 / 3, "c": 100 / 3})
    assert collections.Counter(thirds.values()) == {3333: 2, 3334: 1}


@pytest.mark.parametrize("weights", [{"a": 6000, "b": 3000, "c": 1000}, {"a": 1}, {"a": 3334, "b": 3333, "c": 3333}])
def test_a_cycle_names_the_beginning_of_each_modes_range(weights: dict[str, int]) -> None:
    cycle = in_cycle(weights)["metadata"]["filter_metadata"][LUA]["cycle"]
    values = list(weights.values())
    assert [int(slot) for slot in cycle["slot"]] == [sum(values[:index]) for index in range(len(values))]
    assert [step * values[0] for step in cycle["step"]] == [cycle["step"][0] * value for value in values]
