"""Who may ask the server of `accord dashboard`, and what a button may ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accord.api.base import Manifest
from accord.cli.dashboard import actions, guard
from accord.cli.dashboard.watching import Prometheus
from accord.cli.errors import InputError, NegativeError

PORT, TOKEN = 4711, "secret-token"
HOST = {"Host": f"127.0.0.1:{PORT}"}
OWN = {**HOST, "Origin": f"http://127.0.0.1:{PORT}", "Authorization": f"Bearer {TOKEN}"}
BODY = {"Content-Type": "application/json"}


def status(method: str, path: str, headers: dict[str, str]) -> int:
    refused = guard.refusal(method, path, headers, PORT, TOKEN)
    return 200 if refused is None else refused.status


@pytest.mark.parametrize(
    ("method", "path", "headers", "wanted"),
    [
        ("GET", "/", HOST, 200),
        ("GET", "/", {"Host": f"localhost:{PORT}"}, 200),
        ("GET", "/api/view", OWN, 200),
        ("GET", "/api/view", {**HOST, "Authorization": f"Bearer {TOKEN}"}, 200),
        ("POST", "/api/act", {**OWN, **BODY}, 200),
        # A name of somebody else's that was pointed at loopback.
        ("GET", "/", {"Host": f"evil.example:{PORT}"}, 421),
        ("GET", "/", {"Host": "127.0.0.1"}, 421),
        ("GET", "/", {}, 421),
        # Without the token, or with another.
        ("GET", "/api/view", HOST, 401),
        ("GET", "/api/view", {**HOST, "Authorization": f"Bearer {TOKEN}x"}, 401),
        ("GET", "/api/view", {**HOST, "Authorization": "Bearer ü"}, 401),
        # From another page.
        ("GET", "/api/view", {**OWN, "Origin": "http://evil.example"}, 403),
        ("GET", "/api/view", {**OWN, "Origin": "http://127.0.0.1:80"}, 403),
        ("GET", "/api/view", {**OWN, "Origin": "null"}, 403),
        ("POST", "/api/act", {**OWN, **BODY, "Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/api/act", {**HOST, **BODY, "Authorization": f"Bearer {TOKEN}"}, 403),
        # What a form can send.
        ("POST", "/api/act", {**OWN, "Content-Type": "text/plain"}, 415),
        ("POST", "/api/act", OWN, 415),
    ],
)
def test_only_the_page_itself_with_its_token_is_answered(
    method: str, path: str, headers: dict[str, str], wanted: int
) -> None:
    assert status(method, path, headers) == wanted


def test_no_script_and_no_style_may_stand_in_the_page() -> None:
    policy = guard.HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"a"',
        b"{}",
        json.dumps({"action": "pause", "kind": "tr", "namespace": "n", "name": "a/b", "patch": {}}).encode(),
        json.dumps({"action": "pause", "kind": "tr", "namespace": "", "name": "a", "patch": {}}).encode(),
        json.dumps({"action": "pause", "kind": "tr", "namespace": "n", "name": 1, "patch": {}}).encode(),
        json.dumps({"action": "pause", "kind": "tr", "namespace": "n", "name": "a", "patch": [], "step": 1}).encode(),
        json.dumps(
            {"action": "pause", "kind": "tr", "namespace": "n", "name": "a", "patch": {}, "step": True}
        ).encode(),
        b"\xff",
    ],
)
def test_what_no_button_sends_is_refused(body: bytes) -> None:
    assert guard.asked(body) is None


def policy(**status: Any) -> Manifest:
    checkpoint = {"step": 500, "ready": True, "verified": True}
    return {
        "kind": "CheckpointPolicy",
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"serving": {}},
        "status": {"checkpoints": [checkpoint], **status},
    }


def test_what_was_shown_is_what_is_done() -> None:
    waiting = policy(rollback={"id": "one", "phase": "AwaitingApproval", "toStep": 500})
    (approve, *_) = actions.offers(waiting)
    decide = actions.unchanged(actions.decision("approve", "CheckpointPolicy", None), approve.patch)
    assert decide(waiting).patch == approve.patch
    # Meanwhile another rollback is waiting.
    with pytest.raises(NegativeError, match="no longer as it was shown"):
        decide(policy(rollback={"id": "two", "phase": "AwaitingApproval", "toStep": 500}))
    with pytest.raises(NegativeError, match="no rollback of p is in progress"):
        decide(policy())


def test_a_patch_that_nobody_offered_is_refused() -> None:
    decide = actions.unchanged(actions.decision("rollback", "CheckpointPolicy", 500), {"spec": {"rollbackTo": 77}})
    with pytest.raises(NegativeError):
        decide(policy())


@pytest.mark.parametrize(
    ("name", "kind", "step"),
    [("approve", "TrainingRun", None), ("rollback", "CheckpointPolicy", None), ("pause", "TrainingRun", 5)],
)
def test_an_action_belongs_to_its_kind(name: actions.Name, kind: str, step: int | None) -> None:
    with pytest.raises(InputError):
        actions.decision(name, kind, step)


class Options:
    def __init__(self, url: str | None = None, service: str | None = None) -> None:
        self.prometheus, self.prometheus_service = url, service


def test_prometheus_is_a_url_or_a_service() -> None:
    assert Prometheus.of(Options()) is None  # type: ignore[arg-type]
    assert Prometheus.of(Options("http://p")) == Prometheus(url="http://p")  # type: ignore[arg-type]
    found = Prometheus.of(Options(None, "monitoring/prometheus:9090"))  # type: ignore[arg-type]
    assert found == Prometheus(service=("monitoring", "prometheus:9090"))
    for wrong in ("prometheus", "a/b", "a/b:", "/b:1", "a/b:1/c"):
        with pytest.raises(InputError):
            Prometheus.of(Options(None, wrong))  # type: ignore[arg-type]
