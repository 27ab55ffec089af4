"""A run on Ray in a cluster to which KubeRay comes later."""

from __future__ import annotations

from pathlib import Path

from devcluster.controlplane import ControlPlane
from tests.apiserver import rights
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until
from tests.ray.rig import ENOUGH, RAY_JOBS, KubeRay, pods, train, until


def test_without_kuberay_it_says_so_and_starts_when_that_comes(tmp_path: Path) -> None:
    with ControlPlane(audited=True) as plane:
        api = install_kinds(plane)
        namespace = Namespace(api)
        rights.give(api, namespace.name, namespace.name)
        kubeconfig = rights.kubeconfig(api, plane.kubeconfig, namespace.name, tmp_path)
        kuberay = KubeRay(plane.kubeconfig, tmp_path)
        settings = {"namespaces": [namespace.name], "leaderElection": {"enabled": False}}
        with OperatorProcess(kubeconfig, tmp_path, **settings) as operator:  # type: ignore[arg-type]
            operator.ready()
            train(namespace)
            status = until(namespace, "KubeRayNotInstalled")
            assert {each["type"]: each["status"] for each in status["conditions"]}["Stalled"] == "True"
            kuberay.install(api, plane.kubectl)
            until(namespace, "KubeRayNotResponding", "check that its operator runs")
            assert [job["metadata"]["name"] for job in api.items(namespace.path(RAY_JOBS))] == ["r-1"]
            kuberay.start()
            try:
                wait_until(lambda: len(pods(namespace, 1)) == 2, ENOUGH, "KubeRay makes no cluster")
                until(namespace, "Starting")
            finally:
                kuberay.stop()
        assert not rights.overstepped(rights.asked(plane, namespace.name, 0))
