"""What a team has in Git, and all that is around it in a cluster, as far as a bare control plane lacks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Api
from tests.gitops.scene import Scene, playing

from devcluster import snapshots


@pytest.fixture(scope="session")
def plain_api(control_plane: Any) -> Api:
    """A client of an API server with our kinds and VolumeSnapshots."""
    snapshots.install(control_plane.kubectl)
    return install_kinds(control_plane)


@pytest.fixture
def scene(control_plane: Any, plain_api: Api, tmp_path: Path) -> Iterator[Scene]:
    """An empty namespace in which everything is ready for the manifests."""
    with playing(control_plane, plain_api, tmp_path) as made:
        yield made
