"""`kubectl accord status` on a real API server, with the rights of its user and no more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.rig import ROOT, Api, Namespace

from accord.cli.exits import Exit
from devcluster import programs

READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "m",
    "lastTransitionTime": "2026-05-01T12:00:00Z",
}
TEMPLATE = {"spec": {"containers": [{"name": "trainer", "image": "t"}]}}
MODES = [{"name": "only", "weight": 100, "deploymentRef": {"name": "web"}, "port": 80}]
POLICY = {"trainingRunRef": {"name": "ppo"}, "serving": {"deploymentRef": {"name": "web"}, "volume": "policy"}}


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """A folder for the PATH with kubectl and the plugin."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").symlink_to(programs.path("kubectl"))
    script = folder / "kubectl-accord"
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom accord.cli import entry\nsys.exit(entry())\n")
    script.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def create(namespace: Namespace, plural: str, kind: str, name: str, spec: dict[str, Any], **status: Any) -> None:
    """An object whose status the operator would have written."""
    of_kind = {"apiVersion": "accord.dev/v1alpha1", "kind": kind}
    namespace.create(plural, {**of_kind, "metadata": {"name": name}, "spec": spec})
    told = {"status": {"observedGeneration": 1, "conditions": [READY], **status}}
    path = namespace.path(plural, name) + "/status"
    namespace.api.call("PATCH", path, told, "application/merge-patch+json")


def test_a_tree_of_what_the_user_may_list(
    api: Api, namespace: Namespace, control_plane: Any, plugin: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load(Path(control_plane.kubeconfig).read_text())
    config["contexts"][0]["context"]["namespace"] = namespace.name
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))

    def status(*arguments: str, kubeconfig: Path = file) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{plugin}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "operator"),
            "PYTHONUTF8": "1",
            "KUBECONFIG": str(kubeconfig),
        }
        command = ["kubectl", "accord", "status", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    nothing = status()
    assert (nothing.returncode, nothing.stdout) == (Exit.OK, "")
    assert nothing.stderr.startswith("kubectl accord status: no TrafficPolicy, TrainingRun or CheckpointPolicy in ")

    create(namespace, "trainingruns", "TrainingRun", "ppo", {"template": TEMPLATE}, attempt=1, step=500)
    create(namespace, "checkpointpolicies", "CheckpointPolicy", "ppo", POLICY, serving={"step": 500})
    ready = status()
    assert (ready.returncode, ready.stderr) == (Exit.OK, "")
    assert "\x1b" not in ready.stdout
    lines = ready.stdout.splitlines()
    assert lines[0] == f"TrainingRun {namespace.name}/ppo  Ready  m"
    assert f"└── CheckpointPolicy {namespace.name}/ppo  Ready  m" in lines

    kind = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrafficPolicy"}
    namespace.create("trafficpolicies", {**kind, "metadata": {"name": "web"}, "spec": {"modes": MODES}})
    assert status().returncode == Exit.FINDINGS
    assert status("tr/ppo").returncode == Exit.OK
    found = json.loads(status("trafficpolicy.accord.dev/web", "-o", "json").stdout)
    entry = found["objects"][0]
    assert (found["ready"], entry["name"], entry["state"], entry["reason"]) == (False, "web", "Unknown", "NotObserved")
    everywhere = yaml.safe_load(status("-A", "-o", "yaml").stdout)["objects"]
    assert (namespace.name, "web") in {(each["namespace"], each["name"]) for each in everywhere}
    absent = status("tp/absent")
    assert absent.returncode == Exit.FAILED
    assert absent.stderr == (f"kubectl accord status: TrafficPolicy absent not found in namespace {namespace.name}\n")

    # Somebody who may list nothing but runs sees those, and is told of the rest.
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"}}
    rules = [{"apiGroups": ["accord.dev"], "resources": ["trainingruns"], "verbs": ["list"]}]
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace.name}"
    api.call("POST", f"{base}/roles", {**role, "rules": rules})
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace.name}],
    }
    api.call("POST", f"{base}/rolebindings", binding)
    accounts = f"/api/v1/namespaces/{namespace.name}/serviceaccounts"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
    api.call("POST", accounts, account)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.call("POST", f"{accounts}/reader/token", asked)["status"]["token"]
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    reader = tmp_path / "reader"
    reader.write_text(yaml.safe_dump(config))
    part = status(kubeconfig=reader)
    assert part.returncode == Exit.FAILED
    assert part.stdout.startswith(f"TrainingRun {namespace.name}/ppo  Ready")
    assert [line.split(":")[1].strip() for line in part.stderr.splitlines()] == [
        "cannot list TrafficPolicy",
        "cannot list CheckpointPolicy",
    ]
    refused = status("tp", kubeconfig=reader)
    assert (refused.returncode, refused.stdout) == (Exit.FAILED, "")
    assert "403 Forbidden" in refused.stderr
