"""Kueue as a process beside a control plane, its queues, and a played kubelet."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml
from devcluster.controlplane import ControlPlane
from devcluster.progress import Progress
from tests.apiserver.rig import Api, Namespace, wait_until
from tests.apiserver.test_operator_training import JOBS, RUNS, set_status
from tests.ports import free_port

from devcluster import gosource, programs, tied

SYSTEM = "kueue-system"
API = "/apis/kueue.x-k8s.io/v1beta2"
WORKLOADS, QUEUES = "kueue.x-k8s.io/v1beta2/workloads", "kueue.x-k8s.io/v1beta2/localqueues"
SERVICE, SECRET = "kueue-webhook-service", "kueue-webhook-server-cert"
CONVERTED = ("localqueues", "clusterqueues", "workloads", "cohorts", "multikueueclusters")
"""Kinds with two versions."""
OTHERS = ("apps", "ray", "kubeflow", "jobset", "leaderworkerset", "codeflare", "sparkoperator", "v1-pod", "trainer")
"""Words in the paths of webhooks of frameworks that are not used here."""


class Kueue:
    """One process of Kueue, from `start` to `stop`."""

    def __init__(self, plane: ControlPlane, api: Api, directory: Path) -> None:
        self._plane, self._api, self._directory = plane, api, directory
        self._port, self._health = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Everything in the cluster that it needs, once."""
        source = gosource.folder("kueue", "sigs.k8s.io/kueue") / "config" / "components"
        self._plane.kubectl("apply", "--server-side", "-f", str(source / "crd" / "bases"))
        self._api.create("/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        there = f"/api/v1/namespaces/{SYSTEM}"
        self._api.create(f"{there}/secrets", {"metadata": {"name": SECRET}})
        # The API server's way to a Service of this type is its name; so it needs no network of a cluster.
        spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": self._port}]}
        self._api.create(f"{there}/services", {"metadata": {"name": SERVICE}, "spec": spec})
        for plural in CONVERTED:
            hook = {"clientConfig": self._where("/convert"), "conversionReviewVersions": ["v1"]}
            self._api.patch(
                f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.kueue.x-k8s.io",
                {"spec": {"conversion": {"strategy": "Webhook", "webhook": hook}}},
            )
        for found in yaml.safe_load_all((source / "webhook" / "manifests.yaml").read_text()):
            found["metadata"]["name"] = f"kueue-{found['metadata']['name']}"
            hooks = found["webhooks"]
            paths = [hook["clientConfig"]["service"]["path"] for hook in hooks]
            found["webhooks"] = [
                {**hook, "clientConfig": self._where(path)}
                for hook, path in zip(hooks, paths, strict=True)
                if not any(word in path for word in OTHERS)
            ]
            plural = found["kind"].lower() + "s"
            self._api.create(f"/apis/admissionregistration.k8s.io/v1/{plural}", found)

    def _where(self, path: str) -> dict[str, Any]:
        return {"service": {"namespace": SYSTEM, "name": SERVICE, "path": path, "port": self._port}}

    def start(self) -> None:
        """Until it answers that it is ready, and its webhooks do."""
        config = {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            "namespace": SYSTEM,
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self._health}"},
            "metrics": {"bindAddress": "0"},
            "webhook": {"host": "127.0.0.1", "port": self._port, "certDir": str(self._certificates)},
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": True, "webhookServiceName": SERVICE, "webhookSecretName": SECRET},
            "integrations": {"frameworks": ["batch/job"]},
        }
        file = self._directory / "kueue.yaml"
        file.write_text(yaml.safe_dump(config))
        programs.ensure(["kueue"], Progress())
        self._process = tied.start(
            [programs.path("kueue"), f"--config={file}", "--feature-gates=VisibilityOnDemand=false"],
            self.log_file,
            cwd=self._directory,
            env={**os.environ, "KUBECONFIG": str(self._plane.kubeconfig)},
        )
        wait_until(self._mounted, 60, f"Kueue makes no certificates: {self.log()[-2000:]}")
        wait_until(self._works, 90, f"Kueue does not work: {self.log()[-2000:]}")

    @property
    def log_file(self) -> Path:
        return self._directory / "kueue.log"

    @property
    def _certificates(self) -> Path:
        return self._directory / "certificates"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def _mounted(self) -> bool:
        """The Secret, as files where Kueue looks for them: what kubelet does in a cluster."""
        assert self._process is not None
        assert self._process.poll() is None, self.log()[-3000:]
        data = self._api.get(f"/api/v1/namespaces/{SYSTEM}/secrets/{SECRET}").get("data") or {}
        if "tls.crt" not in data:
            return False
        self._certificates.mkdir(exist_ok=True)
        for name in ("tls.key", "ca.crt", "tls.crt"):
            (self._certificates / name).write_bytes(base64.b64decode(data[name]))
        return True

    def _works(self) -> bool:
        """A kind that passes through a webhook is taken."""
        assert self._process is not None
        assert self._process.poll() is None, self.log()[-3000:]
        try:
            self._api.call("POST", f"{API}/resourceflavors", {**_object("ResourceFlavor", "probe", {})}, dryRun="All")
        except AssertionError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _object(kind: str, name: str, spec: Any) -> dict[str, Any]:
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec}


