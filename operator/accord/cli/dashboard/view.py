"""From facts to what the page shows, as JSON. Pure: no cluster, clock or network; the browser only draws it.

Sentences are those of `accord status`; what can be done is decided where the commands decide it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accord.api.base import Manifest
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.dashboard import actions, alarms, charts, timeline
from accord.cli.dashboard.actions import Offer
from accord.cli.dashboard.facts import Facts
from accord.cli.selection import Selection
from accord.cli.status import checkpoints, traffic, training, wording
from accord.cli.status.forest import grow
from accord.cli.status.seen import Seen, summary
from accord.cli.trees import Node
from accord.domain.conditions import timestamp
from accord.domain.traffic import movement

Json = dict[str, Any]
_WHY = {
    "Spec": "as specified",
    "Phase": "as the phase of the rollout says",
    "Suspended": "the shares before: the policy is suspended",
    "NotAccepted": "the shares before: the spec is not accepted",
    "Warming": "the shares before, until the router can send requests to a new mode",
    "CircuitOpen": "other modes get the share of one whose circuit breaker opened",
    "Fallback": "other modes get the share of one without pods that answer",
}
"""By the reason of the shares in force."""


@dataclass(frozen=True)
class _Page:
    facts: Facts
    now: datetime


def view(facts: Facts, now: datetime) -> Json:
    """The whole page."""
    page = _Page(facts, now)
    forest = grow(facts.objects, Selection(None, None))
    seen = list(forest.shown)
    found = [alarm for each in seen for alarm in alarms.of(each, now)]
    return {
        "now": timestamp(now),
        "context": facts.context,
        "namespace": facts.namespace,
        "connection": _connection(facts),
        "prometheus": _prometheus(facts),
        "rights": _rights(facts, seen),
        "ready": sum(each.is_ready for each in seen),
        "objects": len(seen),
        "alarms": [_alarm(page, alarm) for alarm in sorted(found, key=lambda alarm: alarm.tone != "bad")],
        "traffic": [_traffic(page, each, forest.serves) for each in forest.roots if each.kind == TrafficPolicy.kind],
        "training": [
            {
                **_training(page, each),
                "policies": [
                    _checkpoints(page, below) for below in forest.policies.get((each.namespace, each.name), ())
                ],
            }
            for each in forest.roots
            if each.kind == TrainingRun.kind
        ],
        "checkpoints": [_checkpoints(page, each) for each in forest.roots if each.kind == CheckpointPolicy.kind],
    }


def _connection(facts: Facts) -> Json:
    return {
        "lost": facts.is_lost,
        "at": None if facts.read_at is None else timestamp(facts.read_at),
        "problems": [f"cannot list {kind}: {why}" for kind, why in facts.refused.items()],
    }


def _prometheus(facts: Facts) -> str:
    """What is missing; empty where all was found."""
    if not facts.asks_prometheus:
        return "Without Prometheus the charts show milestones and current values only: --prometheus URL"
    told = [*(each.problem for each in facts.curves.values()), *(each.problem for each in facts.spells.values())]
    problems = list(dict.fromkeys(each for each in told if each))
    return f"Prometheus: {problems[0]}" if problems else ""


def _rights(facts: Facts, seen: Iterable[Seen]) -> str:
    """What the user may not change; empty where nothing is known to be refused."""
    refused = {each.kind for each in seen if facts.rights.get((each.namespace, each.kind)) is False}
    kinds = [kind for kind in (TrafficPolicy.kind, TrainingRun.kind, CheckpointPolicy.kind) if kind in refused]
    return f"You have no right to patch {', '.join(kinds)}: they are read-only here" if kinds else ""


def _object(page: _Page, seen: Seen) -> Json:
    """What all objects have."""
    state, tone, said = summary(seen)
    return {
        "id": f"{seen.kind}/{seen.namespace}/{seen.name}",
        "kind": seen.kind,
        "namespace": seen.namespace,
        "name": seen.name,
        "state": alarms.resting(seen) or state,
        "tone": tone,
        "said": said,
        "actions": [_action(page, seen, offer) for offer in _offers(page, seen)],
    }


def _may(page: _Page, seen: Seen) -> bool:
    return seen.model is not None and page.facts.rights.get((seen.namespace, seen.kind), False)


def _whole(seen: Seen) -> Manifest:
    """Items of a list do not say what they are."""
    return {**seen.manifest, "kind": seen.kind}


def _offers(page: _Page, seen: Seen) -> list[Offer]:
    return list(actions.offers(_whole(seen))) if _may(page, seen) else []


def _action(page: _Page, seen: Seen, offer: Offer) -> Json:
    return {
        "action": offer.name,
        "kind": seen.kind,
        "namespace": seen.namespace,
        "name": seen.name,
        "step": offer.step,
        "label": offer.label,
        "means": offer.means,
        "patch": offer.patch,
        "command": page.facts.command(seen.kind, seen.namespace, seen.name, offer.patch),
        "warning": None if offer.warning is None else f"{seen.kind} {seen.name} {offer.warning}.",
    }


def _alarm(page: _Page, alarm: alarms.Alarm) -> Json:
    seen = alarm.seen
    return {
        "id": f"{seen.kind}/{seen.namespace}/{seen.name}/{alarm.key}",
        "object": f"{seen.kind} {seen.name}" if page.facts.namespace else f"{seen.kind} {seen.namespace}/{seen.name}",
        "tone": alarm.tone,
        "title": alarm.title,
        "text": alarm.text,
        "since": alarm.since,
        "compared": [{"name": name, "value": value} for name, value in alarm.compared],
        "actions": [_action(page, seen, offer) for offer in _offers(page, seen) if offer.name in alarm.answers],
    }


def lines(nodes: Iterable[Node]) -> list[Json]:
    """Lines of `accord status`: spans with their tones, and what is below."""
    return [{"spans": [[span.text, span.tone] for span in each.line], "below": lines(each.children)} for each in nodes]


def _traffic(page: _Page, seen: Seen, serves: Mapping[tuple[str, str], str]) -> Json:
    found = _object(page, seen)
    policy = seen.model
    if not isinstance(policy, TrafficPolicy):
        return {**found, "modes": [], "lines": []}
    in_force = policy.status.in_force
    return {
        **found,
        "strategy": policy.spec.strategy,
        "address": policy.status.address,
        "measured": traffic.measured(policy, page.now).strip(),
        "inForce": None
        if in_force is None
        else {
            "reason": in_force.reason,
            "why": _WHY[in_force.reason],
            "since": in_force.since,
            "until": in_force.until,
        },
        "modes": list(
            _modes(policy, {name: said for (space, name), said in serves.items() if space == seen.namespace})
        ),
        "lines": lines(traffic.moving(policy, page.now)),
    }


def _modes(policy: TrafficPolicy, serves: Mapping[str, str]) -> Iterator[Json]:
    deployments = {mode.name: mode.deployment_ref.name for mode in policy.spec.modes}
    known = {mode.name for mode in policy.status.modes}
    for mode in policy.status.modes:
        is_removed = mode.name not in deployments
        pods = traffic.pods(mode)
        yield {
            "name": mode.name,
            "target": mode.target,
            "effective": mode.effective,
            "shifted": traffic.is_shifted(mode),
            "actual": mode.actual,
            "alert": mode.alert,
            "pods": [pods.text, pods.tone],
            "serves": serves.get(deployments.get(mode.name, ""), ""),
            "remarks": ", ".join(traffic.remarks(mode, is_removed=is_removed)),
        }
    for name, weight in movement.weights(policy).items():
        if name not in known:
            yield {
                "name": name,
                "target": weight,
                "effective": None,
                "shifted": False,
                "actual": None,
                "alert": False,
                "pods": ["not routed yet", "dim"],
                "serves": "",
                "remarks": "",
            }


def _training(page: _Page, seen: Seen) -> Json:
    found = _object(page, seen)
    run = seen.model
    if not isinstance(run, TrainingRun):
        return {**found, "charts": [], "lines": [], "milestones": []}
    status, total = run.status, run.spec.total_steps
    reached = {each.percent: each for each in status.milestones}
    below: list[Node] = [training.attempt(run)] if status.attempt else []
    return {
        **found,
        "step": status.step,
        "total": total,
        "percent": None if status.step is None else min(100.0, round(100 * status.step / total, 1)),
        "ends": status.estimated_completion if status.completion_time is None else None,
        "ended": status.completion_time,
        "schedule": training.schedule(run).text.strip(),
        "milestones": [
            {
                "percent": percent,
                "at": reached[percent].reached_at if percent in reached else None,
                "reward": _figure(reached[percent].reward) if percent in reached else None,
            }
            for percent in training.QUARTERS
        ],
        "charts": charts.of(run, page.facts.curves.get((seen.namespace, seen.name))),
        "lines": lines([*below, *training.suggestions(run)]),
    }


def _figure(value: float | None) -> str | None:
    return None if value is None else wording.figure(value)


def _checkpoints(page: _Page, seen: Seen) -> Json:
    found = _object(page, seen)
    policy = seen.model
    if not isinstance(policy, CheckpointPolicy):
        return {**found, "lines": [], "checkpoints": [], "older": 0, "timeline": None, "check": None, "history": []}
    kept = timeline.kept(policy)
    whole = _whole(seen)
    return {
        **found,
        "lines": lines(
            [
                *checkpoints.serving(policy, page.now),
                checkpoints.snapshots(policy),
                checkpoints.rollbacks(policy, page.now),
            ]
        ),
        "check": _check(policy),
        "timeline": timeline.drawn(
            policy, page.facts.spells.get((seen.namespace, seen.name)), page.facts.reach, page.now
        ),
        "checkpoints": [
            {
                **each,
                "actions": [_action(page, seen, offer)]
                if _may(page, seen)
                and not each["served"]
                and (offer := actions.rollback(whole, each["step"])) is not None
                else [],
            }
            for each in kept
        ],
        "older": len(policy.status.checkpoints) - len(kept),
        "history": [alarms.past(record) for record in policy.status.history],
    }


def _check(policy: CheckpointPolicy) -> Json | None:
    """The last check of the training, whatever it said."""
    told = policy.status.detection
    if told is None:
        return None
    return {
        "outcome": told.outcome,
        "tone": alarms.TONES[told.outcome],
        "at": told.at,
        "message": told.message or "",
        "compared": [{"name": name, "value": value} for name, value in alarms.compared(policy, told)],
    }
