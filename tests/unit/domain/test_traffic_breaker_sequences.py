"""Failures, recoveries, restarts, edits, lost data and clocks that jump, in any order: what must hold all the while,
and that every circuit closes in the end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.domain.builders import NOW

from accord.api.v1alpha1.trafficpolicy import CircuitBreaker, CircuitBreakerStatus
from accord.domain.traffic.breaker import (
    RAMP,
    Reading,
    State,
    advance,
    cooldown_of,
    interval_of,
    question_of,
    recall,
    record,
)
from accord.domain.traffic.downshift import Moved, apply

NAMES = ("fast", "balanced", "creative")
SECONDS = st.sampled_from((1, 7, 30, 61, 150))
MONITORING = timedelta(seconds=60)
DATA = ("good", "lost", "failed", "absent", "late")
RATES = (0.0, 0.3, 20.0)
"""Requests a second that the whole service gets."""


def breaker(mode: str, **fields: Any) -> CircuitBreaker:
    other = next(name for name in NAMES if name != mode)
    return CircuitBreaker.model_validate({"mode": mode, "shiftTo": [{"mode": other, "weight": 100}], **fields})


SPECS = st.fixed_dictionaries(
    {
        "failures": st.sampled_from((1, 3, 50)),
        "window": st.sampled_from(("5s", "20s", "1m")),
        "cooldown": st.sampled_from(("5s", "30s", "2m")),
        "recovery": st.sampled_from(("Immediate", "Ramp")),
        "minimumRequests": st.sampled_from((0, 20)),
    },
    optional={"failureRate": st.sampled_from((1, 50)), "maxCooldown": st.just("5m")},
)


@dataclass
class Counter:
    """What a mode counted, second by second of the true time: a clock that jumps bends no counter."""

    requests: list[float] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)

    def within(self, window: timedelta) -> tuple[float, float]:
        seconds = int(window.total_seconds())
        return sum(self.failures[-seconds:]), sum(self.requests[-seconds:])


class Breakers(RuleBasedStateMachine):
    """A policy with breakers, its leader and its traffic. One step of the world is a second or more."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: datetime = NOW
        self.true = 0
        self.weights = {"fast": 60.0, "balanced": 30.0, "creative": 10.0}
        self.breakers = {mode: breaker(mode) for mode in NAMES}
        self.states: dict[str, State] = {}
        self.counters = {name: Counter() for name in NAMES}
        self.readings: dict[str, Reading] = {}
        self.failing: set[str] = set()
        self.data = "good"
        self.rate = 20.0
        self.counts_requests = True
        self.opened: dict[str, tuple[int, timedelta]] = {}
        """When (true time) a circuit opened, and for how long at least, as long as nobody moved clock or spec."""

    # What happens.

    @initialize(fields=SPECS, failing=st.sets(st.sampled_from(NAMES), min_size=1))
    def begin(self, fields: dict[str, Any], failing: set[str]) -> None:
        """All modes are watched, and some fail from the start."""
        self.breakers = {mode: breaker(mode, **fields) for mode in NAMES}
        self.second()
        self.failing = set(failing)
        self.pass_time(61)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.pass_time(seconds)

    @rule(mode=st.sampled_from(NAMES), seconds=SECONDS)
    def fail(self, mode: str, seconds: int) -> None:
        self.failing.add(mode)
        self.pass_time(seconds)

    @rule(mode=st.sampled_from(NAMES), seconds=SECONDS)
    def recover(self, mode: str, seconds: int) -> None:
        self.failing.discard(mode)
        self.pass_time(seconds)

    @rule(data=st.sampled_from(DATA), counts=st.booleans(), seconds=SECONDS)
    def signal(self, data: str, counts: bool, seconds: int) -> None:
        self.data, self.counts_requests = data, counts
        self.pass_time(seconds)

    @rule(seconds=SECONDS)
    def signal_is_back(self, seconds: int) -> None:
        self.data = "good"
        self.pass_time(seconds)

    @rule(rate=st.sampled_from(RATES), seconds=SECONDS)
    def traffic(self, rate: float, seconds: int) -> None:
        self.rate = rate
        self.pass_time(seconds)

    @rule()
    def restart(self) -> None:
        """Or failover: the book of readings is lost, and the state is what the status says."""
        self.readings.clear()
        stored = json.loads(
            json.dumps(
                [
                    record(mode, state).model_dump(mode="json", by_alias=True, exclude_none=True)
                    for mode, state in self.states.items()
                ]
            )
        )
        again = {each["mode"]: recall(CircuitBreakerStatus.model_validate(each)) for each in stored}
        assert again == self.states
        self.states = again

    @rule(skew=st.integers(-20, 20))
    def failover_to_another_clock(self, skew: int) -> None:
        self.restart()
        self.jump(skew)

    @rule(days=st.sampled_from((-400, -1, 1, 400)))
    def clock_jumps(self, days: int) -> None:
        self.jump(days * 86_400 + 7)

    @rule(mode=st.sampled_from(NAMES), fields=SPECS)
    def edit(self, mode: str, fields: dict[str, Any]) -> None:
        self.breakers[mode] = breaker(mode, **fields)
        self.opened.clear()

    @rule(mode=st.sampled_from(NAMES))
    def remove(self, mode: str) -> None:
        self.breakers.pop(mode, None)
        self.opened.clear()

    @rule(first=st.integers(0, 100), second=st.integers(0, 100))
    def weigh(self, first: int, second: int) -> None:
        low, high = sorted((first, second))
        self.weights = dict(zip(NAMES, map(float, (low, high - low, 100 - high)), strict=True))

    # What must hold.

    @invariant()
    def shares_sum_to_100(self) -> None:
        assert sum(round(share * 100) for share in self.moved.shares.values()) == 10_000

    @invariant()
    def what_is_closed_has_its_weight(self) -> None:
        for mode, weight in self.weights.items():
            state = self.states.get(mode)
            if mode not in self.breakers or state is None or state.share == 100:
                assert self.moved.shares[mode] >= weight

    @invariant()
    def an_open_mode_gets_nothing_while_another_may_be_tried(self) -> None:
        down = {mode for mode in self.breakers if mode in self.states and not self.states[mode].share}
        if down < set(NAMES):
            assert not any(self.moved.shares[mode] for mode in down)

    @precondition(lambda self: self.data != "good")
    @rule(seconds=st.just(30))
    def nothing_moves_without_data(self, seconds: int) -> None:
        """Once the last reading is late. New breakers begin, and that the signal works ends a cooldown."""
        self.pass_time(121)
        before = {mode: (state.phase, state.step) for mode, state in self.states.items()}
        self.pass_time(seconds)
        after = {mode: (state.phase, state.step) for mode, state in self.states.items()}
        if self.data == "absent":
            for mode in before:
                assert after[mode] == before[mode] or (before[mode][0], after[mode][0]) == ("Open", "HalfOpen")
        else:
            assert after == before

    def teardown(self) -> None:
        """All is well again: then every circuit closes, within a time that its spec gives. A mode that gets hardly a
        request in a window is never measured, but recovers all the same.
        """
        self.failing.clear()
        self.data, self.rate, self.counts_requests = "good", 20.0, True
        longest = max(
            (each.longest_cooldown + 5 * each.window for each in self.breakers.values()), default=timedelta(0)
        )
        measured = {mode for mode, each in self.breakers.items() if self.rate * self._part(mode) * _seconds(each) >= 20}
        for _ in range(int(longest.total_seconds()) + 120):
            self.second()
            phases = {mode: state.phase for mode, state in self.states.items()}
            if all(phases[mode] == "Closed" for mode in measured) and "Open" not in phases.values():
                break
        assert {mode for mode in measured if self.states[mode].phase != "Closed"} == set()
        assert {mode for mode, state in self.states.items() if state.phase == "Open"} == set()
        if measured == self.breakers.keys():
            assert self.moved.shares == self.weights

    # The world.

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.second()

    def second(self) -> None:
        """Requests are answered and counted; the signal is read when it is time; the leader decides."""
        self.true += 1
        self.clock += timedelta(seconds=1)
        shares = self.moved.shares
        for mode, counter in self.counters.items():
            requests = self.rate * shares[mode] / 100
            counter.requests.append(requests)
            counter.failures.append(requests if mode in self.failing else 0.0)
        for mode, each in self.breakers.items():
            interval = interval_of(each.window, MONITORING)
            if self.true % max(int(interval.total_seconds()), 1) == 0:
                self.read(mode, each)
        before, self.states = (
            self.states,
            {
                mode: advance(
                    each,
                    self.states.get(mode),
                    self.readings.get(mode),
                    self.clock,
                    interval=interval_of(each.window, MONITORING),
                    weight=self.weights[mode],
                )
                for mode, each in self.breakers.items()
            },
        )
        for mode, state in self.states.items():
            self.compare(mode, before.get(mode), state)

    def read(self, mode: str, each: CircuitBreaker) -> None:
        if self.data == "lost":
            return
        failures, requests = self.counters[mode].within(each.window)
        self.readings[mode] = Reading(
            at=self.clock - (timedelta(hours=1) if self.data == "late" else timedelta(0)),
            outcome="Unknown" if self.data == "failed" else "Absent" if self.data == "absent" else "Known",
            question=question_of(each),
            failures=failures,
            requests=requests if self.counts_requests else None,
        )

    def compare(self, mode: str, before: State | None, after: State) -> None:
        """No circuit is left before its cooldown, and none opens or closes by a way that is not drawn."""
        if before is None:
            assert after.phase == "Closed"
            return
        ways = {("Closed", "Open"), ("Open", "HalfOpen"), ("HalfOpen", "Open"), ("HalfOpen", "Closed")}
        assert before.phase == after.phase or (before.phase, after.phase) in ways
        if before.phase != "Open" and after.phase == "Open":
            assert after.why
            self.opened[mode] = self.true, cooldown_of(self.breakers[mode], after.openings)
        if before.phase == "Open" and after.phase != "Open" and mode in self.opened:
            since, cooldown = self.opened.pop(mode)
            assert self.true - since >= cooldown.total_seconds()

    @property
    def moved(self) -> Moved:
        return apply(self.weights, self.breakers.values(), self.states, "fast")

    def jump(self, seconds: int) -> None:
        self.clock += timedelta(seconds=seconds)
        self.opened.clear()

    def _part(self, mode: str) -> float:
        """Of all requests, at the least step of a ramp."""
        return self.weights[mode] / 100 * RAMP[0] / 100


def _seconds(each: CircuitBreaker) -> float:
    return each.window.total_seconds()


Breakers.TestCase.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
TestBreakers = Breakers.TestCase
