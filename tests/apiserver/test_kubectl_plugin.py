"""`kubectl accord` is `accord`, and both find cluster and namespace where kubectl itself finds them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.rig import ROOT, Api, Namespace
from tests.ports import free_port

from accord.cli import main
from accord.cli.exits import Exit
from devcluster import programs

KUBECTL = str(programs.path("kubectl"))
ROLLBACK = {
    "id": "7",
    "phase": "AwaitingApproval",
    "toStep": 1500,
    "signal": "RewardDrop",
    "startedAt": "2026-05-01T12:00:00Z",
    "message": "the reward fell",
}


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """A folder for the PATH with kubectl and the plugin, which is what `pip install` makes of the entry point."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").symlink_to(KUBECTL)
    script = folder / "kubectl-accord"
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom accord.cli import entry\nsys.exit(entry())\n")
    script.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run(*command: object, **env: object) -> subprocess.CompletedProcess[str]:
    """Without what the machine's own environment says of clusters."""
    path = f"{env.pop('PATH', '')}:{os.environ['PATH']}"
    whole = {"PATH": path, "PYTHONPATH": str(ROOT / "operator"), **{name: str(value) for name, value in env.items()}}
    return subprocess.run(list(map(str, command)), env=whole, capture_output=True, text=True, check=False, timeout=60)


def policy(namespace: Namespace, name: str, rollback: dict[str, Any] | None = None) -> None:
    spec = {"source": {"claimName": "c", "selector": {"app": "x"}}}
    kind = {"apiVersion": "accord.dev/v1alpha1", "kind": "CheckpointPolicy"}
    namespace.create("checkpointpolicies", {**kind, "metadata": {"name": name}, "spec": spec})
    if rollback is not None:
        path = namespace.path("checkpointpolicies", name) + "/status"
        namespace.api.call("PATCH", path, {"status": {"rollback": rollback}}, "application/merge-patch+json")


def test_the_plugin_lists_and_approves_where_the_context_says(
    api: Api, namespace: Namespace, control_plane: Any, plugin: Path, tmp_path: Path
) -> None:
    policy(namespace, "waits", ROLLBACK)
    policy(namespace, "rests")
    config = yaml.safe_load(Path(control_plane.kubeconfig).read_text())
    config["contexts"][0]["context"]["namespace"] = namespace.name
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))

    def accord(*arguments: object) -> subprocess.CompletedProcess[str]:
        return run("kubectl", "accord", *arguments, PATH=plugin, KUBECONFIG=file)

    listed = accord("approve", "--list", "-o", "json")
    entry = {"namespace": namespace.name, "name": "waits", "rollback": "7", "toStep": 1500, "reason": "the reward fell"}
    assert (listed.returncode, json.loads(listed.stdout)) == (Exit.OK, {"rollbacks": [entry]})
    assert entry in json.loads(accord("approve", "--list", "-A", "-o", "json").stdout)["rollbacks"]
    table = [line.split() for line in accord("approve", "--list").stdout.splitlines()]
    assert table[0][:3] == ["NAMESPACE", "NAME", "ROLLBACK"]
    assert [row[:4] for row in table[1:]] == [[namespace.name, "waits", "7", "1500"]]
    elsewhere = accord("approve", "--list", "-n", "default")
    assert (elsewhere.returncode, elsewhere.stdout) == (Exit.OK, "")
    assert "no rollback is waiting for approval in namespace default" in elsewhere.stderr

    rehearsed = accord("approve", "waits", "--dry-run").stdout.splitlines()
    assert rehearsed[0].endswith("/waits: rollback 7 approved: rolling back to step 1500 (dry run)")
    assert "annotations" not in namespace.get("checkpointpolicies", "waits")["metadata"]
    done = accord("approve", "waits").stdout.splitlines()
    assert "approved: rolling back to step 1500" in done[0]
    patch = '{"metadata":{"annotations":{"accord.dev/approved-rollback":"7"}}}'
    assert done[1].strip() == f"kubectl patch cp waits -n {namespace.name} --type merge -p '{patch}'"
    annotations = namespace.get("checkpointpolicies", "waits")["metadata"]["annotations"]
    assert annotations == {"accord.dev/approved-rollback": "7"}
    rejected = accord("approve", "waits", "--reject", "-o", "json")
    assert json.loads(rejected.stdout)["metadata"]["annotations"]["accord.dev/rejected-rollback"] == "7"

    nothing = accord("approve", "rests")
    assert (nothing.returncode, nothing.stdout) == (Exit.FINDINGS, "")
    assert nothing.stderr == "kubectl accord approve: no rollback of rests is in progress\n"
    absent = accord("approve", "absent")
    assert (absent.returncode, "not found" in absent.stderr) == (Exit.FAILED, True)


