"""Fixtures that all tests may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster.controlplane import ControlPlane
from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("accord", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("accord")


TOGETHER = ("e2e", "devcluster")
"""Folders whose tests share a cluster."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the work, each file goes to one of them, and each cluster."""
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root)
        folder = place.parts[0]
        item.add_marker(pytest.mark.xdist_group(folder if folder in TOGETHER else str(place.with_suffix(""))))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real API server with controllers, started once for all tests that ask for it.

    Always a throw-away one, also where the reader named a cluster: these tests set the state of pods by hand, which
    only a cluster without kubelets leaves alone. It has `kubeconfig` and `kubectl(*arguments, input=None) -> str`.
    """
    with ControlPlane() as started:
        yield started
