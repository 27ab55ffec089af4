"""Flux's source-controller and kustomize-controller as processes beside a control plane, and a Git server for them."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from devcluster.controlplane import ControlPlane
from devcluster.progress import Progress
from tests.apiserver.rig import Api, wait_until
from tests.gitops.processes import Processes
from tests.gitops.repository import Repository
from tests.ports import free_port

from devcluster import gosource, programs

SYSTEM = "flux-system"
KUSTOMIZATIONS = f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{SYSTEM}/kustomizations"
SOURCES = f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{SYSTEM}/gitrepositories"
OFTEN = "5s"
"""How often it looks by itself."""


class GitServer:
    """What is below a folder, over HTTP, as Git's own `http-backend` answers. Flux takes no `file://`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        environment = {**os.environ, "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1"}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, body: bytes) -> None:
                path, _, query = self.path.partition("?")
                asked = {
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                }
                done = subprocess.run(
                    ["git", "http-backend"], input=body, capture_output=True, env={**environment, **asked}, check=False
                )
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
                self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, repository: Repository) -> str:
        """Where Flux finds this repository, which is below the folder."""
        place = repository.folder.relative_to(self._folder)
        return f"http://127.0.0.1:{self._server.server_address[1]}/{place}/.git"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Flux:
    """At work from `start` until its `processes` stop, for all of a control plane."""

    def __init__(self, plane: ControlPlane, api: Api, directory: Path) -> None:
        self._plane, self.api, self._directory = plane, api, directory
        self.processes = Processes(directory)

    def install(self) -> None:
        """Its kinds and its namespace."""
        for name in ("source", "kustomize"):
            source = gosource.folder(f"flux-{name}", f"github.com/fluxcd/{name}-controller")
            self._plane.kubectl("apply", "--server-side", f"--filename={source / 'config' / 'crd' / 'bases'}")
        kinds = ("gitrepositories.source.toolkit.fluxcd.io", "kustomizations.kustomize.toolkit.fluxcd.io")
        self._plane.kubectl("wait", "--for=condition=Established", "--timeout=120s", "crd", *kinds)
        self.api.create("/api/v1/namespaces", {"metadata": {"name": SYSTEM}})

    def start(self) -> None:
        """Until both are ready."""
        programs.ensure(programs.OF_FLUX, Progress())
        storage = free_port()
        self._component(
            "source-controller", f"--storage-path={self._directory}", f"--storage-addr=127.0.0.1:{storage}",
            f"--storage-adv-addr=127.0.0.1:{storage}",
        )  # fmt: skip
        self._component("kustomize-controller", "--requeue-dependency=1s")

    def _component(self, name: str, *arguments: str) -> None:
        environment = {**os.environ, "KUBECONFIG": str(self._plane.kubeconfig), "RUNTIME_NAMESPACE": SYSTEM}
        health = f"127.0.0.1:{free_port()}"
        common = ["--metrics-addr=127.0.0.1:0", f"--health-addr={health}", "--watch-all-namespaces=true"]
        self.processes.start(name, [programs.path(name), *common, *arguments], environment)

        def ready() -> bool:
            self.processes.alive()
            try:
                return requests.get(f"http://{health}/readyz", timeout=10).status_code == 200
            except requests.RequestException:
                return False

        wait_until(ready, 120, f"{name} is not ready")


class Kustomization:
    """One of Flux's with its GitRepository, created where they are not there."""

    def __init__(self, flux: Flux, body: dict[str, Any], url: str) -> None:
        self._flux, self._api = flux, flux.api
        self.name: str = body["metadata"]["name"]
        self._source: str = body["spec"]["sourceRef"]["name"]
        source = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": self._source},
            "spec": {"interval": OFTEN, "url": url, "ref": {"branch": "main"}},
        }
        body["spec"].update(interval=OFTEN, retryInterval=OFTEN)
        for collection, name, wanted in ((SOURCES, self._source, source), (KUSTOMIZATIONS, self.name, body)):
            if self._api.get(f"{collection}/{name}") is None:
                self._api.create(collection, wanted)

    @property
    def live(self) -> Any:
        return self._api.get(f"{KUSTOMIZATIONS}/{self.name}")

    @property
    def ready(self) -> tuple[str, str, str]:
        """Status, reason and message of `Ready`, of its present generation."""
        live = self.live
        told = (live.get("status") or {}).get("conditions") or ()
        found = next((each for each in told if each["type"] == "Ready"), {})
        if found.get("observedGeneration") != live["metadata"]["generation"]:
            return "", "", ""
        return found["status"], found["reason"], found["message"]

    @property
    def applied(self) -> str:
        """The commit that was applied last, with all of it healthy."""
        revision = str((self.live.get("status") or {}).get("lastAppliedRevision", ""))
        return revision.rpartition(":")[2]

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
        """The first true answer; AssertionError with what Flux says of it, and where it has ended."""

        def asked() -> Any:
            self._flux.processes.alive()
            return condition()

        try:
            return wait_until(asked, seconds, what)
        except AssertionError as error:
            source = self._api.get(f"{SOURCES}/{self._source}") or {}
            told = {"Kustomization": (self.live or {}).get("status"), "GitRepository": source.get("status")}
            raise AssertionError(f"{error}; {str(told)[:6000]}") from None

    def until_ready(self, seconds: float = 120) -> None:
        self.until(lambda: self.ready[0] == "True", f"{self.name} is not Ready", seconds)

    def until_applied(self, revision: str) -> None:
        self.until(lambda: self.applied == revision and self.ready[0] == "True", f"{revision} is not applied")

    def until_fetched(self, revision: str) -> None:
        """As by `flux reconcile source git`: what is applied next is of this commit."""

        def fetched() -> bool:
            status = self._api.get(f"{SOURCES}/{self._source}").get("status") or {}
            return str((status.get("artifact") or {}).get("revision", "")).endswith(f":{revision}")

        self.until(fetched, f"{revision} is not fetched")

    def suspend(self, *, yes: bool) -> None:
        """As by `flux suspend kustomization` and `flux resume kustomization`."""
        self._api.patch(f"{KUSTOMIZATIONS}/{self.name}", {"spec": {"suspend": yes}})

    def reconcile(self) -> None:
        """As by `flux reconcile kustomization --with-source`; returns when it is over and went well."""
        before = (self.live.get("status") or {}).get("lastHandledReconcileAt", "")
        asked = f"{len(before)}-{before[-20:]}"
        mark = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": asked}}}
        for path in (f"{SOURCES}/{self._source}", f"{KUSTOMIZATIONS}/{self.name}"):
            self._api.patch(path, mark)
        handled = lambda: (self.live.get("status") or {}).get("lastHandledReconcileAt") == asked  # noqa: E731
        self.until(lambda: handled() and self.ready[0] == "True", f"{self.name} is not reconciled")

    def delete(self) -> None:
        """With what it has brought and prunes; returns when it is gone."""
        self._api.delete(f"{KUSTOMIZATIONS}/{self.name}")
        self.until(lambda: self.live is None, f"{self.name} does not go")
        self._api.delete(f"{SOURCES}/{self._source}")
