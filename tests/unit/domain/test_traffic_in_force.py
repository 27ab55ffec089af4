"""One place says what routes right now, and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import ISTIO, NOW, edited, effective, observed, settled

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic import in_force
from accord.domain.traffic.decide import decide

LATER = timedelta(minutes=5)
SHARES = {"fast": 60, "balanced": 30, "creative": 10}
NEW = {"fast": 50, "new": 50}


def recorded(policy: Manifest, *, ready: Iterable[str] | None = None, at: timedelta = timedelta(0)) -> dict[str, Any]:
    status = decide(observed(policy, ready=ready), NOW + at).status
    assert status is not None
    found = status["inForce"]
    assert found["shares"] == {name: share for name, share in effective_of(status).items() if share}
    return dict(found)


def effective_of(status: Manifest) -> dict[str, float]:
    return {mode["name"]: mode["effective"] for mode in status["modes"]}


@pytest.mark.parametrize(
    ("policy", "ready", "reason", "shares"),
    [
        (settled(), None, "Spec", SHARES),
        (edited(settled(), suspend=True), None, "Suspended", SHARES),
        (edited(settled(), NEW, suspend=True), None, "Suspended", SHARES),
        (edited(settled(), NEW, router=ISTIO), None, "NotAccepted", SHARES),
        (edited(settled(), NEW), None, "Warming", SHARES),
        (settled(), {"fast", "balanced"}, "Fallback", {"fast": 70, "balanced": 30}),
        (edited(settled(), suspend=True), {"balanced"}, "Fallback", {"balanced": 100}),
        (settled(), set(), "Spec", SHARES),
    ],
)
def test_it_is_recorded_with_its_reason(
    policy: Manifest, ready: set[str] | None, reason: str, shares: dict[str, float]
) -> None:
    found = recorded(policy, ready=ready)
    assert (found["reason"], found["shares"]) == (reason, shares)
    assert "until" not in found


def test_the_time_is_that_of_the_last_change_of_shares_or_reason() -> None:
    policy = settled()
    first = policy["status"]["inForce"]["since"]
    assert recorded(policy, at=LATER)["since"] == first
    suspended = edited(policy, suspend=True)
    suspended["status"] = decide(observed(suspended), NOW).status
    assert recorded(suspended, at=LATER)["since"] == "2026-03-01T12:00:00Z"
    assert decide(observed(suspended), NOW + LATER).status == suspended["status"], "nothing is written at rest"
    fallen = {**policy, "status": decide(observed(policy, ready={"fast"}), NOW).status}
    assert recorded(fallen, ready={"fast"}, at=LATER)["since"] == "2026-03-01T12:00:00Z"
    assert recorded(fallen, at=LATER)["since"] == "2026-03-01T12:05:00Z"


def test_nothing_is_in_force_where_nothing_was_ever_routed() -> None:
    policy = {**settled(), "status": {}}
    status = decide(observed(edited(policy, suspend=True)), NOW).status
    assert status is not None
    assert "inForce" not in status


def test_every_replica_reads_what_the_leader_recorded() -> None:
    plan = decide(observed(settled(), ready={"fast"}), NOW)
    assert plan.status is not None
    policy = TrafficPolicy.model_validate({**settled(), "status": plan.status})
    assert in_force.read(policy.status) == in_force.InForce({"fast": 100}, "Fallback", NOW)
    assert effective(plan) == {"fast": 100, "balanced": 0, "creative": 0}
