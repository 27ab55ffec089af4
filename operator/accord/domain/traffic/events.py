"""Events: what changed from the recorded status to the next one, once, in sentences for a person."""

from __future__ import annotations

from collections.abc import Iterator

from accord.api.base import format_duration
from accord.api.v1alpha1.trafficpolicy import ModeStatus, TrafficPolicyStatus
from accord.domain import refusals
from accord.domain.conditions import find
from accord.domain.plan import Event
from accord.domain.traffic.progress import Progress, Rejected
from accord.domain.traffic.shares import percent

_BAD = {
    "Accepted": "NotAccepted",
    "ResolvedRefs": "RefsNotResolved",
}
"""Conditions of which a new reason for False is worth an event of its own, and that event's reason."""

_KEEPS_CHANGING = "shares keep changing; status.modes has the current ones"

_UNSERVED = frozenset({"HealthCheckFailing", "PodsEjected"})
"""Reasons for which the proxies pass over pods that are ready."""


def transitions(
    before: TrafficPolicyStatus, after: TrafficPolicyStatus, progress: Progress | None = None
) -> tuple[Event, ...]:
    """Everything that happened between two statuses of one policy; `progress` is that of its router."""
    return (
        *_conditions(before, after, progress),
        *_routing(before, after),
        *_availability(before, after),
        *_deviation(before, after),
        *_circuits(before, after),
        *_phases(before, after),
    )


def _conditions(before: TrafficPolicyStatus, after: TrafficPolicyStatus, progress: Progress | None) -> Iterator[Event]:
    for type_, reason in _BAD.items():
        old, new = find(before.conditions, type_), find(after.conditions, type_)
        if new is None or new.status != "False":
            continue
        if old is None or old.status != "False" or old.reason != new.reason:
            yield Event("Warning", reason, new.message)
    old, new = find(before.conditions, "ModesAvailable"), find(after.conditions, "ModesAvailable")
    if new is not None and new.reason in _UNSERVED and (old is None or old.reason != new.reason):
        yield Event("Warning", new.reason, new.message)
    old, new = find(before.conditions, "Programmed"), find(after.conditions, "Programmed")
    was, now = old.reason if old else "", new.reason if new else ""
    if new is not None and now != was:
        if now in refusals.REASONS or (isinstance(progress, Rejected) and now == progress.reason):
            yield Event("Warning", now, new.message)
        elif now == "Suspended":
            yield Event("Normal", "Suspended", new.message)
        elif was == "Suspended":
            yield Event("Normal", "Resumed", "no longer suspended")


def _routing(before: TrafficPolicyStatus, after: TrafficPolicyStatus) -> Iterator[Event]:
    old = {mode.name: mode.target for mode in before.modes if mode.target}
    new = {mode.name: mode.target for mode in after.modes if mode.target}
    if old == new:
        return
    if not old:
        split = ", ".join(f"{name} {percent(target)}%" for name, target in new.items())
        yield Event("Normal", "RoutingChanged", f"traffic is split {split}")
        return
    moved = [
        f"{name} {percent(old.get(name, 0.0))}% → {percent(new.get(name, 0.0))}%"
        for name in {**new, **old}
        if old.get(name, 0.0) != new.get(name, 0.0)
    ]
    yield Event("Normal", "RoutingChanged", f"shares changed: {', '.join(moved)}", _KEEPS_CHANGING)


def _pairs(before: TrafficPolicyStatus, after: TrafficPolicyStatus) -> Iterator[tuple[ModeStatus, ModeStatus]]:
    old = {mode.name: mode for mode in before.modes}
    return ((old[mode.name], mode) for mode in after.modes if mode.name in old)


def _availability(before: TrafficPolicyStatus, after: TrafficPolicyStatus) -> Iterator[Event]:
    effective = {mode.name: mode.effective for mode in after.modes if mode.effective}
    split = ", ".join(f"{name} {percent(share)}%" for name, share in effective.items())
    serves = any(mode.ready_pods for mode in after.modes if mode.target)
    for old, new in _pairs(before, after):
        if new.target and old.ready_pods and not new.ready_pods:
            note = f"mode {new.name} has no ready pods; "
            note += f"traffic is split {split}" if serves else "no mode has any, requests get 503"
            yield Event("Warning", "ModeUnavailable", note)
        elif new.target and new.ready_pods and not old.ready_pods:
            yield Event("Normal", "ModeAvailable", f"mode {new.name} has ready pods; traffic is split {split}")


def _deviation(before: TrafficPolicyStatus, after: TrafficPolicyStatus) -> Iterator[Event]:
    old = {mode.name: mode.alert for mode in before.modes}
    for mode in after.modes:
        if mode.alert and not old.get(mode.name, False):
            took = "" if mode.actual is None else f"{mode.actual:.1f}%"
            yield Event(
                "Warning",
                "DeviationAlert",
                f"mode {mode.name} gets {took} of the requests, its target is {percent(mode.target)}%",
            )
        elif not mode.alert and old.get(mode.name, False):
            yield Event(
                "Normal", "DeviationCleared", f"mode {mode.name} is back at its target of {percent(mode.target)}%"
            )


def _circuits(before: TrafficPolicyStatus, after: TrafficPolicyStatus) -> Iterator[Event]:
    old = {each.mode: each for each in before.circuit_breakers}
    for each in after.circuit_breakers:
        was = old.get(each.mode)
        if was is None or (was.phase, was.share) == (each.phase, each.share):
            continue
        if each.phase == "Open":
            cooldown = "" if each.cooldown is None else f" for {format_duration(each.cooldown)}"
            yield Event("Warning", "CircuitOpened", f"mode {each.mode} gets no traffic{cooldown}: {each.reason}")
        elif each.phase == "HalfOpen":
            yield Event("Normal", "CircuitHalfOpen", f"mode {each.mode} recovers: it gets {each.share}% of its share")
        else:
            yield Event("Normal", "CircuitClosed", f"mode {each.mode} has recovered")


def _phases(before: TrafficPolicyStatus, after: TrafficPolicyStatus) -> Iterator[Event]:
    was, now = before.phase, after.phase
    if now is None or (was is not None and was.name == now.name):
        return
    if now.name is not None:
        yield Event("Normal", "PhaseStarted", f"phase {now.name} began")
    elif was is not None:
        yield Event("Normal", "PhasesCompleted", f"phase {was.name} is over; the weights of the modes apply")
