"""The status of a TrafficPolicy: a pure rendering of the situation and of what was said about it."""

from __future__ import annotations

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import Downshift, ModeStatus, RoutingInForce, TrafficPolicyStatus
from accord.domain.conditions import timestamp
from accord.domain.traffic.judgement import Judgement, Measured
from accord.domain.traffic.routing import style_of
from accord.domain.traffic.shares import percent
from accord.domain.traffic.situation import Situation


def full(situation: Situation, judgement: Judgement, conditions: list[Manifest]) -> TrafficPolicyStatus:
    """Everything as of now, for the generation at hand."""
    policy, now = situation.policy, situation.now
    modes = _modes(situation, judgement)
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
            "routing": _routing(situation),
            "target": _target(situation),
            "actual": _actual(situation, judgement),
            "address": situation.observed.router.address if situation.intent is not None else None,
            "downshift": Downshift(),
            "last_report": last_report,
        }
    )


def turned(situation: Situation, judgement: Judgement) -> TrafficPolicyStatus:
    """The live status with the new shares alone: the record on which the routes move.

    What is said about the spec follows when the proxies have answered.
    """
    return situation.policy.status.model_copy(
        update={
            "modes": _modes(situation, judgement),
            "routing": _routing(situation),
            "target": _target(situation),
            "actual": _actual(situation, judgement),
        }
    )


def render(status: TrafficPolicyStatus) -> Manifest:
    """As the API server stores it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _modes(situation: Situation, judgement: Judgement) -> list[ModeStatus]:
    listed = []
    for name, target in situation.targets.items():
        measured = judgement.modes.get(name, Measured())
        listed.append(
            ModeStatus(
                name=name,
                target=target,
                effective=situation.effective.get(name, 0.0),
                actual=measured.actual,
                deviation=measured.deviation,
                alert=measured.alert,
                ready_pods=situation.ready.get(name, 0),
                healthy_pods=situation.sights[name].healthy if name in situation.sights else None,
            )
        )
    return listed


def _routing(situation: Situation) -> RoutingInForce | None:
    """What is recorded to survive a suspension or a spec that is not accepted; those record nothing new."""
    recorded = situation.policy.status.routing
    if situation.intent is None or (situation.frozen and recorded is not None):
        return recorded
    return style_of(situation.policy.spec, timestamp(situation.since), situation.checks)


def _shown(situation: Situation) -> list[str]:
    """Modes that the summary strings are about: not those on their way out."""
    spec = {mode.name for mode in situation.policy.spec.modes}
    return [name for name, target in situation.targets.items() if target or name in spec]


def _target(situation: Situation) -> str | None:
    shown = _shown(situation)
    return "/".join(percent(situation.targets[name]) for name in shown) if shown else None


def _actual(situation: Situation, judgement: Judgement) -> str | None:
    shares = [judgement.modes.get(name, Measured()).actual for name in _shown(situation)]
    known = [f"{share:.1f}" for share in shares if share is not None]
    return "/".join(known) if known and len(known) == len(shares) else None
