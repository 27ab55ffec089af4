from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Api
from tests.gateways import rig


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """One of their own: what they install is cluster-wide, and others must not find it."""
    with ControlPlane(audited=True) as started:
        yield started


@pytest.fixture(scope="session")
def plane_api(plane: ControlPlane) -> Api:
    """A client of it, which knows our kinds."""
    return install_kinds(plane)


@pytest.fixture
async def bare(plane: ControlPlane, plane_api: Api, tmp_path: Path) -> AsyncIterator[rig.World]:
    """A cluster without the Gateway API."""
    rig.remove(plane_api, plane.kubectl)
    async with rig.world(plane, plane_api, tmp_path) as made:
        yield made


@pytest.fixture
async def world(plane: ControlPlane, plane_api: Api, tmp_path: Path) -> AsyncIterator[rig.World]:
    """A cluster with it."""
    rig.install(plane_api, plane.kubectl)
    async with rig.world(plane, plane_api, tmp_path) as made:
        yield made
