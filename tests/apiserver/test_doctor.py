"""`accord doctor` on a real API server: what it reads, and what it may not read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.rig import Api, Namespace

from accord.cli import main
from accord.cli.exits import Exit

LABELS = {"app.kubernetes.io/name": "accord", "app.kubernetes.io/component": "operator"}


def test_what_is_wrong_with_an_installation(
    api: Api, namespace: Namespace, control_plane: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def doctor(*more: str) -> tuple[int, dict[str, Any]]:
        where = ["-n", namespace.name, "--kubeconfig", str(control_plane.kubeconfig)]
        code = main(["doctor", *where, "-o", "json", *more])
        return code, {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}

    config = {"namespaces": [namespace.name], "prometheus": {"endpoints": {"default": {"url": "http://p"}}}}
    namespace.create("configmaps", {"metadata": {"name": "c"}, "data": {"config.yaml": yaml.safe_dump(config)}})
    template = {
        "metadata": {"labels": LABELS},
        "spec": {
            "serviceAccountName": "op",
            "containers": [{"name": "operator", "image": "x"}],
            "volumes": [{"name": "config", "configMap": {"name": "c"}}],
        },
    }
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    namespace.create("apps/v1/deployments", {"metadata": {"name": "op", "labels": LABELS}, "spec": spec})
    namespace.policy("p", {"fast": 100}, monitoring={"endpoint": "far"})

    code, found = doctor("--prometheus", "http://127.0.0.1:1")
    assert code == Exit.FINDINGS
    for kind in ("trafficpolicies", "trainingruns", "checkpointpolicies"):
        assert found[f"CRD {kind}.accord.dev"]["result"] == "ok", found[f"CRD {kind}.accord.dev"]
    assert found[f"operator {namespace.name}/op"]["result"] == "failed"
    assert found["rights of the operator"]["result"] == "failed"
    assert f"in namespace {namespace.name}" in found["rights of the operator"]["seen"]
    assert found["Prometheus"]["result"] == "failed"
    assert "far (used by TrafficPolicy" in found["Prometheus endpoints"]["seen"]
    assert found["clocks"]["result"] == "ok"
    assert found["network policies"]["result"] == "ok"

    # With all rights that the chart grants; here, with more.
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subjects = [{"kind": "ServiceAccount", "name": "op", "namespace": namespace.name}]
    binding = {"metadata": {"name": "op"}, "roleRef": role, "subjects": subjects}
    namespace.create("rbac.authorization.k8s.io/v1/rolebindings", binding)
    assert doctor()[1]["rights of the operator"]["result"] == "ok"
    namespace.delete("apps/v1/deployments", "op")


def test_a_user_without_rights_learns_what_is_unknown(
    api: Api, namespace: Namespace, control_plane: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace.create("serviceaccounts", {"metadata": {"name": "nobody"}})
    token = api.create(namespace.path("serviceaccounts", "nobody") + "/token", {"spec": {}})["status"]["token"]
    config = yaml.safe_load(Path(control_plane.kubeconfig).read_text())
    config["users"][0]["user"] = {"token": token}
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))
    assert main(["doctor", "--kubeconfig", str(file), "-o", "json"]) == Exit.OK
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert found.pop("clocks")["result"] == "ok"
    assert {each["result"] for each in found.values()} == {"unknown"}
    assert "forbidden" in found["operator"]["seen"]
