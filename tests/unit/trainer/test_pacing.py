"""A pace, on a clock of its own."""

from __future__ import annotations

import pytest

from accord_trainer.sb3.pacing import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_steps_come_at_the_pace_and_not_in_a_burst_after_an_update() -> None:
    clock = Clock()
    pace = Pace(10, clock=clock, sleep=clock.sleep)
    for _ in range(20):
        pace.wait()
    assert clock.now == pytest.approx(102.0)
    clock.now += 30  # an update
    for _ in range(10):
        pace.wait()
    assert clock.now == pytest.approx(133.0, abs=0.2)


def test_without_a_number_nothing_waits() -> None:
    clock = Clock()
    pace = Pace(None, clock=clock, sleep=clock.sleep)
    pace.wait()
    assert clock.now == 100.0


def test_a_request_to_stop_is_heard_within_a_long_wait() -> None:
    clock = Clock()
    pace = Pace(0.01, clock=clock, sleep=clock.sleep)
    pace.wait(stop=lambda: clock.now > 101)
    assert 101 < clock.now < 102


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_a_pace_must_be_positive(wrong: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Pace(wrong)
