"""Pods that do not end by themselves, against a real API server and its Job controller. The test is the kubelet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until
from tests.apiserver.test_operator_training import (
    RUNS,
    create,
    jobs,
    kubelet,
    pod_of,
    pods,
    reasons,
    running,
    set_status,
    until_ready,
)

LONG_AGO = "2026-01-01T00:00:00Z"


def container(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}


def trainer_ends(namespace: Namespace, pod: Any, code: int, sidecar: dict[str, Any], phase: str = "Running") -> None:
    """As kubelet reports it: the trainer ended long ago."""
    ended = {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        "startedAt": LONG_AGO,
        "finishedAt": LONG_AGO,
    }
    statuses = [container("log-shipper", sidecar), container("trainer", {"terminated": ended})]
    set_status(namespace, pod, phase=phase, containerStatuses=statuses)


def with_sidecar(namespace: Namespace, **spec: Any) -> Any:
    """A run whose pod has a log shipper; the pod runs."""
    containers = [{"name": "trainer", "image": "x"}, {"name": "log-shipper", "image": "x"}]
    template = {"spec": {"containers": containers}}
    namespace.create(
        RUNS,
        {
            "apiVersion": "accord.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "r"},
            "spec": {"template": template, **spec},
        },
    )
    return running(namespace)


def test_a_trainer_that_failed_beside_a_sidecar_is_counted_and_replaced(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    pod = with_sidecar(namespace, backoffLimit=3)
    name = pod["metadata"]["name"]
    trainer_ends(namespace, pod, 1, {"running": {}})
    wait_until(
        lambda: namespace.get("pods", name)["spec"].get("activeDeadlineSeconds") == 1, 30, "the pod is not ended"
    )
    until_ready(namespace, "False", "TrainerEnded")
    message = namespace.condition("r", "Ready", RUNS)["message"]
    assert "container trainer of pod" in message
    assert "exit code 1" in message
    assert "container log-shipper" in message
    # Kubelet heeds the deadline: the pod has failed, and stays with its logs.
    trainer_ends(namespace, pod, 1, {"terminated": {"exitCode": 137, "reason": "Error"}}, phase="Failed")
    wait_until(lambda: len(pods(namespace)) == 2, 60, "no other pod")
    assert name in {pod["metadata"]["name"] for pod in pods(namespace)}
    wait_until(lambda: jobs(namespace)["r-1"]["status"].get("failed") == 1, 30, "it was not counted")
    assert list(jobs(namespace)) == ["r-1"]
    wait_until(lambda: "TrainerEnded" in set(reasons(namespace)), 30, "no event")


@pytest.mark.parametrize("phase", ["Running", "Failed"])
def test_a_trainer_that_is_done_beside_a_sidecar_completes_the_run_and_no_other_pod_starts(
    namespace: Namespace, operator: OperatorProcess, phase: str
) -> None:
    pod = with_sidecar(namespace)
    side = {"running": {}} if phase == "Running" else {"terminated": {"exitCode": 1, "reason": "Error"}}
    trainer_ends(namespace, pod, 0, side, phase)
    status = until_ready(namespace, "True", "Succeeded", 30)
    assert (status["phase"], status["completionTime"]) == ("Succeeded", LONG_AGO)
    wait_until(lambda: jobs(namespace) == {}, 30, "the Job stays")
    wait_until(lambda: kubelet(namespace) or pods(namespace) == [], 60, "the pod stays")
    assert namespace.condition("r", "Complete", RUNS)["status"] == "True"


def test_why_a_pod_that_has_a_node_does_not_start_is_told_in_kubelets_words(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    create(namespace)
    pod = pod_of(namespace, 1)
    meta, note = pod["metadata"], "MountVolume.SetUp failed for volume pvc-1: no such device"
    # As kubelet writes them, by the older API.
    namespace.create(
        "events",
        {
            "metadata": {"name": "why"},
            "involvedObject": {"kind": "Pod", "namespace": namespace.name, "name": meta["name"], "uid": meta["uid"]},
            "type": "Warning",
            "reason": "FailedMount",
            "message": note,
            "lastTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )
    binding = {"metadata": {"name": meta["name"]}, "target": {"kind": "Node", "name": "n-1"}}
    namespace.api.create(namespace.path("pods", meta["name"]) + "/binding", binding)
    until_ready(namespace, "False", "FailedMount")
    assert namespace.condition("r", "Ready", RUNS)["message"] == f"cannot start pod {meta['name']}: {note}"
    running(namespace)


def test_a_run_waits_for_a_pod_that_was_told_to_go(namespace: Namespace, operator: OperatorProcess) -> None:
    create(namespace)
    pod = pod_of(namespace, 1)
    namespace.api.create(
        namespace.path("pods", pod["metadata"]["name"]) + "/binding",
        {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": "gone"}},
    )
    set_status(namespace, pod, phase="Running")
    until_ready(namespace, "True", "Running")
    namespace.delete("pods", pod["metadata"]["name"])
    until_ready(namespace, "False", "Ending")
    assert len(pods(namespace)) == 1
