"""The circuit breaker of one mode: `advance` is its whole state machine, a pure function.

| phase | share | ends |
| --- | --- | --- |
| Closed | 100 % | with a reading that is `Failing` → Open |
| Open | 0 % | when the cooldown is over and the signal works → HalfOpen, first step |
| HalfOpen | 10, 50, 100 % (`Ramp`) | `Healthy` over a whole window → next step, at last Closed |
| | or 100 % (`Immediate`) | `Failing` → Open, with a doubled cooldown |

What else is defined:

- No reading, a failed or late one, one from the future, one of another question: nothing moves. It neither opens nor
  closes, and ends no cooldown.
- The signal works, but nothing counts the mode (new pods, a counter that is not born yet): neither opens nor closes. A
  cooldown ends by it, for a mode without traffic may have nothing to count.
- Fewer requests than `minimumRequests`, or an unknown number where one is asked for: never opens, and with that many
  failures closes nothing either.
- A step of the ramp: failures and `minimumRequests` are scaled to the share, so that the rate that opened the circuit
  opens it again. Only a window that began with the step or later shows that it is healthy; only one that began after
  the circuit had opened shows that it is not. No request in it proves nothing: the step lasts on.
- The circuit opens again within the last cooldown after it closed: a failed recovery, doubled up to `maxCooldown`.
- A mode of weight 0 recovers at once: a part of nothing would never be measured.
- The spec is edited: it applies at once, to an open circuit as well, whose cooldown counts from when it opened. A
  breaker that is removed is forgotten, and the mode has its weight.
- The clock jumps ahead: a cooldown ends early, by that clock; steps still need readings.
- The clock jumps back: what began in the future began now, so that nothing lasts longer than once more its time.

All times are whole seconds: what the status holds is all there is, and a restart changes nothing.

Source: M. Nygard, "Release It!", Circuit Breaker. The cooldown grows with the number of openings as the ejection time
of proxies with outlier detection does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from accord.api.base import format_duration
from accord.api.v1alpha1.trafficpolicy import CacheTTL, CircuitBreaker, CircuitBreakerStatus, Share
from accord.domain import age
from accord.domain.conditions import parse_timestamp, timestamp

Phase = Literal["Closed", "Open", "HalfOpen"]
Verdict = Literal["Failing", "Healthy"]

WHOLE = 100
RAMP = (10, 50, WHOLE)
_AT_ONCE = (WHOLE,)
_SKEW = timedelta(minutes=1)
"""How far clocks of two replicas may differ: what began that soon is no jump."""
_WHOLE_SECOND = timedelta(seconds=1)
_ROUNDING = 1e-6
"""A counter that is extrapolated over a window shows 2.9999999 for 3."""
_MOST_DOUBLINGS = 20
_LOOKS_PER_WINDOW = 4
_LEAST_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True)
class Reading:
    """What the signal says about one mode.

    `Absent`: the signal works, and no series counts failures of the mode. `Unknown`: there is no answer, or none that
    can be used.
    """

    at: datetime
    """When it was read, by the operator's clock."""
    outcome: Literal["Known", "Absent", "Unknown"]
    question: str
    """What was asked, as `question_of` says it."""
    failures: float = 0.0
    """Failures within the window that ends at `at`. A counter that is extrapolated shows fractions."""
    requests: float | None = None
    """Requests within that window; None where they are not counted."""
    message: str = ""
    """Why nothing is known, in a sentence."""


@dataclass(frozen=True)
class State:
    """One breaker at one moment. Times are in UTC and whole seconds."""

    phase: Phase
    since: datetime
    """When this phase, or this step of it, began."""
    step: int = WHOLE
    """Percentage of its weight that the mode gets in phase HalfOpen."""
    opened: datetime | None = None
    """When the circuit opened last."""
    openings: int = 0
    """How often it has opened in a row; each time doubles the cooldown."""
    downshifts: int = 0
    """How often it has opened in all."""
    cooldown: timedelta | None = None
    """Of the last opening."""
    failures: int | None = None
    requests: int | None = None
    why: str = ""
    """What opened it last, in words; `failures` and `requests` are the numbers in it."""

    @property
    def share(self) -> int:
        """Percentage of its weight that the mode gets."""
        return {"Closed": WHOLE, "Open": 0, "HalfOpen": self.step}[self.phase]

    @property
    def until(self) -> datetime | None:
        """When the cooldown is over; None unless open."""
        return self.since + self.cooldown if self.phase == "Open" and self.cooldown is not None else None


