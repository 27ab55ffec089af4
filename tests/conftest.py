"""Fixtures that all tests may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from devcluster.controlplane import ControlPlane
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ("tests.grants",)

# How long an example takes says more about the machine than about the code.
settings.register_profile("accord", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("accord")


# The machine may have much else to do. It costs only where a test fails.
os.environ.setdefault("ACCORD_PATIENCE", "5")

TOGETHER = ("e2e", "devcluster")
"""Folders whose tests share a cluster."""


class ByCluster(LoadScopeScheduling):
    """Where several processes share the work: each file goes to one of them, and so does each of those folders."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in TOGETHER if file.startswith(f"tests/{folder}/")), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByCluster:
    """Asked by pytest-xdist, once, in the process that hands the work out."""
    return ByCluster(config, log)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real API server with controllers, started once for all tests that ask for it.

    Always a throw-away one, also where the reader named a cluster: these tests set the state of pods by hand, which
    only a cluster without kubelets leaves alone. It has `kubeconfig` and `kubectl(*arguments, input=None) -> str`.
    """
    with ControlPlane(audited=True) as started:
        yield started
