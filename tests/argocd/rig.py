"""Argo CD as processes beside a control plane.

Its repo-server, application-controller and API server are one program, which is told by its name what to be. Redis is
Debian's. No Dex and no page: nobody signs in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import yaml
from devcluster.controlplane import ControlPlane
from devcluster.progress import Progress
from tests.apiserver.rig import Api, Namespace, wait_until
from tests.gitops.processes import Processes
from tests.gitops.repository import Repository
from tests.ports import free_port
from tools.programs import ROOT, debian_program

from devcluster import gosource, programs

SYSTEM = "argocd"
APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{SYSTEM}/applications"
IN_CLUSTER = "https://kubernetes.default.svc"
CUSTOMIZATIONS = ROOT / "manifests" / "argocd" / "argocd-cm.yaml"


class ArgoCD:
    """At work from `start` until its `processes` stop, for all Applications of a control plane."""

    def __init__(self, plane: ControlPlane, api: Api, directory: Path) -> None:
        self._plane, self._api, self._directory = plane, api, directory
        self._redis, self._repo, self._server = free_port(), free_port(), free_port()
        self.processes = Processes(directory)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Content-Type"] = "application/json"

    def install(self) -> None:
        """Its kinds and its configuration, with our health checks and actions, as the how-to has them copied."""
        source = gosource.folder("argocd", "github.com/argoproj/argo-cd/v3") / "manifests"
        kubectl = self._plane.kubectl
        kubectl("apply", "--server-side", *_files(source / "crds", "*-crd.yaml"))
        kubectl("wait", "--for=condition=Established", "--timeout=120s", "crd", "applications.argoproj.io")
        self._api.create("/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        kubectl("apply", "--namespace", SYSTEM, *_files(source / "base" / "config", "argocd-*.yaml"))
        there = f"/api/v1/namespaces/{SYSTEM}"
        ours = yaml.safe_load(CUSTOMIZATIONS.read_text())["data"]
        self._api.patch(f"{there}/configmaps/argocd-cm", {"data": ours})
        self._api.patch(f"{there}/secrets/argocd-secret", {"stringData": {"server.secretkey": "for tests alone"}})
        everything = [{"group": "*", "kind": "*"}]
        project = {
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": everything,
        }
        body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"}}
        self._api.create(f"/apis/argoproj.io/v1alpha1/namespaces/{SYSTEM}/appprojects", {**body, "spec": project})

    def start(self) -> None:
        """Until its API server answers."""
        programs.ensure(["argocd", "helm"], Progress())
        redis = debian_program("redis-server", "redis-server")
        self._spawn(
            "redis", redis, "--bind", "127.0.0.1", "--port", str(self._redis), "--save", "", "--appendonly", "no"
        )
        there = ["--redis", f"127.0.0.1:{self._redis}"]
        kubeconfig = ["--kubeconfig", str(self._plane.kubeconfig), "--namespace", SYSTEM]
        repo = ["--repo-server", f"127.0.0.1:{self._repo}", "--repo-server-plaintext"]
        here = ["--address", "127.0.0.1"]
        metrics = lambda: ["--metrics-port", str(free_port())]  # noqa: E731
        self._component(
            "repo-server", *there, *here, "--port", str(self._repo), "--metrics-address", "127.0.0.1", *metrics(),
            "--disable-tls",
        )  # fmt: skip
        self._component("application-controller", *there, *kubeconfig, *repo, *metrics())
        self._component(
            "server", *there, *kubeconfig, *repo, *here, "--port", str(self._server), *metrics(), "--insecure",
            "--disable-auth",
        )  # fmt: skip
        wait_until(self._answers, 120, f"Argo CD's server does not answer: {self.processes.log('server')[-2000:]}")

    def _component(self, name: str, *arguments: str) -> None:
        self._spawn(name, str(programs.path("argocd")), *arguments, called=f"argocd-{name}")

    def _spawn(self, name: str, program: str, *arguments: str, called: str = "") -> None:
        folder = self._directory / name
        environment = {
            **os.environ,
            "PATH": f"{programs.path('helm').parent}:{os.environ['PATH']}",
            "KUBECONFIG": str(self._plane.kubeconfig),
            "ARGOCD_BINARY_NAME": called,
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_CONTROLLER_REPLICAS": "1",
            # How often it looks at Git by itself: by default every three minutes.
            "ARGOCD_RECONCILIATION_TIMEOUT": "10s",
            "ARGOCD_RECONCILIATION_JITTER": "0s",
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_GNUPGHOME": str(folder),
            "ARGOCD_GPG_DATA_PATH": str(folder),
            "ARGOCD_TLS_DATA_PATH": str(folder),
            "ARGOCD_SSH_DATA_PATH": str(folder),
            "ARGOCD_PLUGINSOCKFILEPATH": str(folder),
            "ARGOCD_ASK_PASS_SOCK": str(folder / "ask-pass.sock"),
        }
        self.processes.start(name, [program, *arguments], environment)

    def _answers(self) -> bool:
        self.processes.alive()
        try:
            return self._session.get(f"http://127.0.0.1:{self._server}/healthz", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    def knows(self, name: str) -> bool:
        """Whether its API server has seen this Application: until then it refuses to speak of it."""
        there = f"http://127.0.0.1:{self._server}/api/v1/applications/{name}"
        return self._session.get(there, timeout=60).status_code == 200

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The answer of its API server, as `argocd` gets it. AssertionError for every refusal."""
        answer = self._session.request(
            method, f"http://127.0.0.1:{self._server}/api/v1/applications{path}", json=body, params=query, timeout=300
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
        return answer.json()

    def forget(self, name: str) -> None:
        """An Application, where it is there; what it has brought stays."""
        if self._api.patch(f"{APPLICATIONS}/{name}", {"metadata": {"finalizers": None}}):
            self._api.delete(f"{APPLICATIONS}/{name}")


def _files(folder: Path, pattern: str) -> list[str]:
    """As kubectl is told of them."""
    return [f"--filename={file}" for file in sorted(folder.glob(pattern))]


class Application:
    """One of Argo CD's, created where it is not there."""

    def __init__(self, argocd: ArgoCD, api: Api, body: dict[str, Any]) -> None:
        self._argocd, self._api = argocd, api
        self.name: str = body["metadata"]["name"]
        if self.live is None:
            api.create(APPLICATIONS, body)
        self.until(lambda: argocd.knows(self.name), "its API server does not know of it")

    @property
    def live(self) -> Any:
        return self._api.get(f"{APPLICATIONS}/{self.name}")

    @property
    def state(self) -> tuple[str, str]:
        """Sync and health."""
        status = (self.live or {}).get("status") or {}
        return status.get("sync", {}).get("status", ""), status.get("health", {}).get("status", "")

    @property
    def told(self) -> str:
        """What it says of its last sync, or of the one under way."""
        operation = self.live.get("status", {}).get("operationState") or {}
        return str(operation.get("message", ""))

    @property
    def revision(self) -> str:
        """The commit that was synced last, once that is over."""
        operation = self.live.get("status", {}).get("operationState") or {}
        if operation.get("phase") != "Succeeded":
            return ""
        return str((operation.get("syncResult") or {}).get("revision", ""))

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
        """The first true answer; AssertionError with what Argo CD says of it, and where it has ended."""

        def asked() -> Any:
            self._argocd.processes.alive()
            answer = condition()
            if not answer:
                time.sleep(0.2)
            return answer

        try:
            return wait_until(asked, seconds, what)
        except AssertionError as error:
            status = (self.live or {}).get("status") or {}
            told = {key: status.get(key) for key in ("sync", "health", "conditions", "operationState", "resources")}
            raise AssertionError(f"{error}; the Application: {str(told)[:6000]}") from None

    def until_state(self, sync: str, health: str, seconds: float = 120) -> None:
        self.until(lambda: self.state == (sync, health), f"{self.name} is not {sync} and {health}", seconds)

    def health(self, kind: str) -> dict[str, str]:
        """Status and message of its only resource of this kind, as the page shows them; {} before it is looked at."""
        nodes = self._argocd.ask("GET", f"/{self.name}/resource-tree").get("nodes") or ()
        return next((dict(node.get("health") or {}) for node in nodes if node["kind"] == kind), {})

    def refresh(self, *, hard: bool = False) -> None:
        """Compare with Git now; `hard` forgets what was made of Git before. Returns when that is done."""
        self._argocd.ask("GET", f"/{self.name}", refresh="hard" if hard else "normal")

    def sync(self, *, prune: bool = True) -> None:
        """As by `argocd app sync`; returns when that is over and went well."""
        self.until(self._rests, f"{self.name} does not come to rest")
        before = (self.live["status"].get("operationState") or {}).get("startedAt")
        options = (self.live["spec"].get("syncPolicy") or {}).get("syncOptions") or []
        self._argocd.ask("POST", f"/{self.name}/sync", {"prune": prune, "syncOptions": {"items": options}})

        def over() -> bool:
            return self._rests() and self.live["status"]["operationState"]["startedAt"] != before

        self.until(over, f"the sync of {self.name} does not end")

    def _rests(self) -> bool:
        """The last sync went well, and none is under way or asked for."""
        live = self.live
        return "operation" not in live and live["status"]["operationState"]["phase"] == "Succeeded"

    def act(self, namespace: Namespace, kind: str, name: str, action: str, **parameters: str) -> None:
        """As by `argocd app actions run`."""
        self._argocd.ask(
            "POST",
            f"/{self.name}/resource/actions/v2",
            {
                "namespace": namespace.name,
                "resourceName": name,
                "group": "accord.dev",
                "version": "v1alpha1",
                "kind": kind,
                "action": action,
                "resourceActionParameters": [{"name": n, "value": value} for n, value in parameters.items()],
            },
        )

    def delete(self) -> None:
        """With all that it has brought, in the foreground; returns when it is gone."""
        self._argocd.ask("DELETE", f"/{self.name}", cascade="true")
        self.until(lambda: self.live is None, f"{self.name} does not go")


def application(name: str, repository: Repository, path: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """With self-heal and pruning on; `syncOptions` and other fields of its spec as given."""
    options = spec.pop("syncOptions", [])
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {
            "project": "default",
            "source": {"repoURL": repository.url, "targetRevision": "main", "path": path},
            "destination": {"server": IN_CLUSTER, "namespace": namespace},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "syncOptions": options},
            **spec,
        },
    }
