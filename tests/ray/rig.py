"""KubeRay as a process beside a control plane; a played kubelet, and a played dashboard of Ray."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devcluster.progress import Progress
from tests.apiserver.rig import Api, Namespace, wait_until
from tests.apiserver.test_operator_training import RUNS, set_status
from tests.gateways.rig import own_address
from tests.ports import free_port

from devcluster import gosource, programs, tied

MODULE = "github.com/ray-project/kuberay/ray-operator"
GROUP = "/apis/ray.io/v1"
RAY_JOBS, RAY_CLUSTERS, JOBS = "ray.io/v1/rayjobs", "ray.io/v1/rayclusters", "batch/v1/jobs"
ENOUGH = 120.0
"""Seconds for what KubeRay does, which looks every three."""


def crds() -> Path:
    """The folder of KubeRay's kinds."""
    return gosource.folder("kuberay", MODULE) / "config" / "crd" / "bases"


class KubeRay:
    """One process of KubeRay, from `start` to `stop`."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self._kubeconfig, self._directory = kubeconfig, directory
        self._process: subprocess.Popen[bytes] | None = None

    def install(self, api: Api, kubectl: Callable[..., str]) -> None:
        """Its kinds, served."""
        kubectl("apply", "--server-side", "-f", str(crds()))

        def served() -> bool:
            """A kind that is established is refused for a moment all the same."""
            try:
                return all(api.get(f"{GROUP}/{kind}") for kind in ("rayjobs", "rayclusters"))
            except AssertionError:
                return False

        wait_until(served, 60, "RayJobs are not served")

    def start(self) -> None:
        """Begin; it says itself in what it makes that it works."""
        programs.ensure(["ray-operator"], Progress())
        command = [
            programs.path("ray-operator"),
            "-enable-leader-election=false",
            "-use-kubernetes-proxy",
            f"-metrics-addr=127.0.0.1:{free_port()}",
            f"-health-probe-bind-address=127.0.0.1:{free_port()}",
        ]
        environment = {**os.environ, "KUBECONFIG": str(self._kubeconfig)}
        self._process = tied.start(command, self.log_file, cwd=self._directory, env=environment)

    @property
    def log_file(self) -> Path:
        return self._directory / "kuberay.log"

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Dashboard:
    """Answers KubeRay as the dashboard of a head does (Ray Jobs REST API), for all heads of a test.

    KubeRay asks through the API server, which takes no address of loopback.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        """By the id of a job, its status. Of others it says that they do not exist."""
        self.stopped: list[str] = []
        """Jobs that were told to stop."""
        self.is_silent = False
        """Whether it answers nothing of use, as where the head is no more."""
        played = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                job = self.path.removeprefix("/api/jobs/").strip("/")
                if played.is_silent:
                    self._say(503, {})
                elif job not in played.jobs:
                    self._say(404, {})
                else:
                    began = int(time.time() * 1000)
                    self._say(200, {"submission_id": job, "status": played.jobs[job], "start_time": began})

            def do_POST(self) -> None:
                job = self.path.removeprefix("/api/jobs/").removesuffix("/stop")
                played.stopped.append(job)
                self._say(200, {"stopped": True})

            def _say(self, code: int, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((own_address(), 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Dashboard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def is_on_head(self, namespace: Namespace, ray_job: str) -> None:
        """The head of a RayJob leads to it: of the head's Service, its port is that of the dashboard."""
        port = self._server.server_address[1]

        def service() -> Any:
            found = namespace.api.items(namespace.path("services"))
            return next((each for each in found if each["metadata"]["name"].startswith(f"{ray_job}-")), None)

        live = wait_until(service, ENOUGH, f"KubeRay makes no Service for the head of {ray_job}")
        ports = live["spec"]["ports"]
        assert "dashboard" in {each["name"] for each in ports}, ports
        changed = [{**each, "targetPort": port} if each["name"] == "dashboard" else each for each in ports]
        namespace.patch("services", live["metadata"]["name"], {"spec": {"ports": changed}})


TRAINER = {"name": "trainer", "image": "example/ray:1", "command": ["python", "train.py"], "args": ["--name", "a b"]}
WORKER = {"spec": {"containers": [{"name": "ray", "image": "example/ray:1"}]}}
ENGINE = {"type": "RayJob", "ray": {"version": "2.60.0", "workers": [{"name": "rollout", "template": WORKER}]}}


def train(namespace: Namespace, **spec: Any) -> None:
    """A run `r` on a head and a worker."""
    whole = {"template": {"spec": {"containers": [TRAINER]}}, "engine": ENGINE, **spec}
    body = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "r"}, "spec": whole}
    namespace.create(RUNS, body)


def until(namespace: Namespace, reason: str, words: str = "") -> dict[str, Any]:
    """Until `Ready` has this reason and these words; the status of the run."""

    def answer() -> bool:
        told = namespace.condition("r", "Ready", RUNS)
        return bool(told.get("reason") == reason and words in told.get("message", ""))

    try:
        wait_until(answer, ENOUGH, "")
    except AssertionError:
        told, found = namespace.condition("r", "Ready", RUNS), namespace.api.items(namespace.path(RAY_JOBS))
        raise AssertionError(f"Ready is {told}, not {reason} {words}; {[job.get('status') for job in found]}") from None
    return dict(namespace.get(RUNS, "r")["status"])


def pods(namespace: Namespace, attempt: int) -> dict[str, Any]:
    """Those of an attempt by what they are: head, worker, submitter."""
    found = namespace.api.items(namespace.path("pods"), f"accord.dev/training-run=r,accord.dev/attempt={attempt}")
    return {pod["metadata"]["labels"].get("ray.io/node-type", "submitter"): pod for pod in found}


def run(namespace: Namespace, pod: Any) -> None:
    """Kubelet starts it, on a node: so it takes its time to end."""
    name = pod["metadata"]["name"]
    target = {"apiVersion": "v1", "kind": "Node", "name": "n-1"}
    binding = {"metadata": {"name": name}, "target": target}
    namespace.api.create(f"{namespace.path('pods', name)}/binding", binding)
    ready = [{"type": "Ready", "status": "True"}]
    set_status(namespace, pod, phase="Running", podIP=own_address(), podIPs=[{"ip": own_address()}], conditions=ready)


def ends(namespace: Namespace, pod: Any, code: int) -> None:
    """Its container ends."""
    state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
    name = pod["spec"]["containers"][0]["name"]
    container = {"name": name, "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}
    set_status(namespace, pod, phase="Failed" if code else "Succeeded", containerStatuses=[container])


def submitted(namespace: Namespace, dashboard: Dashboard, attempt: int) -> dict[str, Any]:
    """The cluster of an attempt comes up, and KubeRay makes the pod that submits; all pods."""
    wait_until(lambda: len(pods(namespace, attempt)) == 2, ENOUGH, f"KubeRay makes no cluster for attempt {attempt}")
    dashboard.is_on_head(namespace, f"r-{attempt}")
    for pod in pods(namespace, attempt).values():
        run(namespace, pod)
    wait_until(lambda: "submitter" in pods(namespace, attempt), ENOUGH, f"attempt {attempt} is not submitted")
    return pods(namespace, attempt)


def training(namespace: Namespace, dashboard: Dashboard, attempt: int) -> dict[str, Any]:
    """The driver of an attempt runs; all pods."""
    found = submitted(namespace, dashboard, attempt)
    run(namespace, found["submitter"])
    dashboard.jobs[f"r-{attempt}"] = "RUNNING"
    until(namespace, "Running", f"attempt {attempt} is training, 1 of 1 workers running")
    return found


def remove(namespace: Namespace, pod: Any) -> None:
    """It has ended, and kubelet says so."""
    namespace.api.call("DELETE", namespace.path("pods", pod["metadata"]["name"]), {"gracePeriodSeconds": 0})


def end_as_told(namespace: Namespace, attempt: int, *roles: str) -> None:
    """Pods of an attempt that are told to end do so, each."""
    for role in roles:

        def is_told(role: str = role) -> bool:
            pod = pods(namespace, attempt).get(role)
            return pod is None or "deletionTimestamp" in pod["metadata"]

        wait_until(is_told, ENOUGH, f"the {role} of attempt {attempt} goes on")
        pod = pods(namespace, attempt).get(role)
        if pod is not None:
            remove(namespace, pod)


def most_at_work(namespace: Namespace, since: str) -> int:
    """How many attempts have had pods at work at once since a resourceVersion."""
    living: dict[str, str] = {}
    most = 0
    for type_, pod in namespace.api.events(namespace.path("pods"), since, seconds=1):
        attempt = (pod["metadata"].get("labels") or {}).get("accord.dev/attempt")
        if attempt is None:
            continue
        living.pop(pod["metadata"]["uid"], None)
        if type_ != "DELETED" and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            living[pod["metadata"]["uid"]] = attempt
        most = max(most, len(set(living.values())))
    return most
