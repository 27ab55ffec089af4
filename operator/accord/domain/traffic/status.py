"""The status of a TrafficPolicy: a pure rendering of the assessment and of what was said about it."""

from __future__ import annotations

from typing import Any

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import ModeStatus, RoutingInForce, TrafficPolicyStatus
from accord.domain.conditions import timestamp
from accord.domain.traffic import in_force, movement
from accord.domain.traffic.assessment import Assessment
from accord.domain.traffic.judgement import Judgement, Measured, is_outdated
from accord.domain.traffic.routing import style_of
from accord.domain.traffic.shares import percent

_MOVED = 0.1
"""By which part a number of requests must change, to be written."""
_MOVED_POINTS = 0.5
"""By how many percentage points a rate of failures must change, to be written."""


def full(assessment: Assessment, judgement: Judgement, conditions: list[Manifest]) -> TrafficPolicyStatus:
    """Everything as of now, for the generation at hand."""
    policy, now = assessment.policy, assessment.now
    modes = _modes(assessment, judgement)
    report = [mode.actual for mode in modes]
    before = [mode.actual for mode in policy.status.modes]
    last_report = policy.status.last_report
    if judgement.is_new and (last_report is None or report != before):
        last_report = timestamp(now)
    return TrafficPolicyStatus.model_validate(
        {
            "observed_generation": policy.metadata.generation,
            "conditions": conditions,
            "modes": modes,
            "in_force": in_force.record(assessment.in_force, now),
            "routing": _routing(assessment),
            "target": _target(assessment),
            "actual": _actual(assessment, judgement),
            "counted_by": judgement.counted_by,
            "address": assessment.observed.router.address if assessment.intent is not None else None,
            **_moving(assessment),
            "last_report": last_report,
        }
    )


def turned(assessment: Assessment, judgement: Judgement) -> TrafficPolicyStatus:
    """The live status with the new shares alone: the record on which the routes move.

    What is said about the spec follows when the proxies have answered.
    """
    return assessment.policy.status.model_copy(
        update={
            "modes": _modes(assessment, judgement),
            "in_force": in_force.record(assessment.in_force, assessment.now),
            "routing": _routing(assessment),
            "target": _target(assessment),
            "actual": _actual(assessment, judgement),
            "counted_by": judgement.counted_by,
            **_moving(assessment),
        }
    )


def render(status: TrafficPolicyStatus) -> Manifest:
    """As the API server stores it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _moving(assessment: Assessment) -> dict[str, Any]:
    """Circuit breakers and phases."""
    ahead = assessment.movement.onto(assessment.policy)
    return {
        "downshift": movement.summary(ahead, assessment.moved),
        "circuit_breakers": list(assessment.movement.circuit_breakers),
        "phase": assessment.movement.phase,
    }


def _modes(assessment: Assessment, judgement: Judgement) -> list[ModeStatus]:
    listed, before = [], {mode.name: mode for mode in assessment.policy.status.modes}
    for name, target in assessment.targets.items():
        measured, sight = judgement.modes.get(name, Measured()), assessment.sights.get(name)
        listed.append(
            ModeStatus(
                name=name,
                target=target,
                effective=assessment.effective.get(name, 0.0),
                actual=measured.actual,
                deviation=measured.deviation,
                alert=measured.alert,
                ready_pods=assessment.ready.get(name, 0),
                healthy_pods=None if sight is None else sight.healthy,
                ejected_pods=None if sight is None else max(sight.passing - sight.healthy, 0),
                **_counted(assessment, name, before.get(name)),
            )
        )
    return listed


def _counted(assessment: Assessment, name: str, before: ModeStatus | None) -> dict[str, int | float | None]:
    """Requests of a mode as the proxies count them. What has hardly changed stays as it is written."""
    recorded = (None, None, None) if before is None else (before.requests, before.errors, before.retries)
    measurement = assessment.observed.measurement
    new: tuple[int | None, float | None, float | None]
    if (
        measurement is None
        or measurement.proxies.state == "Pending"
        or is_outdated(assessment.policy, measurement, assessment.now)
    ):
        new = recorded
    elif (tally := measurement.proxies.modes.get(name)) is None:
        new = (None, None, None)
    else:
        new = (
            _steady_number(recorded[0], tally.requests),
            _steady_rate(recorded[1], tally.errors, tally.answered),
            _steady_rate(recorded[2], tally.retries, tally.answered),
        )
    return dict(zip(("requests", "errors", "retries"), new, strict=True))


def _steady_number(old: int | None, new: int) -> int:
    return old if old is not None and old and new and abs(new - old) <= _MOVED * max(old, new) else new


def _steady_rate(old: float | None, part: int, whole: int) -> float:
    """In percent. From none to some, and back, is news however few they are."""
    new = round(100 * part / whole, 1) if whole else 0.0
    return old if old is not None and bool(old) == bool(new) and abs(new - old) <= _MOVED_POINTS else new


def _routing(assessment: Assessment) -> RoutingInForce | None:
    """What is recorded to survive a suspension or a spec that is not accepted; those record nothing new."""
    recorded = assessment.policy.status.routing
    if assessment.intent is None or (assessment.frozen and recorded is not None):
        return recorded
    return style_of(assessment.policy.spec, timestamp(assessment.since), assessment.checks)


def _shown(assessment: Assessment) -> list[str]:
    """Modes that the summary strings are about: not those on their way out."""
    spec = {mode.name for mode in assessment.policy.spec.modes}
    return [name for name, target in assessment.targets.items() if target or name in spec]


def _target(assessment: Assessment) -> str | None:
    shown = _shown(assessment)
    return "/".join(percent(assessment.targets[name]) for name in shown) if shown else None


def _actual(assessment: Assessment, judgement: Judgement) -> str | None:
    shares = [judgement.modes.get(name, Measured()).actual for name in _shown(assessment)]
    known = [f"{share:.1f}" for share in shares if share is not None]
    return "/".join(known) if known and len(known) == len(shares) else None
