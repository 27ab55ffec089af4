"""Requests over a window, from counters that come, go and begin anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accord.adapters.routers.envoy import counting
from accord.adapters.routers.envoy.counting import Counts, Reading
from accord.domain.traffic.observed import Tally

FAST = ("fast", counting.PASSED_ON)


def reading(total: int, uptime: int = -1) -> Reading:
    return Reading({FAST: total}, uptime)


def counted(counts: Counts, window: float, now: float) -> int | None:
    total = counts.within(window, now)
    return None if total is None else total[FAST]


def test_the_first_look_counts_nothing_and_each_further_one_what_was_added() -> None:
    counts = Counts()
    counts.enter({"a": reading(1_000), "b": reading(7)}, 0, 300)
    assert counted(counts, 300, 1) is None
    counts.enter({"a": reading(1_030), "b": reading(9)}, 30, 300)
    assert counted(counts, 300, 30) == 32


def test_a_counter_that_begins_anew_counts_from_nothing() -> None:
    counts = Counts()
    counts.enter({"a": reading(1_000, 500)}, 0, 300)
    counts.enter({"a": reading(20, 10)}, 30, 300)
    assert counted(counts, 300, 30) == 20
    counts.enter({"a": reading(90, 3)}, 60, 300)
    assert counted(counts, 300, 60) == 110, "a proxy that restarted, and is past its former count already"


def test_what_a_proxy_counted_before_it_went_stays_and_its_successor_of_the_same_name_begins_anew() -> None:
    counts = Counts()
    counts.enter({"a": reading(0), "b": reading(0)}, 0, 300)
    counts.enter({"a": reading(10), "b": reading(5)}, 10, 300)
    counts.keep(["b"])
    counts.enter({"b": reading(6)}, 20, 300)
    counts.enter({"a": reading(900), "b": reading(7)}, 30, 300)
    assert counted(counts, 300, 30) == 10 + 7


def test_nothing_from_before_the_window_is_counted() -> None:
    counts = Counts()
    for at in range(0, 130, 10):
        counts.enter({"a": reading(at)}, at, 60)
    assert counted(counts, 60, 120) == 60
    assert counted(counts, 60, 125) == 50, "what may have come before the window began is left out"
    assert counted(counts, 60, 500) is None


def test_a_long_window_takes_little_memory() -> None:
    counts, day = Counts(), 24 * 3600.0
    for look in range(3 * 1440):
        counts.enter({pod: reading(look) for pod in "abc"}, look * 60.0, day)
    assert len(counts._parts) <= 70
    assert 3 * 1400 <= (counted(counts, day, (3 * 1440 - 1) * 60.0) or 0) <= 3 * 1440


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.booleans()), max_size=60))
def test_the_sum_is_what_was_added_between_looks_whatever_restarts(steps: list[tuple[str, int, bool]]) -> None:
    counts, totals, expected = Counts(), dict.fromkeys("abc", 100), 0
    born, before = dict.fromkeys("abc", -1_000), dict.fromkeys("abc", 1_000)
    counts.enter({pod: reading(totals[pod], before[pod]) for pod in "abc"}, 0, 1e6)
    for now, (pod, grown, restarts) in enumerate(steps, start=1):
        restarts = restarts and before[pod] > 0
        totals[pod] = grown if restarts else totals[pod] + grown
        born[pod] = now if restarts else born[pod]
        before[pod] = now - born[pod]
        counts.enter({pod: reading(totals[pod], before[pod])}, now, 1e6)
        expected += grown
        assert counted(counts, 1e6, now) == expected


def test_figures_are_put_together_by_mode() -> None:
    total = {
        FAST: 12,
        ("route/fast", counting.ANSWERED): 10,
        ("route/fast", counting.ERRORS): 1,
        ("route/fast", counting.RETRIES): 2,
        ("all/unchecked", counting.PASSED_ON): 3,
        ("all/unchecked-http2", counting.PASSED_ON): 4,
    }
    assert counting.by_mode(total, ["fast", "slow"]) == {"fast": Tally(12, 10, 1, 2), "slow": Tally(0)}
    assert counting.unattributed(total) == 7


def failing(errors: dict[str, int], unreached: int = 0) -> Reading:
    """`errors` by address of an endpoint; the last one could not be reached so often."""
    figures = {("fast", counting.FAILED, address): value for address, value in errors.items()}
    figures["fast", counting.UNREACHED, list(errors)[-1]] = unreached
    return Reading({FAST: 100}, -1, figures)


def failures(counts: Counts) -> int:
    return counting.by_mode(counts.within(60, 30) or {}, ["fast"])["fast"].failures


def test_failures_are_those_of_all_endpoints_whichever_come_and_go() -> None:
    counts = Counts()
    counts.enter({"a": failing({"1": 500, "2": 7})}, 0, 60)
    assert counts.failures == 0, "what was counted before may be of any age"
    counts.enter({"a": failing({"2": 9, "3": 4})}, 10, 60)
    assert (failures(counts), counts.failures) == (2 + 4, 6)
    counts.enter({"a": failing({"2": 1, "3": 4})}, 20, 60)
    assert failures(counts) == 6 + 1, "one that begins anew, with its cluster"


def test_a_pod_that_cannot_be_reached_does_not_fail() -> None:
    counts = Counts()
    counts.enter({"a": failing({"1": 0})}, 0, 60)
    counts.enter({"a": failing({"1": 12}, unreached=9)}, 10, 60)
    assert failures(counts) == 3


def test_endpoints_that_were_not_asked_about_before_count_nothing() -> None:
    counts = Counts()
    counts.enter({"a": reading(100)}, 0, 60)
    counts.enter({"a": failing({"1": 5_000})}, 10, 60)
    assert failures(counts) == 0
