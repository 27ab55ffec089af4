"""A rollback from its signal to its end, approved by a click: with the operator, a trainer and Prometheus."""

from __future__ import annotations

from typing import Any

from tests.apiserver import checkpoints as cp
from tests.apiserver.test_operator_checkpoints import Stage, snapshot_api, stage
from tests.page.chromium import Chromium
from tests.page.dashboard import dashboard

__all__ = ["snapshot_api", "stage"]
_FIND = "[...(document.querySelector('dialog[open]') ?? document).querySelectorAll('button')].find((b) => b.textContent"


def test_a_rollback_is_approved_by_a_click(stage: Stage, browser: Chromium, control_plane: Any) -> None:
    namespace = stage.namespace
    stage.trained(rollback={"approval": "Manual"})
    with dashboard(control_plane.kubeconfig, namespace, "--prometheus", stage.prometheus.url) as started:
        browser.look(1200, 900)
        browser.open(started.url)
        browser.until("document.body.innerText.includes('serves step 2000')", "the served checkpoint is not shown")
        browser.until("document.querySelectorAll('path.curve').length > 0", "no curves")
        stage.break_down()
        browser.until(f"{_FIND} === 'Approve')", "the page does not ask for approval", 60)
        assert "NonFinite" in browser.run("document.querySelector('.alarm').innerText")
        assert cp.serves(namespace)[1] == "2000"
        browser.click(f"{_FIND} === 'Approve')")
        browser.until("document.querySelector('dialog').open", "not asked once more")
        assert cp.serves(namespace)[1] == "2000"
        browser.click(f"{_FIND} === 'Approve')")
        browser.until("document.querySelector('#toast').textContent.includes('approved')", "nothing was said")
        cp.until_served(namespace, 1500)
        browser.until("document.body.innerText.includes('serves step 1500')", "the rollback is not shown")
        browser.until("document.querySelector('.history')?.innerText.includes('Done')", "its end is not shown")
        assert browser.complaints == []
    assert cp.status(namespace)["history"][0]["phase"] == "Done"
