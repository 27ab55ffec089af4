"""Fixtures of the cluster's own tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from devcluster_command import Devcluster


@pytest.fixture(scope="module")
def devcluster() -> Iterator[Devcluster]:
    command = Devcluster()
    command("down")
    yield command
    command("down")
