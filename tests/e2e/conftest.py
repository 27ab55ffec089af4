"""One installation for all stories; each leaves it as it found it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.steps.environment import bring_up
from demo.steps.local import LocalCluster
from demo.steps.world import World
from devcluster.progress import Progress


@pytest.fixture(scope="session")
def installation() -> Iterator[World]:
    """Cluster, images, chart, example service, Prometheus, policy at 60/30/10, and load that never stops."""
    given = os.environ.get("ACCORD_TEST_KUBECONFIG")
    local = LocalCluster("accord-e2e", "10.200.0.0/14")
    keep = bool(given) or local.running()
    try:
        world = bring_up(Path(given) if given else local, Progress())
        world.background_rate = 60  # notices a gap of a tenth of a second; other tests use the machine, too
        world.background.fresh_tally()
        yield world
        world.stop_background()
    finally:
        if not keep:
            local.down()


@pytest.fixture
def world(installation: World) -> Iterator[World]:
    """The installation with the policy as its file has it, in force before and after the test."""
    yield installation
    installation.policy.reset()
    installation.policy.wait_settled()
