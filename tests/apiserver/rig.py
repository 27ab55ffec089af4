"""The operator as a process against a real API server, and a quick client to look at what it did."""

from __future__ import annotations

import atexit
import base64
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import yaml
from devcluster.waiting import patience
from tests.ports import free_port

GROUP = "/apis/accord.dev/v1alpha1"
KINDS = ("trafficpolicies", "trainingruns", "checkpointpolicies")
ROOT = Path(__file__).resolve().parents[2]
_NUMBERS = itertools.count(1)


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer of `condition`, asked every few milliseconds.

    AssertionError where it is not after `seconds`, or as many as `patience` makes of them: a limit ends a wait that is
    in vain, and says nothing of how fast something is.
    """
    seconds = patience(seconds)
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


def _file(section: dict[str, str], field: str) -> str:
    """A kubeconfig gives certificates as files or inline."""
    if field in section:
        return section[field]
    with tempfile.NamedTemporaryFile(prefix="accord-test-", suffix=".pem", delete=False) as file:
        file.write(base64.b64decode(section[f"{field}-data"]))
    atexit.register(Path(file.name).unlink)
    return file.name


class Api:
    """Raw requests with the credentials of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = cluster["server"]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = _file(cluster, "certificate-authority")
        if "token" in user:
            self.session.headers["Authorization"] = f"Bearer {user['token']}"
        else:
            self.session.cert = (_file(user, "client-certificate"), _file(user, "client-key"))

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: str) -> Any:
        """The answer as JSON; None for 404; AssertionError for every other refusal."""
        answer = self.session.request(
            method, self.server + path, json=body, params=query, headers={"Content-Type": kind}, timeout=120
        )
        if answer.status_code == 404:
            return None
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def items(self, path: str, selector: str = "") -> list[Any]:
        return self.call("GET", path, labelSelector=selector)["items"]

    def events(self, path: str, since: str, seconds: int = 10) -> list[tuple[str, Any]]:
        """What became of the objects of a collection since a resourceVersion: ADDED, MODIFIED or DELETED, and what.

        What is so by now comes at once; it is watched for so many seconds.
        """
        query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": str(seconds)}
        answer = self.session.get(self.server + path, params=query, timeout=120)
        assert answer.ok, f"watch of {path}: {answer.status_code} {answer.text[:500]}"
        found = [json.loads(line) for line in answer.text.splitlines()]
        assert all(event["type"] != "ERROR" for event in found), found
        return [(event["type"], event["object"]) for event in found]

    def create(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body, "application/merge-patch+json", fieldManager="somebody")

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)


class Namespace:
    """A namespace of its own for one test, with short ways to what lives in it."""

    def __init__(self, api: Api) -> None:
        self.api, self.name = api, f"t{os.getpid()}-{next(_NUMBERS)}"
        api.create("/api/v1/namespaces", {"metadata": {"name": self.name}})

    def path(self, collection: str, name: str = "") -> str:
        """`services`, `apps/v1/deployments` or `trafficpolicies` → URL path."""
        if "/" in collection:
            group, collection = collection.rsplit("/", 1)
            base = f"/apis/{group}"
        elif collection in KINDS:
            base = GROUP
        else:
            base = "/api/v1"
        return f"{base}/namespaces/{self.name}/{collection}" + (f"/{name}" if name else "")

    def get(self, collection: str, name: str) -> Any:
        return self.api.get(self.path(collection, name))

    def create(self, collection: str, body: Any) -> Any:
        return self.api.create(self.path(collection), body)

    def patch(self, collection: str, name: str, body: Any) -> Any:
        return self.api.patch(self.path(collection, name), body)

    def delete(self, collection: str, name: str) -> Any:
        return self.api.delete(self.path(collection, name))

    def deployment(self, name: str, replicas: int = 0) -> Any:
        """A Deployment for a mode to refer to. No pods run on a bare control plane, so it asks for none."""
        labels = {"app": name}
        container = {"name": "app", "image": "example/app", "ports": [{"containerPort": 8000}]}
        return self.create(
            "apps/v1/deployments",
            {
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                },
            },
        )

    def policy(self, name: str, weights: dict[str, int], **spec: Any) -> Any:
        """A TrafficPolicy whose modes refer to Deployments of the same name."""
        modes = [
            {"name": mode, "weight": weight, "deploymentRef": {"name": mode}, "port": 8000}
            for mode, weight in weights.items()
        ]
        body = {
            "apiVersion": "accord.dev/v1alpha1",
            "kind": "TrafficPolicy",
            "metadata": {"name": name},
            "spec": {"modes": modes, **spec},
        }
        return self.create("trafficpolicies", body)

    def condition(self, name: str, type_: str, collection: str = "trafficpolicies") -> dict[str, Any]:
        """A condition of a policy, {} where there is none."""
        found = (self.get(collection, name) or {}).get("status", {}).get("conditions", [])
        return next((condition for condition in found if condition["type"] == type_), {})

    def settled(self, name: str, collection: str = "trafficpolicies") -> Any:
        """Wait until the operator has dealt with the newest generation; the object then."""

        def observed() -> Any:
            live = self.get(collection, name)
            return live if live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"] else None

        return wait_until(observed, 20, f"{collection} {name} was not observed")

    def children(self, policy: str) -> dict[str, Any]:
        """Everything that carries the policy's label, by `collection/name`."""
        collections = ("services", "apps/v1/deployments", "policy/v1/poddisruptionbudgets")
        return {
            f"{collection}/{item['metadata']['name']}": item
            for collection in collections
            for item in self.api.items(self.path(collection), f"accord.dev/traffic-policy={policy}")
        }


