from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver import rights
from tests.apiserver.conftest import StartOperator
from tests.apiserver.planes import plane, plane_api
from tests.apiserver.rig import Api, Namespace
from tests.kueue.rig import Kueue

__all__ = ["kueue", "plane", "plane_api", "queued", "start"]


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
    with rights.operators(plane_api, plane, queued, tmp_path) as begin:
        yield begin
