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
from tests.kueue.rig import Kueue


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """One of their own: Kueue takes every Job of a cluster through its webhooks."""
    with ControlPlane(audited=True) as started:
        yield started


@pytest.fixture(scope="session")
def plane_api(plane: ControlPlane) -> Api:
    """A client of it, which knows our kinds."""
    return install_kinds(plane)


@pytest.fixture(scope="session")
def kueue(plane: ControlPlane, plane_api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kueue]:
    """Kueue, at work."""
    made = Kueue(plane, plane_api, tmp_path_factory.mktemp("kueue"))
    made.install()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def queued(kueue: Kueue, plane_api: Api) -> Namespace:
    """An empty namespace beside it."""
    return Namespace(plane_api)


@pytest.fixture
def start(plane: ControlPlane, plane_api: Api, queued: Namespace, tmp_path: Path) -> Iterator[StartOperator]:
    """Starts operators that watch only the test's namespace."""
    with ExitStack() as stack:
        account = stack.enter_context(rights.account(plane_api, plane, queued.name, tmp_path))

        def begin(**config: object) -> OperatorProcess:
            settings = {"namespaces": [queued.name], "leaderElection": {"enabled": False}, **config}
            operator = OperatorProcess(account, tmp_path, **settings)  # type: ignore[arg-type]
            stack.enter_context(operator)
            return operator

        yield begin
