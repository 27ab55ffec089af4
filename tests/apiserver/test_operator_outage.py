"""The API server goes away and comes back; the operator stays and catches up."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Iterator

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver.checkpoints import at_rest
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """One of their own, because they stop it."""
    with ControlPlane(audited=True) as started:
        yield started


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Api:
    """A client of that API server."""
    return install_kinds(control_plane)


def leading_operator(namespace: Namespace, start_operator: StartOperator) -> OperatorProcess:
    """An operator that leads and has settled policy `demo`."""
    operator = start_operator(leaderElection={"enabled": True}).ready()
    wait_until(lambda: operator.leads, 15, "nobody leads")
    namespace.deployment("a")
    namespace.policy("demo", {"a": 100})
    namespace.settled("demo")
    return operator


def check_it_works(namespace: Namespace, name: str) -> float:
    """Seconds from a new policy to its status."""
    began = time.monotonic()
    namespace.policy(name, {"a": 100})
    wait_until(lambda: namespace.get("trafficpolicies", name).get("status"), 30, "nothing happens after the outage")
    return time.monotonic() - began


def test_it_recovers_from_a_restarted_api_server(
    control_plane: ControlPlane, namespace: Namespace, start_operator: StartOperator
) -> None:
    operator = leading_operator(namespace, start_operator)
    control_plane.stop_apiserver()
    try:
        wait_until(lambda: not operator.leads, 20, "leads although it cannot renew")
    finally:
        control_plane.start_apiserver()
    namespace.delete("services", "demo-a")
    began = time.monotonic()
    wait_until(lambda: namespace.get("services", "demo-a"), 20, "not put back after the outage")
    print(f"API server restarted: works again after {time.monotonic() - began:.1f} s")
    check_it_works(namespace, "later")
    assert operator.process.poll() is None
    assert "Traceback" not in operator.log()
    assert operator.log().count("API server unreachable") == 1
    assert operator.log().count("API server reachable again") == 1


def test_it_recovers_from_an_api_server_that_hangs(
    control_plane: ControlPlane, namespace: Namespace, start_operator: StartOperator
) -> None:
    operator = leading_operator(namespace, start_operator)
    control_plane.pause_apiserver()
    try:
        # It stops writing (before its Lease runs out: tests/unit/runtime/test_lease.py), and goes on answering.
        wait_until(lambda: not operator.leads, 20, "leads although it cannot renew")
        response = operator.fetch("/healthz")
        assert response is not None
        assert response.status_code == 200
    finally:
        control_plane.resume_apiserver()
    took = check_it_works(namespace, "later")
    print(f"API server resumed: a new policy has its status after {took:.1f} s")
    assert operator.process.poll() is None
    assert "Traceback" not in operator.log()


def test_deletions_during_an_outage_are_noticed(
    control_plane: ControlPlane, namespace: Namespace, start_operator: StartOperator
) -> None:
    """While the operator hangs, its watches may lose history; what is gone must not be taken for existing."""
    operator = start_operator().ready()
    namespace.deployment("a")
    namespace.policy("demo", {"a": 100})
    namespace.settled("demo")
    # What it has made must have come back to it by its watches: of what it never saw it can miss nothing.
    at_rest(operator)
    operator.process.send_signal(signal.SIGSTOP)
    try:
        control_plane.stop_apiserver()
        control_plane.start_apiserver()
        namespace.delete("services", "demo-a")
        compact(control_plane, namespace)
        # An API server that began before the deletion remembers it, and may tell a watch that goes on.
        control_plane.stop_apiserver()
        control_plane.start_apiserver()
    finally:
        operator.process.send_signal(signal.SIGCONT)
    began = time.monotonic()
    wait_until(lambda: namespace.get("services", "demo-a"), 30, "a deletion was missed")
    assert "missed deletion of Service" in operator.log()
    print(f"deleted while disconnected and compacted away: back after {time.monotonic() - began:.1f} s")


def compact(control_plane: ControlPlane, namespace: Namespace) -> None:
    """Make etcd forget all history, and restart the API server, whose watch cache remembers some."""
    revision = int(namespace.api.get("/api/v1/namespaces")["metadata"]["resourceVersion"])
    endpoint = f"http://127.0.0.1:{control_plane._etcd}/v3/kv/compaction"
    body = json.dumps({"revision": str(revision), "physical": True}).encode()
    urllib.request.urlopen(urllib.request.Request(endpoint, data=body), timeout=120).read()
    control_plane.stop_apiserver()
    control_plane.start_apiserver()
