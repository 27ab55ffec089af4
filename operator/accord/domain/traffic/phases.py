"""Phases of a rollout: `advance` walks them by the clock, a pure function.

- The duration of a phase is over: the next phase of the spec begins that was not completed; after the last one the
  weights of the modes apply.
- `pause`: the phase lasts until `pause` is false, and its duration at least (`Paused`).
- A gate: the phase lasts until all of it holds (`Waiting`). What is not known holds not: analysis without data waits,
  it never passes, and nothing ever goes back.
- The operator was down over the end of several phases: they are not skipped. Each begins when the one before is left,
  and lasts its whole duration.
- The current phase left the spec: the next one that was not completed begins at once.
- Phases of a new name are added after the last one: they are walked. None is repeated, and what the last one left
  behind counts as completed.
- The duration is edited: it counts from when the phase began.
- No phases in the spec: nothing is remembered.
- The clock jumps back: what began in the future began now.

One phase is left a call at most. All times are whole seconds, as the status holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from accord.api.v1alpha1.trafficpolicy import PhaseStatus, RolloutPhase, TrafficPolicySpec
from accord.domain.conditions import parse_timestamp, timestamp

_SKEW = timedelta(minutes=1)
"""How far clocks of two replicas may differ: what began that soon is no jump."""


@dataclass(frozen=True)
class Signals:
    """What gates ask for. None: not known now."""

    within_target: bool | None = None
    """Whether the measured split matches its targets."""
    circuits_closed: bool | None = None
    """Whether all circuit breakers are closed."""
    error_rate: float | None = None
    """Percentage of the requests that were answered with 500 or above."""


@dataclass(frozen=True)
class Position:
    """Where a rollout is. Times are in UTC and whole seconds."""

    name: str | None
    """Current phase; None after the last one."""
    since: datetime
    """When it began."""
    completed: tuple[str, ...] = ()
    """Phases of the spec that are over, in the order in which they were left."""
    paused: bool = False
    """Whether its duration is over, and only `pause` keeps it."""
    waiting: str = ""
    """What of its gate does not hold although its duration is over, in words."""


def advance(
    phases: Sequence[RolloutPhase], former: Position | None, signals: Signals, now: datetime
) -> Position | None:
    """The next position; None without phases. An equal one where nothing changed."""
    if not phases:
        return None
    now = now.replace(microsecond=0)
    if former is None:
        return Position(phases[0].name, now)
    names = [phase.name for phase in phases]
    position = replace(
        former,
        since=now if former.since - now > _SKEW else former.since,
        completed=tuple(name for name in former.completed if name in names),
    )
    at_work = find(phases, position.name)
    if at_work is None:
        name = current(phases, position)
        return Position(name, position.since if name == position.name else now, position.completed)
    if now < position.since + at_work.duration:
        return replace(position, paused=False, waiting="")
    if at_work.pause:
        return replace(position, paused=True, waiting="")
    closed = obstacle(at_work, signals)
    if closed:
        return replace(position, paused=False, waiting=closed)
    completed = (*(name for name in position.completed if name != at_work.name), at_work.name)
    name = _following(names, at_work.name, completed)
    return Position(name, now, completed if name is not None else tuple(names))


def obstacle(phase: RolloutPhase, signals: Signals) -> str:
    """What of a phase's gate does not hold, in words; empty: all of it does."""
    gate = phase.gate
    if gate is None:
        return ""
    found = []
    if gate.within_target and not signals.within_target:
        unknown = signals.within_target is None
        found.append("whether traffic is within its targets is not known" if unknown else "traffic is off its targets")
    if gate.circuit_closed and not signals.circuits_closed:
        unknown = signals.circuits_closed is None
        found.append("the state of the circuit breakers is not known" if unknown else "a circuit breaker is not closed")
    if gate.max_error_rate is not None:
        if signals.error_rate is None:
            found.append("the error rate is not known")
        elif not signals.error_rate <= gate.max_error_rate:
            found.append(f"the error rate exceeds {gate.max_error_rate:g}%")
    return "; ".join(found)


def weights(spec: TrafficPolicySpec, position: Position | None) -> dict[str, float]:
    """Share in percent of each mode of the spec at that position, before any breaker. They sum to 100."""
    phase = find(spec.phases, current(spec.phases, position))
    if phase is None:
        return {mode.name: float(mode.weight) for mode in spec.modes}
    given = {share.mode: float(share.weight) for share in phase.weights}
    return {mode.name: given.get(mode.name, 0.0) for mode in spec.modes}


def current(phases: Sequence[RolloutPhase], position: Position | None) -> str | None:
    """The phase that is on under this spec, whatever the time: every replica names the same before the leader wrote."""
    names = [phase.name for phase in phases]
    if position is not None and position.name in names:
        return position.name
    return _following(names, None, () if position is None else position.completed)


def following(phases: Sequence[RolloutPhase], position: Position) -> str | None:
    """The phase after the current one; None: the weights of the modes."""
    if position.name is None:
        return None
    return _following([phase.name for phase in phases], position.name, (*position.completed, position.name))


def until(phases: Sequence[RolloutPhase], position: Position) -> datetime | None:
    """When the duration of the current phase is over, or was; None after the last one."""
    phase = find(phases, position.name)
    return None if phase is None else position.since + phase.duration


def find(phases: Sequence[RolloutPhase], name: str | None) -> RolloutPhase | None:
    """The phase of that name."""
    return next((phase for phase in phases if phase.name == name), None)


def record(phases: Sequence[RolloutPhase], position: Position) -> PhaseStatus:
    """As the status holds it; `recall` is the inverse."""
    end = until(phases, position)
    state = "Completed" if position.name is None else "Paused" if position.paused else "Running"
    return PhaseStatus(
        name=position.name,
        state="Waiting" if position.waiting else state,
        since=timestamp(position.since),
        until=None if end is None else timestamp(end),
        next=following(phases, position),
        message=position.waiting or None,
        completed=list(position.completed),
    )


def recall(recorded: PhaseStatus) -> Position:
    """The position that the status holds."""
    return Position(
        name=recorded.name,
        since=parse_timestamp(recorded.since),
        completed=tuple(recorded.completed),
        paused=recorded.state == "Paused",
        waiting=(recorded.message or "") if recorded.state == "Waiting" else "",
    )


def _following(names: Sequence[str], after: str | None, completed: Sequence[str]) -> str | None:
    """The next name that was not completed: of those after `after`, or of all where that is None."""
    rest = names[names.index(after) + 1 :] if after is not None else names
    return next((name for name in rest if name not in completed), None)
