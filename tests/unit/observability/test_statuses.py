"""`accord_condition` and `checkpoint_rollbacks_total` say what the live objects say, and nothing else."""

from __future__ import annotations

from typing import Any

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.observability.metrics import OperatorMetrics

CHAT = ObjectKey("accord.dev/v1alpha1", "TrafficPolicy", "shop", "chat")
BEST = ObjectKey("accord.dev/v1alpha1", "CheckpointPolicy", "shop", "best")
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
    place = 'namespace="shop",policy="chat"'
    assert sorted(cluster.shown("accord_downshift_active")) == [
        f'accord_downshift_active{{mode="balanced",{place}}} 0.0',
        f'accord_downshift_active{{mode="creative",{place}}} 1.0',
    ]
    assert sorted(cluster.shown("accord_downshifts_total")) == [
        f'accord_downshifts_total{{from="balanced",{place},service="llm",to="fast"}} 0.0',
        f'accord_downshifts_total{{from="creative",{place},service="llm",to="fast"}} 2.0',
    ]