def cluster_queue(namespace: Namespace, cpu: str) -> str:
    """A ClusterQueue for this namespace alone, with so many cores; of its name."""
    api, name = namespace.api, namespace.name
    api.create(f"{API}/resourceflavors", _object("ResourceFlavor", name, {}))
    flavor = {"name": name, "resources": [{"name": "cpu", "nominalQuota": cpu}]}
    spec = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [flavor]}],
    }
    api.create(f"{API}/clusterqueues", _object("ClusterQueue", name, spec))
    return name


def local_queue(namespace: Namespace, name: str = "main", **spec: Any) -> None:
    """A LocalQueue, once Kueue knows of it."""
    namespace.create(QUEUES, _object("LocalQueue", name, {"clusterQueue": namespace.name, **spec}))
    wait_until(
        lambda: (namespace.get(QUEUES, name).get("status") or {}).get("conditions"), 30, f"Kueue does not see {name}"
    )


def priority_class(namespace: Namespace, name: str, value: int) -> str:
    """A WorkloadPriorityClass, which belongs to no namespace; its name."""
    found = f"{namespace.name}-{name}"
    body = {**_object("WorkloadPriorityClass", found, {}), "value": value}
    del body["spec"]
    namespace.api.create(f"{API}/workloadpriorityclasses", body)
    return found


def train(namespace: Namespace, name: str, cpu: str = "1", **spec: Any) -> None:
    container = {"name": "trainer", "image": "example/trainer:1", "resources": {"requests": {"cpu": cpu}}}
    template = {"spec": {"containers": [container]}}
    body = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": name}}
    namespace.create(RUNS, {**body, "spec": {"template": template, "ttlAfterGivenUp": "0s", **spec}})


def until(namespace: Namespace, name: str, reason: str, words: str = "", seconds: float = 30) -> dict[str, Any]:
    """Until `Ready` of a run has this reason and these words; its status."""

    def answer() -> bool:
        told = namespace.condition(name, "Ready", RUNS)
        return told.get("reason") == reason and words in told.get("message", "")

    try:
        wait_until(answer, seconds, "")
    except AssertionError:
        told, found = namespace.condition(name, "Ready", RUNS), workload(namespace, f"{name}-1")
        raise AssertionError(f"{name} is {told}, not {reason} {words}; its Workload: {found}") from None
    return dict(namespace.get(RUNS, name)["status"])


def workload(namespace: Namespace, job: str) -> Any:
    """The Workload that Kueue made for a Job; None where there is none."""
    for found in namespace.api.items(namespace.path(WORKLOADS)):
        if any(owner["name"] == job for owner in found["metadata"].get("ownerReferences") or ()):
            return found
    return None


def pods(namespace: Namespace, name: str) -> list[Any]:
    return namespace.api.items(namespace.path("pods"), f"accord.dev/training-run={name}")


def runs(namespace: Namespace, name: str) -> Any:
    """Kubelet starts the pod of a run, once there is one; on a node, so that it takes its time to end."""

    def found() -> Any:
        return next((pod for pod in pods(namespace, name) if "deletionTimestamp" not in pod["metadata"]), None)

    pod = wait_until(found, 30, f"{name} has no pod: {namespace.condition(name, 'Ready', RUNS)}")
    where = namespace.path("pods", pod["metadata"]["name"])
    target = {"apiVersion": "v1", "kind": "Node", "name": "n-1"}
    namespace.api.create(f"{where}/binding", {"metadata": {"name": pod["metadata"]["name"]}, "target": target})
    set_status(namespace, pod, phase="Running")
    until(namespace, name, "Running")
    return pod


def ended(namespace: Namespace, name: str) -> None:
    """Pods of a run that were told to go are gone."""

    def gone() -> bool:
        told = [pod for pod in pods(namespace, name) if pod["metadata"].get("deletionTimestamp")]
        for pod in told:
            where = namespace.path("pods", pod["metadata"]["name"])
            state = {"terminated": {"exitCode": 143, "reason": "Error"}}
            container = {"name": "trainer", "image": "x", "imageID": "x", "ready": False, "restartCount": 0}
            set_status(namespace, pod, phase="Failed", containerStatuses=[{**container, "state": state}])
            namespace.api.call("DELETE", where, {"gracePeriodSeconds": 0})
        return bool(told) and not [p for p in pods(namespace, name) if p["metadata"].get("deletionTimestamp")]

    wait_until(gone, 30, f"no pod of {name} was told to end")


def hands(namespace: Namespace, since: str, job: str) -> list[tuple[bool, str]]:
    """How `spec.suspend` of a Job has changed since a resourceVersion, and who has set it each time."""
    found: list[tuple[bool, str]] = []
    for _, live in namespace.api.events(namespace.path(JOBS), since, seconds=2):
        if live["metadata"]["name"] != job:
            continue
        owners = {
            entry["manager"]
            for entry in live["metadata"].get("managedFields") or ()
            if "f:suspend" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        }
        (owner,) = owners
        step = (bool(live["spec"].get("suspend")), owner)
        if not found or found[-1] != step:
            found.append(step)
    return found