def advance(
    breaker: CircuitBreaker,
    former: State | None,
    reading: Reading | None,
    now: datetime,
    *,
    interval: timedelta,
    weight: float = WHOLE,
) -> State:
    """The next state. At most one transition a call; without one the former state, or an equal one.

    `interval` is the time between two readings (`interval_of`), `weight` the one that the mode would have without any
    breaker. A breaker that is new is closed.
    """
    now = _whole(now)
    if former is None:
        return State("Closed", now)
    state = _as_specified(breaker, former, now, weight)
    if reading is None or not is_usable(breaker, reading, now, interval):
        return state
    if state.phase == "Open":
        return _after_cooldown(breaker, state, reading, now, weight)
    found = verdict(breaker, reading, state.share)
    if found == "Failing" and _is_of_this_phase(breaker, state, reading):
        return _opened(breaker, state, reading, now)
    if found == "Healthy" and state.phase == "HalfOpen" and reading.at - breaker.window >= state.since:
        return _stepped(breaker, state, now, weight)
    return state


def verdict(breaker: CircuitBreaker, reading: Reading, share: int = WHOLE) -> Verdict | None:
    """What a reading proves while the mode gets `share` percent of its weight; None: nothing."""
    if reading.outcome != "Known":
        return None
    failures, requests = reading.failures + _ROUNDING, reading.requests
    if failures < max(breaker.failures * share / WHOLE, 1):
        return None if requests is not None and requests + _ROUNDING < 1 else "Healthy"
    if breaker.minimum_requests:
        least = max(breaker.minimum_requests * share / WHOLE, 1)
        if requests is None or requests + _ROUNDING < least:
            return None
    if breaker.failure_rate is not None:
        if not requests:
            return None
        if 100 * failures / requests < breaker.failure_rate:
            return "Healthy"
    return "Failing"


def is_usable(breaker: CircuitBreaker, reading: Reading, now: datetime, interval: timedelta) -> bool:
    """Whether a reading may move anything: of this breaker as it is now, not failed, and neither late nor early.

    Late is what is older than its own window, or than anything that is acted on (`age`).
    """
    limit = min(age.of_look(interval), max(breaker.window, 2 * interval))
    fresh = -_WHOLE_SECOND <= now - reading.at <= limit
    return fresh and reading.outcome != "Unknown" and reading.question == question_of(breaker)


def question_of(breaker: CircuitBreaker) -> str:
    """What is asked for a breaker: a reading for another window or query says nothing about it."""
    return f"{breaker.mode} {format_duration(breaker.window)} {breaker.query or ''}".rstrip()


def interval_of(window: timedelta, monitoring: timedelta) -> timedelta:
    """Time between two readings: a few in each window, and not fewer than the split is measured."""
    return max(min(window / _LOOKS_PER_WINDOW, monitoring), _LEAST_INTERVAL)


def cooldown_of(breaker: CircuitBreaker, openings: int) -> timedelta:
    """The cooldown after so many openings in a row."""
    doublings = min(max(openings, 1) - 1, _MOST_DOUBLINGS)
    return min(breaker.cooldown * int(2**doublings), breaker.longest_cooldown)


def look_again(state: State, now: datetime, *, window: timedelta, interval: timedelta) -> float | None:
    """Seconds until the clock alone may let the state change; None: only a reading that differs from the last can."""
    if state.phase == "Closed":
        return None
    due = state.until if state.until is not None else state.since + window
    return max((due - now).total_seconds(), interval.total_seconds())


def steps(breaker: CircuitBreaker, weight: float) -> tuple[int, ...]:
    """Percentages of its weight that the mode gets one after the other while it recovers."""
    return RAMP if breaker.recovery == "Ramp" and weight > 0 else _AT_ONCE


