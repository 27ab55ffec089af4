"""The page in a real Chromium: with the story of one night, of which the statuses are written by the test."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from tests.apiserver.rig import KINDS, Api, Namespace
from tests.page.chromium import Chromium
from tests.page.dashboard import MERGE, Dashboard, Front, dashboard, front, put, remember
from tests.page.story import ROLLBACK, TARGET, Night
from tests.prometheus.rig import Exporter, prometheus

from accord.cli.exits import Exit

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
    """The first button of that text that can be pressed now."""
    return (
        f"[...(document.querySelector('dialog[open]') ?? document).querySelectorAll('button')]"
        f".find((b) => b.textContent === {json.dumps(label)})"
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


def test_the_keyboard_alone_is_enough(browser: Chromium, namespace: Namespace, door: Front) -> None:
    approved = lambda: namespace.get("checkpointpolicies", "ppo")["metadata"].get("annotations") or {}  # noqa: E731
    focused = "document.activeElement.textContent"
    with dashboard(door.kubeconfig, namespace) as started:
        browser.look(1200, 900)
        browser.open(started.url)
        browser.until(button("Approve"), "nothing to approve")

        def tab_to(label: str) -> None:
            for _ in range(40):
                browser.key("Tab")
                if browser.run(focused) == label:
                    return
            raise AssertionError(f"{label} cannot be reached")

        browser.key("Tab")
        assert browser.run(focused) == "Skip to content"
        tab_to("Approve")
        browser.key("Enter")
        browser.until("document.querySelector('dialog').open", "not asked once more")
        command = browser.run("document.querySelector('dialog code').textContent")
        assert command.startswith(
            f"kubectl --kubeconfig={door.kubeconfig} patch cp ppo -n {namespace.name} --type merge"
        )
        # What is focused first does nothing, and Escape is as good.
        assert browser.run(focused) == "Cancel"
        browser.key("Escape")
        browser.until("!document.querySelector('dialog').open", "Escape does not close it")
        assert (browser.run(focused), approved()) == ("Approve", {})
        browser.key(" ")
        browser.until("document.querySelector('dialog').open", "not asked once more")
        browser.key("Tab")
        assert browser.run(focused) == "Approve"
        browser.key("Enter")
        done = browser.until("document.querySelector('#toast').textContent", "nothing was said")
        assert done.endswith(f"rollback {ROLLBACK} approved: rolling back to step {TARGET}")
        assert approved() == {"accord.dev/approved-rollback": ROLLBACK}
        tab_to("Pause")
        # The list of checkpoints opens, and stays open while the page renews itself.
        tab_to("10 checkpoints")
        browser.key("Enter")
        browser.until("document.querySelector('details').open", "the list does not open")
        asked = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/api/view')).length"
        before = browser.run(asked)
        browser.until(f"{asked} > {before + 1}", "the page does not renew itself")
        assert browser.run("document.querySelector('details').open && document.activeElement.tagName") == "SUMMARY"
        tab_to("Go back to this")
        assert browser.complaints == []


def test_a_lost_api_server_is_shown_and_text_stays_text(browser: Chromium, namespace: Namespace, door: Front) -> None:
    wicked = "<img src=x onerror='window.wicked = 1'><script>window.wicked = 1</script>"
    path = namespace.path("checkpointpolicies", "ppo") + "/status"
    namespace.api.call("PATCH", path, {"status": {"rollback": {"message": wicked}}}, MERGE)
    with dashboard(door.kubeconfig, namespace) as started:
        browser.open(started.url)
        browser.until(f"document.body.innerText.includes({json.dumps(wicked)})", "the message is not shown")
        assert browser.run("[window.wicked ?? 0, document.querySelectorAll('main img, main script').length]") == [0, 0]
        assert browser.complaints == []
        door.is_lost = True
        browser.until("document.body.innerText.includes('The API server is not responding')", "the loss is not shown")
        # What was read last stays.
        assert browser.run(f"!!({button('Approve')})")
        door.is_lost = False
        browser.until("!document.body.innerText.includes('The API server is not responding')", "it stays lost")
        assert browser.complaints == []
        assert started.stop() == Exit.INTERRUPTED
        browser.until("document.body.innerText.includes('accord dashboard is not responding')", "its end is not shown")


def test_only_its_own_page_is_answered_and_no_more_than_the_user_may(
    api: Api, namespace: Namespace, door: Front, control_plane: Any, tmp_path: Path
) -> None:
    config = yaml.safe_load(Path(control_plane.kubeconfig).read_text())
    user = {"name": config["contexts"][0]["context"]["user"], "user": {"token": reader(api, namespace)}}
    file = tmp_path / "reader.yaml"
    file.write_text(yaml.safe_dump({**config, "users": [user]}))
    patch = {"metadata": {"annotations": {"accord.dev/approved-rollback": ROLLBACK}}}
    wanted = {
        "action": "approve",
        "kind": "CheckpointPolicy",
        "namespace": namespace.name,
        "name": "ppo",
        "patch": patch,
    }
    with dashboard(file, namespace) as started, requests.Session() as session:
        session.trust_env = False
        own = f"http://127.0.0.1:{started.port}"
        headers = {"Authorization": f"Bearer {started.token}", "Origin": own}

        def ask(path: str, **more: str) -> requests.Response:
            return session.get(own + path, headers={**headers, **more}, timeout=60)

        assert (ask("/").status_code, ask("/app.js").status_code, ask("/view.py").status_code) == (200, 200, 404)
        assert ask("/..%2f..%2f__init__.py").status_code == 404
        assert "default-src 'none'" in ask("/").headers["Content-Security-Policy"]
        assert ask("/api/view", Host="evil.example").status_code == 421
        assert ask("/api/view", Authorization="Bearer no").status_code == 401
        assert ask("/api/view", Origin="http://evil.example").status_code == 403
        found = ask("/api/view").json()
        assert found["rights"] == (
            "You have no right to patch TrafficPolicy, TrainingRun, CheckpointPolicy: they are read-only here"
        )
        assert [each["actions"] for each in found["alarms"]] == [[], []]
        refused = session.post(f"{own}/api/act", json=wanted, headers=headers, timeout=60)
        assert (refused.status_code, "forbidden" in refused.json()["error"]) == (502, True)
        other = {**wanted, "namespace": "default"}
        assert session.post(f"{own}/api/act", json=other, headers=headers, timeout=60).status_code == 502
    assert not namespace.get("checkpointpolicies", "ppo")["metadata"].get("annotations")


def reader(api: Api, namespace: Namespace) -> str:
    """The token of somebody who may read our kinds in a namespace, and change nothing."""
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace.name}"
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}}
    rules = [{"apiGroups": ["accord.dev"], "resources": list(KINDS), "verbs": ["get", "list"]}]
    api.call("POST", f"{base}/roles", {**role, "rules": rules})
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace.name}],
    }
    api.call("POST", f"{base}/rolebindings", binding)
    accounts = f"/api/v1/namespaces/{namespace.name}/serviceaccounts"
    api.call("POST", accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(api.call("POST", f"{accounts}/reader/token", asked)["status"]["token"])
