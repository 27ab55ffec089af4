"""`accord_condition` follows an object's conditions and leaves nothing behind."""

from __future__ import annotations

from accord.domain.plan import ObjectKey
from accord.observability.metrics import OperatorMetrics

CHAT = ObjectKey("accord.dev/v1alpha1", "TrafficPolicy", "shop", "chat")
SAMPLE = 'accord_condition{kind="TrafficPolicy",name="chat",namespace="shop",reason="%s",status="%s",type="Ready"} 1.0'


def shown(metrics: OperatorMetrics) -> list[str]:
    return [line for line in metrics.render().decode().splitlines() if line.startswith("accord_condition{")]


def test_a_condition_that_changes_replaces_its_series() -> None:
    metrics = OperatorMetrics()
    metrics.conditions.show(CHAT, [{"type": "Ready", "status": "False", "reason": "ModesUnavailable", "message": "…"}])
    assert shown(metrics) == [SAMPLE % ("ModesUnavailable", "False")]
    metrics.conditions.show(CHAT, [{"type": "Ready", "status": "True", "reason": "Ready"}])
    assert shown(metrics) == [SAMPLE % ("Ready", "True")]


def test_a_deleted_object_and_a_lost_lease_leave_no_series() -> None:
    metrics = OperatorMetrics()
    ready = [{"type": "Ready", "status": "True", "reason": "Ready"}]
    metrics.conditions.show(CHAT, ready)
    metrics.conditions.forget(CHAT)
    assert shown(metrics) == []
    metrics.conditions.show(CHAT, ready)
    metrics.conditions.clear()
    assert shown(metrics) == []
