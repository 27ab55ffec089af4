"""A browser, and the API server with operators of `tests/apiserver`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apiserver.conftest import api, namespace, operators_kubeconfig, start_operator
from tests.page.chromium import Chromium, chromium

__all__ = ["api", "browser", "namespace", "operators_kubeconfig", "start_operator"]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    """A browser of one test."""
    with chromium(tmp_path / "profile") as started:
        yield started