def test_a_server_that_is_not_there_is_a_failure(plugin: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "config", {"a": f"http://127.0.0.1:{free_port()}"}, {"a": ("a", None)}, "a")
    done = run("kubectl", "accord", "approve", "p", PATH=plugin, KUBECONFIG=file)
    assert (done.returncode, done.stdout) == (Exit.FAILED, "")
    assert done.stderr.startswith("kubectl accord approve: ")


class Clusters:
    """Two that only remember who asked for which namespace."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self._servers = {name: self._serve(name) for name in ("a", "b")}
        self.urls = {name: f"http://127.0.0.1:{server.server_port}" for name, server in self._servers.items()}

    def _serve(self, name: str) -> ThreadingHTTPServer:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((name, self.path.partition("/namespaces/")[2].partition("/")[0]))
                body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}).encode()
                self.send_response(404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def forget(self) -> set[tuple[str, str]]:
        """Who asked since the last time."""
        asked = set(self.asked)
        self.asked.clear()
        return asked

    def close(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()


def write(
    path: Path, clusters: dict[str, str], contexts: Mapping[str, tuple[str, str | None]], current: str | None
) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}} for name, server in clusters.items()],
        "users": [{"name": "u", "user": {}}],
        "contexts": [
            {"name": name, "context": {"cluster": cluster, "user": "u", **({"namespace": ns} if ns else {})}}
            for name, (cluster, ns) in contexts.items()
        ],
        **({"current-context": current} if current is not None else {}),
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[Clusters]:
    """With kubeconfigs that contradict each other."""
    found = Clusters()
    a, b = {"a": found.urls["a"]}, {"b": found.urls["b"]}
    write(tmp_path / "one", {**a, **b}, {"dev": ("a", None), "prod": ("b", "shop")}, "dev")
    write(
        tmp_path / "two",
        {"a": found.urls["b"], "c": found.urls["a"]},
        {"dev": ("a", "other"), "zoo": ("c", "zoo")},
        "zoo",
    )
    write(tmp_path / "none-current", a, {"dev": ("a", "quiet")}, "")
    write(tmp_path / "home" / ".kube" / "config", b, {"h": ("b", "homely")}, "h")
    (tmp_path / "empty").touch()
    yield found
    found.close()


CASES: list[tuple[str | None, tuple[str, ...]]] = [
    ("one", ()),
    ("two", ()),
    ("one:two", ()),
    ("two:one", ()),
    ("none-current:two", ()),
    ("two:none-current", ("--context", "dev")),
    ("missing:one", ()),
    ("empty:two", ()),
    (":one::", ()),
    (None, ()),
    ("", ()),
    ("one", ("--kubeconfig", "{}/two")),
    ("missing", ("--kubeconfig", "{}/two")),
    ("one", ("--context", "prod")),
    ("one:two", ("--context", "zoo")),
    ("one:two", ("--context", "dev")),
    ("two:one", ("--context", "dev")),
    ("two:one", ("--context", "prod", "-n", "own")),
    ("one", ("--namespace=own",)),
    (None, ("-n", "own")),
]
UNUSABLE: list[tuple[str | None, tuple[str, ...]]] = [
    ("one", ("--kubeconfig", "{}/missing")),
    ("one", ("--context", "absent")),
    ("missing", ()),
    ("none-current", ()),
]


@pytest.mark.parametrize(("variable", "options"), [*CASES, *UNUSABLE])
def test_cluster_and_namespace_are_kubectls(
    variable: str | None,
    options: tuple[str, ...],
    clusters: Clusters,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = [option.replace("{}", str(tmp_path)) for option in options]
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if variable is not None:
        parts = [str(tmp_path / part) if part else "" for part in variable.split(":")]
        monkeypatch.setenv("KUBECONFIG", ":".join(parts))
    # It needs to know no kinds, so that it asks nothing else.
    done = subprocess.run([KUBECTL, "create", "token", "p", *given], capture_output=True, check=False, timeout=60)
    assert done.returncode != 0
    of_kubectl = clusters.forget()
    assert main(["approve", "p", *given]) in (Exit.INVALID, Exit.FAILED)
    assert clusters.forget() == of_kubectl
    assert len(of_kubectl) == (0 if (variable, options) in UNUSABLE else 1)
