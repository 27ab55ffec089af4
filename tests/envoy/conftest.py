from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.envoy import rig


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[rig.World]:
    async with rig.world(tmp_path) as made:
        yield made
