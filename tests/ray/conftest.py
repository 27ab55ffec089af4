from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver import rights
from tests.apiserver.conftest import StartOperator
from tests.apiserver.planes import plane, plane_api
from tests.apiserver.rig import Api, Namespace
from tests.ray.rig import Dashboard, KubeRay

__all__ = ["dashboard", "kuberay", "namespace", "plane", "plane_api", "start"]


@pytest.fixture(scope="session")
def kuberay(plane: ControlPlane, plane_api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeRay]:
    """KubeRay, at work."""
    made = KubeRay(plane.kubeconfig, tmp_path_factory.mktemp("kuberay"))
    made.install(plane_api, plane.kubectl)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    """What answers on the heads."""
    with Dashboard() as made:
        yield made


@pytest.fixture
def namespace(plane_api: Api, kuberay: KubeRay) -> Namespace:
    """An empty one beside it."""
    return Namespace(plane_api)


@pytest.fixture
def start(plane: ControlPlane, plane_api: Api, namespace: Namespace, tmp_path: Path) -> Iterator[StartOperator]:
    """Starts operators that watch only the test's namespace, with the chart's rights for it. They need no others."""
    with rights.operators(plane_api, plane, namespace, tmp_path) as begin:
        yield begin
