"""The work queue, with a clock, timers and chance that the test owns."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.observability.metrics import OperatorMetrics
from accord.runtime.queue import Backoff, Outcome, WorkQueue


class Time:
    """A clock that stands still until it is moved."""

    class Handle:
        def __init__(self) -> None:
            self.cancelled = False

        def cancel(self) -> None:
            self.cancelled = True

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Time.Handle, Callable[[], None]]] = []

    def later(self, delay: float, call: Callable[[], None]) -> Handle:
        handle = Time.Handle()
        heapq.heappush(self._due, (self.now + delay, next(self._numbers), handle, call))
        return handle

    def pass_(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, handle, call = heapq.heappop(self._due)
            if not handle.cancelled:
                call()
        self.now = end


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def queue(time: Time) -> WorkQueue[str]:
    return make(time)


def make(time: Time) -> WorkQueue[str]:
    queue: WorkQueue[str] = WorkQueue(
        OperatorMetrics(),
        Backoff(first=1, cap=8, jitter=0, patience=3),
        clock=lambda: time.now,
        call_later=time.later,
        chance=lambda: 0.5,
    )
    queue.open()
    return queue


def test_a_key_waits_once(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    queue.add("a")
    assert [queue.take(), queue.take(), queue.take()] == ["a", "b", None]


def test_a_key_that_runs_is_not_taken_again_until_it_is_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("a")
    assert queue.take() is None
    queue.done("a", Outcome())
    assert queue.take() == "a"
    queue.done("a", Outcome())
    assert queue.take() is None


def test_what_is_wanted_later_comes_later(queue: WorkQueue[str], time: Time) -> None:
    queue.add_after("a", 10)
    queue.add_after("a", 20)
    time.pass_(9.9)
    assert queue.take() is None
    time.pass_(0.2)
    assert queue.take() == "a"
    queue.done("a", Outcome())
    time.pass_(100)
    assert queue.take() is None


def test_the_earliest_wanted_time_counts(queue: WorkQueue[str], time: Time) -> None:
    queue.add_after("a", 20)
    queue.add_after("a", 5)
    time.pass_(5)
    assert queue.take() == "a"


def test_a_pass_decides_anew_when_it_wants_the_next(queue: WorkQueue[str], time: Time) -> None:
    queue.add_after("a", 5)
    queue.add("a")
    assert queue.take() == "a"
    queue.done("a", Outcome(requeue_after=50))
    time.pass_(49)
    assert queue.take() is None
    time.pass_(1)
    assert queue.take() == "a"


def test_failures_are_repeated_with_growing_delays_up_to_the_cap(queue: WorkQueue[str], time: Time) -> None:
    queue.add("a")
    for delay in (1, 2, 4, 8, 8, 8):
        assert queue.take() == "a"
        queue.done("a", Outcome(failed=True))
        time.pass_(delay - 0.01)
        assert queue.take() is None
        time.pass_(0.01)
    assert queue.take() == "a"
    queue.done("a", Outcome())
    queue.add("a")
    assert queue.take() == "a"
    queue.done("a", Outcome(failed=True))
    time.pass_(1)
    assert queue.take() == "a"


def test_a_failure_may_say_when_it_is_repeated_at_the_latest(queue: WorkQueue[str], time: Time) -> None:
    queue.add("a")
    delays = []
    for _ in range(6):
        key = queue.take()
        assert key is not None
        queue.done(key, Outcome(requeue_after=3, failed=True))
        began = time.now
        while not queue._ready:
            time.pass_(0.5)
        delays.append(time.now - began)
    assert delays == [1, 2, 3, 3, 3, 3]


def test_a_change_does_not_wait_for_the_backoff(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take()
    queue.done("a", Outcome(failed=True))
    queue.add("a")
    assert queue.take() == "a"


def test_a_pass_that_wrote_is_followed_by_one_that_checks(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take()
    queue.done("a", Outcome(wrote=True))
    assert queue.take() == "a"
    queue.done("a", Outcome())
    assert queue.take() is None


def test_passes_that_only_ever_write_are_slowed_down(queue: WorkQueue[str], time: Time) -> None:
    queue.add("a")
    passes = 0
    for _ in range(600):
        while queue.take():
            passes += 1
            queue.done("a", Outcome(wrote=True))
        time.pass_(1)
    assert passes < 90


def test_a_closed_queue_takes_nothing_and_forgets(queue: WorkQueue[str], time: Time) -> None:
    queue.add("a")
    queue.add_after("b", 1)
    queue.close()
    queue.add("c")
    time.pass_(10)
    assert queue.take() is None


def test_what_is_gone_is_forgotten(queue: WorkQueue[str], time: Time) -> None:
    queue.add_after("a", 1)
    queue.forget("a")
    time.pass_(10)
    assert queue.take() is None


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10_000))
def test_jitter_stays_in_its_bounds(chance: float, repetition: int) -> None:
    backoff = Backoff(first=0.2, cap=60, jitter=0.2)
    plain = min(60.0, 0.2 * 2.0 ** min(repetition, 30))
    assert 0.8 * plain <= backoff.delay(repetition, chance) <= 1.2 * plain


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "later", "take", "done", "fail", "pass"]))))
def test_no_key_is_lost_and_none_runs_twice_at_once(steps: list[tuple[str, str]]) -> None:  # noqa: C901 - one model
    """Whatever happens in whatever order: a key wanted after its last pass began gets another pass."""
    time = Time()
    queue = make(time)
    running: set[str] = set()
    owed: set[str] = set()
    for key, step in steps:
        if step in ("add", "later"):
            queue.add(key) if step == "add" else queue.add_after(key, 3)
            owed.add(key)
        elif step == "take":
            taken = queue.take()
            if taken is not None:
                assert taken not in running
                running.add(taken)
                owed.discard(taken)
        elif step in ("done", "fail") and key in running:
            running.discard(key)
            queue.done(key, Outcome(failed=step == "fail"))
            if step == "fail":
                owed.add(key)
        elif step == "pass":
            time.pass_(2)
    for key in list(running):
        queue.done(key, Outcome())
    seen = set()
    for _ in range(3):
        time.pass_(100)
        while (taken := queue.take()) is not None:
            seen.add(taken)
            queue.done(taken, Outcome())
    assert owed <= seen


async def test_workers_handle_different_keys_at_once_and_equal_ones_in_turn() -> None:
    queue: WorkQueue[str] = WorkQueue(OperatorMetrics())
    queue.open()
    running: set[str] = set()
    most, handled = 0, 0

    async def handle(key: str) -> Outcome:
        nonlocal most, handled
        assert key not in running
        running.add(key)
        most = max(most, len(running))
        queue.add(key) if handled < 50 else None
        await asyncio.sleep(0)
        running.discard(key)
        handled += 1
        return Outcome()

    workers = [asyncio.create_task(queue.work(handle)) for _ in range(4)]
    for key in "abc":
        queue.add(key)
    async with asyncio.timeout(120):
        while handled < 50 or running:  # noqa: ASYNC110 - one step of the loop at a time
            await asyncio.sleep(0)
    await queue.drained()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert most == 3
