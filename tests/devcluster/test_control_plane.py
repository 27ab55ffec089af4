"""The throw-away control plane that the API-level tests stand on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from devcluster.kubectl import KubectlError
from devcluster.waiting import wait_for

from devcluster import snapshots


@pytest.fixture(scope="module")
def cluster():
    with ControlPlane() as started:
        yield started


def test_controllers_run(cluster):
    cluster.kubectl("create", "deployment", "web", "--image=web", "--replicas=2")
    cluster.kubectl("create", "service", "clusterip", "web", "--tcp=80")

    wait_for("two pods", lambda: len(_items(cluster, "pods", "app=web")) == 2, seconds=20)
    wait_for(
        "an EndpointSlice",
        lambda: len(_items(cluster, "endpointslices", "kubernetes.io/service-name=web")) == 1,
        seconds=20,
    )
    cluster.kubectl("delete", "deployment", "web")
    wait_for("garbage collection", lambda: not _items(cluster, "pods", "app=web"), seconds=20)


def test_a_service_account_gets_a_token(cluster):
    token = cluster.kubectl("create", "token", "default").strip()

    assert token.count(".") == 2


def test_rbac_is_enforced(cluster):
    with pytest.raises(KubectlError, match="Forbidden"):
        cluster.kubectl("get", "secrets", "--as=system:serviceaccount:default:default")


def test_the_api_server_goes_away_and_comes_back(cluster):
    cluster.stop_apiserver()
    with pytest.raises(KubectlError, match="refused"):
        cluster.kubectl("get", "namespaces")
    cluster.start_apiserver()
    assert "default" in cluster.kubectl("get", "namespaces")

    cluster.pause_apiserver()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            cluster.kubectl("get", "namespaces", timeout=1)
    finally:
        cluster.resume_apiserver()
    assert "default" in cluster.kubectl("get", "namespaces")


def test_it_knows_volume_snapshots_when_asked(cluster):
    snapshots.install(cluster.kubectl)
    snapshots.install(cluster.kubectl)  # again, with nothing to do

    claim = {"source": {"persistentVolumeClaimName": "checkpoints"}}
    snapshot = {"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": "first"}}
    cluster.kubectl("create", "-f", "-", input=json.dumps({**snapshot, "spec": claim}))
    with pytest.raises(KubectlError, match="exactly one"):
        cluster.kubectl("create", "-f", "-", input=json.dumps({**snapshot, "spec": {"source": {}}}))


def test_two_run_at_once(cluster):
    with ControlPlane() as other:
        assert other.server != cluster.server
        other.kubectl("create", "namespace", "only-here")
        assert "only-here" not in cluster.kubectl("get", "namespaces")
        directory = other.directory
    assert not directory.exists()


def test_its_processes_die_with_the_one_that_started_them(tmp_path: Path):
    script = (
        "import sys, time\n"
        "from devcluster.controlplane import ControlPlane\n"
        f"cluster = ControlPlane({str(tmp_path)!r}).start()\n"
        "print(*[process.pid for process in cluster._processes.values()], flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3

    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    wait_for("the end of all three", lambda: not any(_runs(pid) for pid in pids), seconds=10)


def test_what_a_killed_one_left_is_cleared_away_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # A place of its own: there other tests begin control planes, too.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "import os, signal\n"
        "from devcluster.controlplane import ControlPlane\n"
        "print(ControlPlane().start().directory, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert left.exists()

    with ControlPlane() as started:
        assert not left.exists()
        assert started.directory.exists()


def _items(cluster: ControlPlane, kind: str, selector: str) -> list[dict[str, object]]:
    return list(json.loads(cluster.kubectl("get", kind, "-l", selector, "-o", "json"))["items"])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
