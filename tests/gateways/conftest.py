from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver.planes import plane, plane_api
from tests.apiserver.rig import Api
from tests.gateways import rig

__all__ = ["bare", "plane", "plane_api", "world"]


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
