"""Fixtures of the cluster's own tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devcluster_command import Devcluster


@pytest.fixture(scope="module")
def devcluster() -> Iterator[Devcluster]:
    command = Devcluster()
    command("down")
    yield command
    command("down")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of programs."""
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path))
    return tmp_path
