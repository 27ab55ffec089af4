"""`accord report` reads what is in a real API server, with the rights of its user, and changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.rig import Api, Namespace

from accord.cli import main
from accord.cli.exits import Exit

MERGE = "application/merge-patch+json"


def lease(namespace: Namespace, name: str, watched: str, renewed: datetime) -> None:
    namespace.api.call("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{namespace.name}/leases/{name}")
    namespace.create(
        "coordination.k8s.io/v1/leases",
        {
            "metadata": {
                "name": name,
                "annotations": {"accord.dev/standby-key": "k", "accord.dev/namespaces": watched},
            },
            "spec": {"renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")},
        },
    )


def test_a_report_of_live_objects(
    api: Api, namespace: Namespace, control_plane: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["-n", namespace.name, "--kubeconfig", str(control_plane.kubeconfig)]

    def report(*more: str) -> tuple[int, dict[str, Any]]:
        code = main(["report", *where, "-o", "json", *more])
        found = json.loads(capsys.readouterr().out)["lines"]
        return code, {line["check"]: line for line in found}

    assert main(["report", *where]) == Exit.FINDINGS
    printed = capsys.readouterr()
    assert (printed.out, f"in namespace {namespace.name}" in printed.err) == ("", True)

    namespace.policy("p", {"fast": 60, "slow": 40})
    lease(namespace, "ours", namespace.name, datetime.now(UTC))
    code, found = report()
    assert (code, {line["result"] for line in found.values()}) == (Exit.OK, {"unknown"})

    live = namespace.get("trafficpolicies", "p")
    now = live["metadata"]["creationTimestamp"]
    within = {
        "type": "WithinTarget",
        "status": "True",
        "reason": "WithinTarget",
        "message": "",
        "lastTransitionTime": now,
    }
    modes = [
        {"name": "fast", "target": 60, "effective": 60, "actual": 61.0, "readyPods": 1, "alert": False},
        {"name": "slow", "target": 40, "effective": 40, "actual": 39.0, "readyPods": 1, "alert": False},
    ]
    status = {"observedGeneration": live["metadata"]["generation"], "conditions": [within], "modes": modes}
    api.call("PATCH", namespace.path("trafficpolicies", "p") + "/status", {"status": status}, MERGE)
    before = namespace.get("trafficpolicies", "p")
    code, found = report("--html", str(tmp_path / "page.html"))
    assert (code, found["share of fast"]["result"], found["share of fast"]["figure"]) == (Exit.OK, "pass", "61.0 %")
    assert "61.0 %" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert report("--strict")[0] == Exit.FINDINGS
    assert report("--share-within", "0.5", "--share-limit", "0.5")[0] == Exit.FINDINGS
    assert namespace.get("trafficpolicies", "p") == before

    # What an operator that is gone has written says nothing of now, whoever else is at work in the cluster.
    lease(namespace, "theirs", "elsewhere", datetime.now(UTC))
    lease(namespace, "ours", namespace.name, datetime.now(UTC) - timedelta(hours=1))
    _, found = report()
    assert (found["share of fast"]["result"], "has not been running" in found["share of fast"]["note"]) == (
        "unknown",
        True,
    )