def record(
    mode: str, state: State, shift_to: Sequence[Share] = (), cache: CacheTTL | None = None
) -> CircuitBreakerStatus:
    """As the status holds it; `recall` is the inverse. `shift_to` and `cache` are those of the spec."""
    return CircuitBreakerStatus(
        mode=mode,
        shift_to=list(shift_to),
        phase=state.phase,
        share=state.share,
        since=timestamp(state.since),
        until=None if state.until is None else timestamp(state.until),
        opened=None if state.opened is None else timestamp(state.opened),
        openings=state.openings,
        downshifts=state.downshifts,
        cooldown=state.cooldown,
        failures=state.failures,
        requests=state.requests,
        reason=state.why or None,
        cache_ttl=None if cache is None else cache.normal_ttl if state.share == WHOLE else cache.downshift_ttl,
    )


def recall(recorded: CircuitBreakerStatus) -> State:
    """The state that the status holds."""
    return State(
        phase=recorded.phase,
        since=parse_timestamp(recorded.since),
        step=recorded.share if recorded.phase == "HalfOpen" else WHOLE,
        opened=None if recorded.opened is None else parse_timestamp(recorded.opened),
        openings=recorded.openings,
        downshifts=recorded.downshifts,
        cooldown=recorded.cooldown,
        failures=recorded.failures,
        requests=recorded.requests,
        why=recorded.reason or "",
    )


def _whole(time: datetime) -> datetime:
    return time.replace(microsecond=0)


def _as_specified(breaker: CircuitBreaker, state: State, now: datetime, weight: float) -> State:
    """The state under the spec and the clock of now, before anything is read."""
    since = now if state.since - now > _SKEW else state.since
    opened = now if state.opened is not None and state.opened - now > _SKEW else state.opened
    state = replace(state, since=since, opened=opened)
    if state.phase == "Open":
        return replace(state, cooldown=cooldown_of(breaker, state.openings))
    ladder = steps(breaker, weight)
    if state.phase == "HalfOpen" and state.step not in ladder:
        return replace(state, step=_next(ladder, state.step) or WHOLE, since=now)
    return state


def _after_cooldown(breaker: CircuitBreaker, state: State, reading: Reading, now: datetime, weight: float) -> State:
    """Half-open when the time is over. Without traffic there is nothing to judge: that the signal works is enough."""
    if state.until is not None and now < state.until:
        return state
    return replace(state, phase="HalfOpen", since=now, step=steps(breaker, weight)[0])


def _is_of_this_phase(breaker: CircuitBreaker, state: State, reading: Reading) -> bool:
    """Whether the failures came after what was done about the former ones."""
    if state.phase == "Closed":
        return True
    before = state.opened or state.since
    return reading.at > state.since and reading.at - breaker.window >= before


def _opened(breaker: CircuitBreaker, state: State, reading: Reading, now: datetime) -> State:
    last = state.cooldown or timedelta(0)
    again = state.phase == "HalfOpen" or (state.openings > 0 and now - state.since < last)
    openings = state.openings + 1 if again else 1
    failures, requests = round(reading.failures), None if reading.requests is None else round(reading.requests)
    return State(
        phase="Open",
        since=now,
        opened=now,
        openings=openings,
        downshifts=state.downshifts + 1,
        cooldown=cooldown_of(breaker, openings),
        failures=failures,
        requests=requests,
        why=_reason(breaker, failures, requests),
    )


def _reason(breaker: CircuitBreaker, failures: int, requests: int | None) -> str:
    of = "" if requests is None else f" of {requests} requests"
    return f"{failures} {'failure' if failures == 1 else 'failures'}{of} within {format_duration(breaker.window)}"


def _stepped(breaker: CircuitBreaker, state: State, now: datetime, weight: float) -> State:
    following = _next(steps(breaker, weight), state.step)
    if following is None:
        return replace(state, phase="Closed", since=now, step=WHOLE)
    return replace(state, since=now, step=following)


def _next(ladder: tuple[int, ...], step: int) -> int | None:
    return next((each for each in ladder if each > step), None)
