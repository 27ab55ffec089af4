"""`accord dashboard` as a process, and the world that it looks at."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from tests.apiserver.rig import ROOT, Namespace
from tests.page.story import Night
from tests.prometheus.rig import Request, answer, serving
from tools.programs import debian_program

PLURALS = {"TrafficPolicy": "trafficpolicies", "TrainingRun": "trainingruns", "CheckpointPolicy": "checkpointpolicies"}
MERGE = "application/merge-patch+json"


def put(namespace: Namespace, night: Night, *, waiting: bool = True) -> None:
    """The objects of the story into a namespace, with the statuses that an operator would have written."""
    for kind, manifest in night.objects(waiting=waiting).items():
        body = {"apiVersion": manifest["apiVersion"], "kind": kind, "metadata": {"name": manifest["metadata"]["name"]}}
        plural = PLURALS[kind]
        namespace.create(plural, {**body, "spec": manifest["spec"]})
        path = namespace.path(plural, manifest["metadata"]["name"]) + "/status"
        namespace.api.call("PATCH", path, {"status": manifest["status"]}, MERGE)


def remember(night: Night, directory: Path) -> None:
    """The series of the story into the data of a Prometheus that is not started yet."""
    directory.mkdir(parents=True, exist_ok=True)
    text = directory / "story.om"
    text.write_text("\n".join(night.series()) + "\n")
    promtool = debian_program("promtool", "prometheus")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(directory / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    text.unlink()


class Front:
    """Stands before the real API server: its objects are as old as the story, whatever their time of creation, and the
    page can lose it while other tests do not.
    """

    def __init__(self, namespace: Namespace, night: Night, directory: Path) -> None:
        self._api, self._created, self.is_lost = namespace.api, night.stamp(-200), False
        self.kubeconfig = directory / "front.yaml"

    def handle(self, request: Request) -> None:
        """Pass on one request."""
        if self.is_lost:
            request.close_connection = True
            return
        body = request.body.encode() or None  # type: ignore[attr-defined]
        kind = request.headers.get("Content-Type") or "application/json"
        found = self._api.session.request(
            request.command, self._api.server + request.path, data=body, headers={"Content-Type": kind}, timeout=120
        )
        text = re.sub(r'"creationTimestamp":"[^"]*"', f'"creationTimestamp":"{self._created}"', found.text)
        answer(request, text, found.status_code)

    def named(self, url: str) -> Front:
        """Write its kubeconfig."""
        cluster = {"name": "shop", "cluster": {"server": url}}
        context = {"name": "shop", "context": {"cluster": "shop", "user": "me"}}
        parts = {"clusters": [cluster], "contexts": [context], "users": [{"name": "me", "user": {}}]}
        self.kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "current-context": "shop", **parts}))
        return self


@contextmanager
def front(namespace: Namespace, night: Night, directory: Path) -> Iterator[Front]:
    """A front until the end of the `with`."""
    made = Front(namespace, night, directory)
    with serving(made.handle) as url:
        yield made.named(url)


class Dashboard:
    """The running command."""

    def __init__(self, kubeconfig: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "accord", "dashboard", "--kubeconfig", str(kubeconfig), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}/operator", "PYTHONUTF8": "1"},
            # Whoever runs the tests may ignore it; the command must not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#(\S+)", first)
        if found is None:
            rest = self._process.communicate(timeout=120)[0]
            raise AssertionError(f"accord dashboard: {first}{rest}")
        self.url, self.port, self.token = found[0], int(found[1]), found[2]

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.communicate(timeout=120)
        return self._process.returncode


@contextmanager
def dashboard(kubeconfig: Path, namespace: Namespace, *arguments: str) -> Iterator[Dashboard]:
    """The command, looking at one namespace, until the end of the `with`."""
    started = Dashboard(kubeconfig, "-n", namespace.name, *arguments)
    try:
        yield started
    finally:
        started.stop()
