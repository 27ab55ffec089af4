"""`accord_condition` and `checkpoint_rollbacks_total` say what the live objects say, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.observability.metrics import OperatorMetrics

CHAT = ObjectKey("accord.dev/v1alpha1", "TrafficPolicy", "shop", "chat")
BEST = ObjectKey("accord.dev/v1alpha1", "CheckpointPolicy", "shop", "best")
RANKER = ObjectKey("accord.dev/v1alpha1", "TrainingRun", "shop", "ranker")
SAMPLE = 'accord_condition{kind="TrafficPolicy",name="chat",namespace="shop",reason="%s",status="%s",type="Ready"} 1.0'


class Cluster:
    """What a replica knows, and its metrics."""

    def __init__(self) -> None:
        self.metrics = OperatorMetrics()
        self.objects: dict[ObjectKey, Manifest] = {}
        self.leads = True
        self.metrics.show_statuses(lambda: self.objects.items() if self.leads else ())

    def says(self, status: str, reason: str) -> None:
        ready = {"type": "Ready", "status": status, "reason": reason, "message": "…"}
        self.objects[CHAT] = {"status": {"conditions": [ready]}}

    def value(self, name: str, **labels: str) -> float | None:
        """Of one series; None where it has none."""
        return self.metrics.registry.get_sample_value(name, {"namespace": "shop", **labels})

    def shown(self, name: str = "accord_condition") -> list[str]:
        return [line for line in self.metrics.render().decode().splitlines() if line.startswith(f"{name}{{")]


def test_a_condition_that_changes_replaces_its_series() -> None:
    cluster = Cluster()
    cluster.says("False", "ModesUnavailable")
    assert cluster.shown() == [SAMPLE % ("ModesUnavailable", "False")]
    cluster.says("True", "Ready")
    assert cluster.shown() == [SAMPLE % ("Ready", "True")]


def test_a_deleted_object_and_a_lost_lease_leave_no_series() -> None:
    cluster = Cluster()
    cluster.says("True", "Ready")
    cluster.leads = False
    assert cluster.shown() == []
    # What is deleted while another replica leads is not shown by this one later
    cluster.objects.clear()
    cluster.leads = True
    assert cluster.shown() == []


def test_an_object_without_a_status_shows_nothing() -> None:
    cluster = Cluster()
    cluster.objects = {CHAT: {}, BEST: {}}
    assert cluster.shown() + cluster.shown("checkpoint_rollbacks_total") == []


def test_shares_are_those_of_the_status_as_ratios() -> None:
    cluster = Cluster()
    fast = {"name": "fast", "target": 60.0, "effective": 100.0, "actual": 99.5}
    cluster.objects[CHAT] = {"status": {"modes": [fast, {"name": "creative", "target": 40.0, "effective": 0.0}]}}

    def ratios(mode: str) -> list[float | None]:
        names = ("target", "effective", "actual")
        return [cluster.value(f"accord_traffic_{name}_ratio", policy="chat", mode=mode) for name in names]

    assert ratios("fast") == [0.6, 1.0, 0.995]
    assert ratios("creative") == [0.4, 0.0, None]
    cluster.leads = False
    assert ratios("fast") == [None, None, None]


def test_rollbacks_are_those_of_the_status() -> None:
    cluster = Cluster()
    status: dict[str, Any] = {"rollbacks": 2}
    cluster.objects[BEST] = {"status": status}
    sample = 'checkpoint_rollbacks_total{namespace="shop",policy="best"} %s'
    assert cluster.shown("checkpoint_rollbacks_total") == [sample % "2.0"]
    cluster.objects[BEST] = {"status": {"conditions": []}}
    assert cluster.shown("checkpoint_rollbacks_total") == [sample % "0.0"]


def test_downshifts_are_those_of_the_status() -> None:
    cluster = Cluster()
    down = {"mode": "creative", "share": 0, "downshifts": 2, "shiftTo": [{"mode": "fast", "weight": 100}]}
    calm = {"mode": "balanced", "share": 100}
    cluster.objects[CHAT] = {"status": {"circuitBreakers": [down, calm], "routing": {"fallbackMode": "fast"}}}
    for mode, active, count in (("balanced", 0, 0), ("creative", 1, 2)):
        assert cluster.value("accord_downshift_active", policy="chat", mode=mode) == active
        given = {"policy": "chat", "service": "llm", "from": mode, "to": "fast"}
        assert cluster.value("accord_downshifts_total", **given) == count


def _policy(rollback: dict[str, Any], **status: Any) -> Manifest:
    return {"spec": {"trainingRunRef": {"name": "ranker"}, "rollback": rollback}, "status": {"training": "u", **status}}


@pytest.mark.parametrize(
    ("rollback", "done", "left"),
    [
        ({"max": 3}, 0, 3),
        ({"max": 3}, 3, 0),
        ({"max": 1}, 2, 0),
        ({}, 1, 2),
        ({"max": 3, "enabled": False}, 0, None),
        ({"max": 3, "approval": "Manual"}, 0, None),
        ({"max": "many"}, 0, None),
    ],
)
def test_rollbacks_left_are_those_that_need_no_approval(rollback: dict[str, Any], done: int, left: int | None) -> None:
    cluster = Cluster()
    cluster.objects[BEST] = _policy(rollback, rollbacks=done)
    assert cluster.value("checkpoint_rollbacks_left", policy="best") == left


def test_a_finished_training_has_no_rollbacks_left_to_count() -> None:
    cluster = Cluster()
    cluster.objects = {BEST: _policy({"max": 3}, rollbacks=3), RANKER: {"spec": {}, "status": {"step": 5}}}
    assert cluster.value("checkpoint_rollbacks_left", policy="best") == 0
    cluster.objects[RANKER] = {"spec": {}, "status": {"step": 9, "completionTime": "2026-01-01T00:00:00Z"}}
    assert cluster.value("checkpoint_rollbacks_left", policy="best") is None


def test_checkpoints_are_counted_by_state_and_named_by_step() -> None:
    cluster = Cluster()
    checkpoints = [
        {"step": 1, "ready": True, "verified": True},
        {"step": 2, "ready": True, "verified": True, "quarantined": True},
        {"step": 3, "ready": True},
        {"step": 4},
    ]
    cluster.objects[BEST] = _policy({}, latestStep=2, bestStep=1, serving={"step": 1}, checkpoints=checkpoints)
    kept = {state: cluster.value("checkpoint_kept", policy="best", state=state) for state in ("usable", "pending")}
    assert kept == {"usable": 1, "pending": 2}
    assert cluster.value("checkpoint_kept", policy="best", state="quarantined") == 1
    steps = [cluster.value(f"checkpoint_{which}_step", policy="best") for which in ("served", "best", "latest")]
    assert steps == [1, 1, 2]


def test_a_policy_that_serves_nothing_yet_has_no_steps() -> None:
    cluster = Cluster()
    cluster.objects[BEST] = _policy({}, serving={"step": None})
    steps = [cluster.value(f"checkpoint_{which}_step", policy="best") for which in ("served", "best", "latest")]
    assert steps == [None, None, None]


def test_a_run_shows_what_it_reports_beside_its_schedules() -> None:
    cluster = Cluster()
    schedules = {"entropyCoef": {"initial": 0.02, "final": 0.0, "decaySteps": 1000, "decayStrategy": "Linear"}}
    cluster.objects[RANKER] = {
        "spec": {"totalSteps": 4000, "schedules": schedules},
        "status": {"step": 500, "entropyCoef": 0.015, "learningRate": 3e-4},
    }
    shown = {
        name: cluster.value(f"accord_training_{name}", run="ranker")
        for name in ("step", "total_steps", "entropy_coef", "entropy_coef_scheduled", "learning_rate")
    }
    assert shown == {
        "step": 500,
        "total_steps": 4000,
        "entropy_coef": 0.015,
        "entropy_coef_scheduled": 0.01,
        "learning_rate": 3e-4,
    }
    assert cluster.value("accord_training_learning_rate_scheduled", run="ranker") is not None


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({}, {"phase": "Pending"}),
        ({"schedules": {"entropyCoef": {"decayStrategy": "Sawtooth"}}}, {"step": 5}),
        ({"schedules": {"entropyCoef": {"initial": "much"}}}, {"step": 5}),
    ],
    ids=("no step yet", "a strategy of a newer version", "not a number"),
)
def test_a_schedule_that_says_nothing_has_no_series(spec: dict[str, Any], status: dict[str, Any]) -> None:
    cluster = Cluster()
    cluster.objects[RANKER] = {"spec": spec, "status": status}
    assert cluster.value("accord_training_entropy_coef_scheduled", run="ranker") is None
