from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver import rights
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Api, Namespace, OperatorProcess
from tests.ray.rig import Dashboard, KubeRay


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """One of their own, in which RayJobs come to be."""
    with ControlPlane(audited=True) as started:
        yield started


@pytest.fixture(scope="session")
def plane_api(plane: ControlPlane) -> Api:
    """A client of it, which knows our kinds."""
    return install_kinds(plane)


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
    with ExitStack() as stack:
        account = stack.enter_context(rights.account(plane_api, plane, namespace.name, tmp_path))

        def begin(**config: object) -> OperatorProcess:
            settings = {"namespaces": [namespace.name], "leaderElection": {"enabled": False}, **config}
            operator = OperatorProcess(account, tmp_path, **settings)  # type: ignore[arg-type]
            stack.enter_context(operator)
            return operator

        yield begin
