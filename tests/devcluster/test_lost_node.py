"""A node that stops answering under a training: the run says so, starts no second pod, and goes on when it is back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from devcluster.kubectl import Kubectl
from devcluster.waiting import wait_for
from devcluster_command import Devcluster
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Namespace, OperatorProcess


@dataclass(frozen=True)
class _Server:
    kubeconfig: Path

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.kubeconfig)


@pytest.fixture
def server(devcluster: Devcluster) -> _Server:
    devcluster("up")
    return _Server(Path(devcluster("kubeconfig").strip()))


@pytest.fixture
def namespace(server: _Server) -> Namespace:
    return Namespace(install_kinds(server))


@pytest.fixture
def operator(server: _Server, namespace: Namespace, tmp_path: Path) -> Iterator[OperatorProcess]:
    settings = {"namespaces": [namespace.name], "leaderElection": {"enabled": False}}
    with OperatorProcess(server.kubeconfig, tmp_path, **settings) as started:
        yield started.ready()


@pytest.mark.usefixtures("operator")
def test_a_run_whose_node_is_lost_waits_and_goes_on(devcluster: Devcluster, namespace: Namespace):
    namespace.create("trainingruns", _run())
    wait_for("the trainer's pod", lambda: [pod for pod in _pods(namespace) if _is_ready(pod)], seconds=90)
    (first,) = _pods(namespace)
    kubelet = next(pid for pid, name in devcluster.processes().items() if name == "kubelet")

    os.kill(kubelet, signal.SIGSTOP)
    try:
        wait_for("NodeLost", lambda: _ready(namespace).get("reason") == "NodeLost", seconds=400)
        said = _ready(namespace)
        namespace.delete("pods", first["metadata"]["name"])  # Kubernetes evicts nobody where every node is lost
        for _ in range(20):
            assert [pod["metadata"]["uid"] for pod in _pods(namespace)] == [first["metadata"]["uid"]]
            time.sleep(0.5)
        assert _ready(namespace)["reason"] == "NodeLost"
    finally:
        os.kill(kubelet, signal.SIGCONT)

    assert said["status"] == "False"
    node = first["spec"]["nodeName"]
    assert f"node {node} has not responded since" in said["message"]
    assert f"kubectl delete node {node}" in said["message"]
    wait_for("another pod", lambda: _is_another(_pods(namespace), first), seconds=180)
    wait_for("the end of NodeLost", lambda: _ready(namespace).get("reason") != "NodeLost", seconds=60)


def _run() -> dict[str, Any]:
    container = {
        "name": "trainer",
        "image": "localhost/pause:1",
        "command": ["sh", "-c", "trap 'exit 143' TERM; while true; do sleep 1; done"],
    }
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    spec = {
        "totalSteps": 1000,
        "checkpoints": {"saveFrequency": 500, "volumeClaim": {"storage": "64Mi"}},
        "template": {"spec": pod},
    }
    return {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "r"}, "spec": spec}


def _pods(namespace: Namespace) -> list[Any]:
    return namespace.api.items(namespace.path("pods"))


def _is_ready(pod: Any) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def _is_another(pods: list[Any], first: Any) -> bool:
    return [_is_ready(pod) for pod in pods if pod["metadata"]["uid"] != first["metadata"]["uid"]] == [True]


def _ready(namespace: Namespace) -> dict[str, Any]:
    return namespace.condition("r", "Ready", "trainingruns")
