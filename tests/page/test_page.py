"""The page in a real Chromium: with the story of one night, of which the statuses are written by the test."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.apiserver.rig import Namespace
from tests.page.chromium import Chromium
from tests.page.dashboard import Dashboard, Front, dashboard, front, put, remember
from tests.page.story import ROLLBACK, TARGET, Night
from tests.prometheus.rig import Exporter, prometheus

KEEP = os.environ.get("ACCORD_PICTURES", "")
"""A folder that the pictures are kept in."""


@pytest.fixture
def night(namespace: Namespace) -> Night:
    return Night(datetime.now(UTC), namespace.name)


@pytest.fixture
def door(namespace: Namespace, night: Night, tmp_path: Path) -> Iterator[Front]:
    """The objects of the night in a real API server."""
    put(namespace, night)
    with front(namespace, night, tmp_path) as made:
        yield made


@pytest.fixture
def shown(namespace: Namespace, night: Night, door: Front, tmp_path: Path) -> Iterator[Dashboard]:
    """The page of the night, with a real Prometheus that remembers it."""
    remember(night, tmp_path / "prometheus")
    with (
        prometheus(tmp_path / "prometheus", Exporter()) as server,
        dashboard(door.kubeconfig, namespace, "--prometheus", server.url) as started,
    ):
        yield started


def button(label: str) -> str:
    """The first button of that text in the page, or in an open dialog."""
    return (
        f"[...document.querySelectorAll('button')].find((b) => b.textContent === {json.dumps(label)} && b.offsetParent)"
    )


def pictured(browser: Chromium, tmp_path: Path, name: str) -> None:
    file = browser.picture(Path(KEEP or tmp_path) / f"{name}.png")
    assert file.stat().st_size > 20_000


def test_a_night_in_pictures(browser: Chromium, shown: Dashboard, tmp_path: Path) -> None:
    """Light, dark and on a phone: nothing in the console, nothing beyond the edge, and nothing that axe-core minds."""
    browser.look(1200, 900)
    browser.open(shown.url)
    browser.until("document.querySelectorAll('path.curve').length >= 4", "no curves")
    browser.until("document.querySelectorAll('.line rect').length > 5", "no spells on the time line")
    assert browser.run("location.hash") == ""
    for name, size in (("light", (1200, 900)), ("dark", (1200, 900)), ("phone", (360, 740))):
        browser.look(*size, "dark" if name == "dark" else "light", touch=name == "phone")
        browser.until(
            f"document.querySelector('.line svg').viewBox.baseVal.width <= {size[0]}", "not drawn for that width"
        )
        assert browser.run("document.documentElement.scrollWidth") <= size[0]
        assert browser.violations() == []
        pictured(browser, tmp_path, name)
    text = browser.run("document.body.innerText")
    for said in (f"Rollback to step {TARGET} is waiting for approval", "66.1% of what was learnt is lost", "145.4"):
        assert said in text
    assert browser.complaints == []
