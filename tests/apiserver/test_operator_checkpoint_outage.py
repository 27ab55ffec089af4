"""The API server goes away in the middle of a rollback, and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver import checkpoints as cp
from tests.apiserver.checkpoints import Cluster, Trainers, Training
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Api, Namespace, wait_until
from tests.prometheus.rig import prometheus

from devcluster import snapshots as snapshot_kinds


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """One of its own, because it is stopped."""
    with ControlPlane(audited=True) as started:
        yield started


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Api:
    """A client of that API server."""
    snapshot_kinds.install(control_plane.kubectl)
    return install_kinds(control_plane)


def test_a_rollback_is_carried_on_after_an_outage(
    control_plane: ControlPlane, api: Api, namespace: Namespace, start_operator: StartOperator, tmp_path: Path
) -> None:
    training = Training()
    cp.serving_deployment(namespace)
    cp.run(namespace)
    cp.policy(namespace)
    trainers = Trainers(trainings={namespace.name: training})
    with prometheus(tmp_path / "prometheus", trainers) as server, Cluster(api, namespace):
        endpoints = {"default": {"url": server.url, "timeout": "30s"}}
        operator = start_operator(prometheus={"endpoints": endpoints}).ready()
        cp.save(namespace, training, 1000, 1500, 2000)
        training.step, training.sick = 2100, True
        wait_until(lambda: "rollback" in cp.status(namespace), 60, "no rollback")
        control_plane.stop_apiserver()
        try:
            time.sleep(10)
        finally:
            control_plane.start_apiserver()
        cp.until_served(namespace, 1500, 90)
        wait_until(lambda: namespace.get(cp.RUNS, "r")["status"]["attempt"] == 2, 60, "no second attempt")
        live = cp.status(namespace)
        assert (live["rollbacks"], [record["phase"] for record in live["history"]]) == (1, ["Done"])
        assert cp.quarantined(namespace) == {2000}
        assert operator.process.poll() is None
        assert "Traceback" not in operator.log()
