"""What circuit breakers and phases make of the weights: what every replica reads in the status, and what the leader
writes there next.

`weights`, `moved` and `until` are pure functions of one object as the API server holds it, for all replicas route by
them. Only `advance` knows readings and the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from accord.api.v1alpha1.trafficpolicy import (
    CircuitBreaker,
    CircuitBreakerStatus,
    Downshift,
    PhaseStatus,
    TrafficPolicy,
)
from accord.domain import age
from accord.domain.conditions import timestamp
from accord.domain.traffic import breaker, downshift, phases
from accord.domain.traffic.breaker import Reading, State
from accord.domain.traffic.downshift import Moved
from accord.domain.traffic.failures import Failures, interval
from accord.domain.traffic.observed import Measurement, Observed
from accord.domain.traffic.phases import Position, Signals


@dataclass(frozen=True)
class Movement:
    """What the status will hold of both."""

    circuit_breakers: tuple[CircuitBreakerStatus, ...] = ()
    phase: PhaseStatus | None = None
    look_again: float | None = None
    """Seconds until the time alone may change something."""

    def onto(self, policy: TrafficPolicy) -> TrafficPolicy:
        """The policy with that status."""
        update = {"circuit_breakers": list(self.circuit_breakers), "phase": self.phase}
        return policy.model_copy(update={"status": policy.status.model_copy(update=update)})


def weights(policy: TrafficPolicy) -> dict[str, float]:
    """Share of each mode of the spec in percent, in the phase that is on."""
    return phases.weights(policy.spec, _position(policy))


def moved(policy: TrafficPolicy, shares: Mapping[str, float], *, frozen: bool) -> Moved:
    """These shares under the circuit breakers. `frozen`: by what was recorded of them, whatever the spec says."""
    if frozen:
        routing = policy.status.routing
        fallback = policy.spec.fallback if routing is None else routing.fallback_mode
        recorded = policy.status.circuit_breakers
        breakers = tuple(CircuitBreaker(mode=each.mode, shift_to=each.shift_to) for each in recorded)
        return downshift.apply(shares, breakers, _states(policy), fallback)
    return downshift.apply(shares, policy.spec.breakers, _states(policy), policy.spec.fallback)


def phase_until(policy: TrafficPolicy) -> datetime | None:
    """When the duration of the recorded phase is over, if it is the one that is on."""
    position = _position(policy)
    return None if position is None else phases.until(policy.spec.phases, position)


def is_in_phase(policy: TrafficPolicy) -> bool:
    """Whether a phase is on."""
    return phases.current(policy.spec.phases, _position(policy)) is not None


def circuit_until(policy: TrafficPolicy) -> datetime | None:
    """When the first cooldown is over."""
    return min((state.until for state in _states(policy).values() if state.until is not None), default=None)


def advance(observed: Observed, now: datetime, *, frozen: bool, within_target: bool | None = None) -> Movement:
    """The next state of both; what is frozen stays as it is recorded. `within_target` is for gates of phases."""
    policy = observed.policy
    if frozen:
        return Movement(tuple(policy.status.circuit_breakers), policy.status.phase)
    position = _position(policy)
    # Of two that wait for each other the breakers are first: a gate may ask for them.
    by_mode = phases.weights(policy.spec, position)
    former = _states(policy)
    states = {
        each.mode: breaker.advance(
            each,
            former.get(each.mode),
            reading(observed.failures, each.mode),
            now,
            interval=interval(policy, each),
            weight=by_mode.get(each.mode, 0.0),
        )
        for each in policy.spec.breakers
    }
    following = phases.advance(
        policy.spec.phases, position, _signals(observed, states, position, within_target, now), now
    )
    again = [
        breaker.look_again(states[each.mode], now, window=each.window, interval=interval(policy, each))
        for each in policy.spec.breakers
    ]
    if following is not None:
        again.append(_phase_due(policy, following, now))
    return Movement(
        tuple(breaker.record(each.mode, states[each.mode], each.shift_to, each.cache) for each in policy.spec.breakers),
        None if following is None else phases.record(policy.spec.phases, following),
        min((seconds for seconds in again if seconds is not None), default=None),
    )


def reading(failures: Failures | None, mode: str) -> Reading | None:
    """What was read last about a mode."""
    return None if failures is None else failures.modes.get(mode)


def summary(policy: TrafficPolicy, moved_now: Moved) -> Downshift:
    """All breakers in one line of the status: of those that are not closed, the one that opened last."""
    opened = [each for each in policy.status.circuit_breakers if each.opened is not None]
    if not opened:
        return Downshift()
    down = [each for each in opened if each.mode in moved_now.moves]
    last = max(down or opened, key=lambda each: (each.opened or "", each.mode))
    state = breaker.recall(last)
    end = state.opened + state.cooldown if state.opened is not None and state.cooldown is not None else None
    return Downshift(
        active=bool(down),
        since=last.opened,
        until=None if end is None else timestamp(end),
        reason=f"mode {last.mode}: {last.reason}" if last.reason else None,
    )


def _states(policy: TrafficPolicy) -> dict[str, State]:
    return {each.mode: breaker.recall(each) for each in policy.status.circuit_breakers}


def _position(policy: TrafficPolicy) -> Position | None:
    return None if policy.status.phase is None else phases.recall(policy.status.phase)


def _signals(
    observed: Observed,
    states: Mapping[str, State],
    position: Position | None,
    within_target: bool | None,
    now: datetime,
) -> Signals:
    """What gates ask for. A measurement counts if it is about the current phase alone."""
    measurement, monitoring = observed.measurement, observed.policy.spec.monitoring
    counts = (
        measurement is not None
        and position is not None
        and not age.is_old(measurement.at, monitoring.interval, now)
        and measurement.at - monitoring.window >= position.since
    )
    return Signals(
        within_target=within_target if counts else None,
        circuits_closed=all(state.phase == "Closed" for state in states.values()),
        error_rate=_error_rate(measurement) if counts else None,
    )


def _error_rate(measurement: Measurement | None) -> float | None:
    """Of all modes together, as the proxies count it; None where they tell nothing, or had nothing to answer."""
    if measurement is None or measurement.proxies.state != "Known":
        return None
    tallies = measurement.proxies.modes.values()
    answered = sum(tally.answered for tally in tallies)
    return 100 * sum(tally.errors for tally in tallies) / answered if answered else None


def _phase_due(policy: TrafficPolicy, position: Position, now: datetime) -> float | None:
    """Once its duration is over a phase is looked at as often as traffic is measured."""
    end = phases.until(policy.spec.phases, position)
    if end is None or position.paused:
        return None
    return max((end - now).total_seconds(), 1.0 if not position.waiting else _seconds(policy))


def _seconds(policy: TrafficPolicy) -> float:
    return policy.spec.monitoring.interval.total_seconds()