class OperatorProcess:
    """`python -m accord run …`, killed at the end at the latest."""

    def __init__(
        self,
        kubeconfig: Path,
        directory: Path,
        *,
        name: str = "one",
        program: tuple[str, ...] = ("-m", "accord", "run"),
        pod_namespace: str = "",
        **config: Any,
    ) -> None:
        self.port, self.name = (config.get("http") or {}).get("port") or free_port(), name
        self.log_file = directory / f"operator-{name}-{self.port}.log"
        settings = {
            "http": {"port": self.port},
            "xds": {"host": "127.0.0.1", "port": free_port()},
            "envoy": {"image": "envoy:test"},
            "log": {"format": "text"},
            # One that does not answer, unless a test brings its own: without any no run is ever ready.
            "prometheus": {"endpoints": {"default": {"url": "http://127.0.0.1:9"}}},
            **config,
        }
        file = directory / f"operator-{name}-{self.port}.yaml"
        file.write_text(yaml.safe_dump(settings))
        self._log = self.log_file.open("w")
        self.process = subprocess.Popen(
            [sys.executable, *program, "--kubeconfig", str(kubeconfig), "--config", str(file)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={
                **os.environ,
                "POD_NAME": name,
                "POD_IP": "127.0.0.1",
                "POD_NAMESPACE": pod_namespace or (config.get("namespaces") or ["default"])[0],
                "PYTHONPATH": f"{ROOT}/operator:{ROOT}",
                "PYTHONWARNINGS": "default",
            },
        )

    def fetch(self, path: str) -> requests.Response | None:
        """The answer of its HTTP server, or None while there is none."""
        with requests.Session() as session:
            session.trust_env = False
            try:
                return session.get(f"http://127.0.0.1:{self.port}{path}", timeout=60)
            except requests.RequestException:  # also one that ends in the middle of its answer
                return None

    def ready(self) -> OperatorProcess:
        """Wait for `/readyz`."""

        def answer() -> bool:
            assert self.process.poll() is None, self.log()
            response = self.fetch("/readyz")
            return response is not None and response.status_code == 200

        wait_until(answer, 120, f"operator {self.name} is not ready: {self.log()[-2000:]}")
        return self

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the series of that name with these labels."""
        return sum(value for found, value in self.series(name) if labels.items() <= found.items())

    def series(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        response = self.fetch("/metrics")
        assert response is not None, "no answer from /metrics"
        for line in response.text.splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match:
                yield dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")), float(match[2])

    def writes(self, *resources: str) -> float:
        """Requests that changed something or tried to, of these resources, or of all but the Lease."""
        return sum(
            value
            for labels, value in self.series("accord_api_requests_total")
            if labels["verb"] not in ("get", "list", "discover")
            and (labels["resource"] in resources if resources else labels["resource"] != "leases")
        )

    def until_at_rest(self, seconds: float = 2.0) -> None:
        """Until it has written nothing for so long."""
        writes, since = self.writes(), time.monotonic()

        def quiet() -> bool:
            nonlocal writes, since
            if (now := self.writes()) != writes:
                writes, since = now, time.monotonic()
            time.sleep(0.1)
            return time.monotonic() - since > seconds

        wait_until(quiet, 60, f"operator {self.name} does not come to rest")

    @property
    def leads(self) -> bool:
        return self.fetch("/metrics") is not None and self.metric("accord_leader") == 1

    def log(self) -> str:
        return self.log_file.read_text()

    def terminate(self, seconds: float = 120) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def __enter__(self) -> OperatorProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()
