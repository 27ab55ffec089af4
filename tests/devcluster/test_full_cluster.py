"""The full cluster comes up from whatever a killed one left, runs pods, and goes without a trace."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from devcluster_command import Devcluster, kill_everything, lasting, machine

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "web",
                "image": "localhost/pause:1",
                "command": ["sh", "-c", "echo hello | tee /tmp/index.html; exec httpd -f -p 8080 -h /tmp"],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "readinessProbe": {"httpGet": {"path": "/index.html", "port": 8080}, "periodSeconds": 1},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}],
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


def test_pods_run_and_are_reached_by_the_name_of_their_service(devcluster: Devcluster, tmp_path: Path):
    devcluster("up")
    _run_a_pod(devcluster, tmp_path)

    address = json.loads(devcluster.kubectl("get", "service", "web", "-n", "t", "-o", "json"))["spec"]["clusterIP"]
    resolved = devcluster.kubectl("exec", "-n", "t", "web", "--", "nslookup", "web.t.svc.cluster.local")
    assert address in resolved
    ask = f"printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 60 {address} 80"
    assert devcluster.kubectl("exec", "-n", "t", "web", "--", "sh", "-c", ask).endswith("hello\n")
    assert devcluster.kubectl("logs", "-n", "t", "web") == "hello\n"


def test_privileged_pods_are_refused_where_the_namespace_says_so(devcluster: Devcluster, tmp_path: Path):
    privileged = json.loads(json.dumps(POD))
    privileged["metadata"]["name"] = "privileged"
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    file = tmp_path / "privileged.json"
    file.write_text(json.dumps(privileged))

    process = devcluster.start("kubectl", "--", "apply", "-n", "t", "-f", str(file))
    output, _ = process.communicate(timeout=600)

    assert process.returncode != 0
    assert "violates PodSecurity" in output


def test_up_is_at_once_when_it_is_up(devcluster: Devcluster):
    before = lasting(devcluster)
    output = devcluster("up")

    assert "up already" in output
    assert lasting(devcluster) == before


@pytest.mark.parametrize("name", ["kubelet", "etcd", "containerd", "kube-apiserver"])
def test_a_component_that_was_killed_comes_back_and_pods_live_on(devcluster: Devcluster, name: str):
    uid = devcluster.kubectl("get", "pod", "web", "-n", "t", "-o", "jsonpath={.metadata.uid}{.status.phase}")
    (victim,) = [pid for pid, comm in lasting(devcluster).items() if comm == name[:15]]
    os.kill(victim, signal.SIGKILL)

    output = devcluster("up")

    assert "up already" in output, output
    assert uid == devcluster.kubectl("get", "pod", "web", "-n", "t", "-o", "jsonpath={.metadata.uid}{.status.phase}")


def test_up_after_everything_was_killed(devcluster: Devcluster, tmp_path: Path):
    kill_everything(devcluster)
    with pytest.raises(AssertionError, match="does not run"):  # nor is its kubeconfig given out
        devcluster("kubeconfig")

    output = devcluster("up")

    assert "clear away what an earlier cluster left" in output
    _run_a_pod(devcluster, tmp_path)


@pytest.mark.parametrize("seconds", [0.3, 1.5, 4.0])
def test_up_after_up_itself_was_killed_half_way(devcluster: Devcluster, seconds: float):
    kill_everything(devcluster)
    half_way = devcluster.start("up")
    time.sleep(seconds)  # the moment of the kill is what is varied
    half_way.kill()
    half_way.communicate()
    if seconds != 1.5:  # once, what it started lives on
        kill_everything(devcluster)

    devcluster("up")
    assert "healthy" in devcluster("status")


def test_files_that_were_half_written_do_not_matter(devcluster: Devcluster):
    kill_everything(devcluster)
    for name in ("components.json", "mount-points.json", "node.pid", "fingerprint", "pki/tokens.json"):
        (devcluster.state / name).write_text('{"half')

    devcluster("up")
    assert "healthy" in devcluster("status")


def test_down_leaves_nothing(devcluster: Devcluster, tmp_path: Path):
    devcluster("down")
    before = machine()

    devcluster("up")
    _run_a_pod(devcluster, tmp_path)
    assert machine() != before
    devcluster("down")

    assert machine() == before
    assert devcluster.processes() == {}
    assert not devcluster.state.exists()
    devcluster("down")  # and again, with nothing to do


@pytest.mark.parametrize("seconds", [0.1, 0.2])
def test_down_after_down_itself_was_killed_half_way(devcluster: Devcluster, tmp_path: Path, seconds: float):
    before = machine()
    devcluster("up")
    _run_a_pod(devcluster, tmp_path)
    half_way = devcluster.start("down")
    time.sleep(seconds)  # the moment of the kill is what is varied
    half_way.kill()
    half_way.communicate()

    devcluster("down")

    assert machine() == before
    assert not devcluster.state.exists()


def test_down_after_everything_was_killed_leaves_nothing(devcluster: Devcluster, tmp_path: Path):
    before = machine()
    devcluster("up")
    _run_a_pod(devcluster, tmp_path)
    kill_everything(devcluster)

    devcluster("down")

    assert machine() == before
    assert not devcluster.state.exists()


def _run_a_pod(devcluster: Devcluster, tmp_path: Path) -> None:
    for name, thing in (("pod", POD), ("service", SERVICE)):
        (tmp_path / f"{name}.json").write_text(json.dumps(thing))
    devcluster.kubectl("create", "namespace", "t")
    devcluster.kubectl("label", "namespace", "t", "pod-security.kubernetes.io/enforce=restricted")
    devcluster.kubectl("apply", "-n", "t", "-f", str(tmp_path / "pod.json"), "-f", str(tmp_path / "service.json"))
    devcluster.kubectl("wait", "-n", "t", "pod/web", "--for=condition=Ready", "--timeout=600s")
