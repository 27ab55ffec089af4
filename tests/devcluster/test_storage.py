"""Volumes, snapshots and what is restored from them, on the real provisioner, snapshotter and kubelet."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from devcluster.waiting import wait_for
from devcluster_command import Devcluster, kill_everything, machine

GROUP = "snapshot.storage.k8s.io"
WRITE = "mkdir -p /data/step-1 && echo first > /data/step-1/model && exec sleep 3600"
SAVE = (
    "n=0; while true; do n=$((n+1)); mkdir /data/.tmp-$n; for f in a b c; do head -c 100000 /dev/urandom "
    "> /data/.tmp-$n/$f; done; mv /data/.tmp-$n /data/step-$n; rm -rf /data/step-$((n-3)); sleep 0.2; done"
)


@pytest.fixture(scope="module")
def cluster(devcluster: Devcluster) -> Devcluster:
    _fresh(devcluster)
    return devcluster


def test_the_classes_are_the_defaults(cluster: Devcluster):
    classes = {each["metadata"]["name"]: each for each in _items(cluster, "storageclasses")}
    default = "storageclass.kubernetes.io/is-default-class"

    marks = {name: each["metadata"]["annotations"][default] for name, each in classes.items()}
    assert marks == {"accord-dir": "true", "accord-dir-at-once": "false"}
    assert classes["accord-dir"]["volumeBindingMode"] == "WaitForFirstConsumer"
    (snapshots,) = _items(cluster, "volumesnapshotclasses")
    assert snapshots["metadata"]["annotations"]["snapshot.storage.kubernetes.io/is-default-class"] == "true"


def test_what_was_deleted_is_restored_from_a_snapshot(cluster: Devcluster):
    _apply(cluster, _claim("data"), _pod("writer", "data", WRITE))
    _ready(cluster, "writer")
    _apply(cluster, _snapshot("first", "data"))
    _snapshot_ready(cluster, "first")
    _in(cluster, "writer", "echo second > /data/step-1/model; touch /data/later")
    _delete(cluster, "pod/writer", "pvc/data")
    wait_for("the volume's end", lambda: _directories(cluster, "volumes") == [], seconds=60)

    _apply(cluster, _claim("restored", snapshot="first"), _pod("reader", "restored", "exec sleep 3600", readonly=True))
    _ready(cluster, "reader")

    assert _in(cluster, "reader", "cat /data/step-1/model; ls /data") == "first\nstep-1\n"
    assert "Read-only file system" in _in(cluster, "reader", "touch /data/x 2>&1 || true")
    snapshot = json.loads(cluster.kubectl("get", "volumesnapshot", "first", "-n", "t", "-o", "json"))
    assert snapshot["status"]["restoreSize"] == "64Mi"
    _delete(cluster, "pod/reader", "pvc/restored", "volumesnapshot/first")
    _all_gone(cluster)


def test_a_restored_volume_can_be_written_without_a_trace_in_the_snapshot(cluster: Devcluster):
    _apply(cluster, _claim("data"), _pod("writer", "data", WRITE))
    _ready(cluster, "writer")
    _apply(cluster, _snapshot("first", "data"))
    _snapshot_ready(cluster, "first")
    for number in (1, 2):
        _apply(cluster, _claim(f"copy-{number}", snapshot="first", storage_class="accord-dir-at-once"))
        claims = f"pvc/copy-{number}"
        cluster.kubectl("wait", "-n", "t", claims, "--for=jsonpath={.status.phase}=Bound", "--timeout=600s")

    _apply(cluster, _pod("changer", "copy-1", "echo changed > /data/step-1/model; exec sleep 3600"))
    _ready(cluster, "changer")
    _apply(cluster, _pod("reader", "copy-2", "exec sleep 3600"))
    _ready(cluster, "reader")

    assert _in(cluster, "changer", "cat /data/step-1/model") == "changed\n"
    assert _in(cluster, "reader", "cat /data/step-1/model") == "first\n"
    assert _in(cluster, "writer", "cat /data/step-1/model") == "first\n"
    _delete(cluster, "pod/changer", "pod/reader", "pod/writer", "pvc/copy-1", "pvc/copy-2", "pvc/data")
    _delete(cluster, "volumesnapshot/first")


def test_snapshots_of_a_trainer_that_saves_and_prunes(cluster: Devcluster):
    _apply(cluster, _claim("data"), _pod("trainer", "data", SAVE, ready="ls /data/step-*/c"))
    _ready(cluster, "trainer")
    names = [f"while-saving-{number}" for number in range(5)]
    for name in names:
        _apply(cluster, _snapshot(name, "data"))
    for name in names:
        _snapshot_ready(cluster, name)

    held = list((cluster.state / "csi" / "snapshots").glob("*/data/step-*"))
    assert len(held) >= 5
    assert all((each / name).stat().st_size == 100_000 for each in held for name in "abc")
    log = (cluster.state / "logs" / "csi-driver.log").read_text()
    assert "not of one moment" not in log
    _delete(cluster, *(f"volumesnapshot/{name}" for name in names))
    _delete(cluster, "pod/trainer", "pvc/data")


@pytest.mark.parametrize("name", ["devcluster.csi", "csi-provisioner", "csi-snapshotter", "snapshot-controller"])
def test_what_was_killed_comes_back_and_goes_on(cluster: Devcluster, name: str):
    _apply(cluster, _claim("data"), _pod("writer", "data", WRITE))
    _ready(cluster, "writer")
    os.kill(_process(cluster, name), signal.SIGKILL)

    _apply(cluster, _snapshot("after", "data"))
    _snapshot_ready(cluster, "after")
    _apply(cluster, _claim("restored", snapshot="after"), _pod("reader", "restored", "exec sleep 3600"))
    _ready(cluster, "reader")

    assert _in(cluster, "reader", "cat /data/step-1/model") == "first\n"
    assert _in(cluster, "writer", "cat /data/step-1/model") == "first\n"
    os.kill(_process(cluster, name), signal.SIGKILL)  # and in the midst of deleting
    _delete(cluster, "pod/reader", "pod/writer", "pvc/restored", "pvc/data", "volumesnapshot/after")
    _all_gone(cluster)
    assert "up already" in cluster("up")


def test_up_after_everything_was_killed_with_volumes_in_use(cluster: Devcluster):
    _apply(cluster, _claim("data"), _pod("writer", "data", WRITE))
    _ready(cluster, "writer")
    kill_everything(cluster)

    _fresh(cluster)

    assert _items(cluster, "persistentvolumes") == []
    _apply(cluster, _claim("data"), _pod("writer", "data", WRITE))
    _ready(cluster, "writer")


def test_down_with_volumes_in_use_leaves_nothing(cluster: Devcluster):
    cluster("down")
    before = machine()
    _fresh(cluster)
    _apply(cluster, _claim("data"), _pod("writer", "data", WRITE))
    _ready(cluster, "writer")
    _apply(cluster, _snapshot("first", "data"))
    _snapshot_ready(cluster, "first")

    cluster("down")

    assert machine() == before
    assert cluster.processes() == {}
    assert not cluster.state.exists()


def _fresh(cluster: Devcluster) -> None:
    cluster("up")
    cluster.kubectl("create", "namespace", "t")
    cluster.kubectl("label", "namespace", "t", "pod-security.kubernetes.io/enforce=restricted")


def _claim(name: str, snapshot: str = "", storage_class: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    if snapshot:
        spec["dataSource"] = {"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": snapshot}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _snapshot(name: str, claim: str) -> dict[str, Any]:
    spec = {"source": {"persistentVolumeClaimName": claim}}
    return {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "metadata": {"name": name}, "spec": spec}


def _pod(name: str, claim: str, command: str, readonly: bool = False, ready: str = "true") -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "localhost/pause:1",
        "command": ["sh", "-c", command],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "readinessProbe": {"exec": {"command": ["sh", "-c", ready]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim, "readOnly": readonly}}],
        },
    }


def _apply(cluster: Devcluster, *manifests: dict[str, Any]) -> None:
    kubeconfig = cluster("kubeconfig").strip()
    kubectl = cluster("program", "kubectl").strip().splitlines()[-1]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    command = [kubectl, f"--kubeconfig={kubeconfig}", "apply", "-n", "t", "-f", "-"]
    subprocess.run(command, input=listed, text=True, check=True, capture_output=True)


def _delete(cluster: Devcluster, *names: str) -> None:
    cluster.kubectl("delete", "-n", "t", "--timeout=600s", *names)


def _all_gone(cluster: Devcluster) -> None:
    for kind in ("persistentvolumes", "volumesnapshotcontents"):
        wait_for(f"the end of all {kind}", lambda kind=kind: not _items(cluster, kind), seconds=60)  # type: ignore[misc]
    assert _directories(cluster, "volumes") == _directories(cluster, "snapshots") == []


def _ready(cluster: Devcluster, pod: str) -> None:
    cluster.kubectl("wait", "-n", "t", f"pod/{pod}", "--for=condition=Ready", "--timeout=600s")


def _snapshot_ready(cluster: Devcluster, name: str) -> None:
    state = "--for=jsonpath={.status.readyToUse}=true"
    cluster.kubectl("wait", "-n", "t", f"volumesnapshot/{name}", state, "--timeout=600s")


def _in(cluster: Devcluster, pod: str, command: str) -> str:
    return cluster.kubectl("exec", "-n", "t", pod, "--", "sh", "-c", command)


def _items(cluster: Devcluster, kind: str) -> list[dict[str, Any]]:
    return list(json.loads(cluster.kubectl("get", kind, "-A", "-o", "json"))["items"])


def _directories(cluster: Devcluster, kind: str) -> list[str]:
    return sorted(path.name for path in (cluster.state / "csi" / kind).iterdir())


def _process(cluster: Devcluster, name: str) -> int:
    found: list[int] = []

    def runs() -> bool:
        found[:] = [pid for pid in cluster.processes() if any(part.endswith(name) for part in _command(pid)[:3])]
        return len(found) == 1

    wait_for(f"one {name}", runs, seconds=30)
    return found[0]


def _command(pid: int) -> list[str]:
    """The words of a process's command line; none of one that ended between the listing and this reading."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
