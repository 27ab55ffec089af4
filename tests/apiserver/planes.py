"""A control plane of a folder's own, as fixtures to be imported there: what tests install may be cluster-wide."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from devcluster.controlplane import ControlPlane
from tests.apiserver.kinds import install_kinds
from tests.apiserver.rig import Api


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """Others must not find what comes to be in it."""
    with ControlPlane(audited=True) as started:
        yield started


@pytest.fixture(scope="session")
def plane_api(plane: ControlPlane) -> Api:
    """A client of it, which knows our kinds."""
    return install_kinds(plane)
