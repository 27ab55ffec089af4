"""Handles on everything that runs in one cluster for the demo or the end-to-end tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from demo.steps.checkpoints import Checkpoints
from demo.steps.cluster import Cluster, Manifest
from demo.steps.images import Images
from demo.steps.load import Line, Load
from demo.steps.operator import Operator
from demo.steps.outcome import failures_text
from demo.steps.policy import Policy
from demo.steps.prometheus import Prometheus

_LOST = "--timeout=60"
"""After so many seconds a request is lost; before, the machine may have had much else to do."""


@dataclass
class World:
    """One installation with its example."""

    cluster: Cluster
    namespace: str
    policy: Policy
    checkpoints: Checkpoints
    prometheus: Prometheus
    operator: Operator
    load_template: Manifest
    images: Images
    background_rate: int = 150
    """Requests a second that run through the router all the time; each a new user, so that each is a new draw."""
    say: Callable[[str], None] = lambda _: None
    """Shows a line to the audience, where there is one."""
    listener: Callable[[Line], None] | None = None
    """Hears every progress line of the background load."""
    _background: Load | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def router_url(self) -> str:
        """Where load pods reach the router."""
        return f"http://{self.policy.router}/generate"

    @property
    def background(self) -> Load:
        """The load that is always there; started when it is first asked for, and again if its pod is gone."""
        with self._lock:
            if self._background is None:
                rate = f"--rate={self.background_rate}"
                arguments = [f"--url={self.router_url}", "--users=30", rate, "--progress=0.5", _LOST]
                self._background = Load(self.cluster, self.load_template, arguments, self.listener)
            return self._background

    def stop_background(self) -> Line | None:
        """Ends the background load and returns its report."""
        with self._lock:
            load, self._background = self._background, None
        return load.finish() if load else None

    def run_load(self, *arguments: str, url: str = "", seconds: float = 180) -> Line:
        """A load of its own, to its end; its report."""
        with self.load(*arguments, url=url) as load:
            return load.report(seconds)

    @contextmanager
    def load(self, *arguments: str, url: str = "") -> Iterator[Load]:
        """A load of its own, for as long as the block runs."""
        load = Load(self.cluster, self.load_template, [f"--url={url or self.router_url}", _LOST, *arguments])
        try:
            yield load
        finally:
            load.delete()

    def proxies(self) -> list[str]:
        """Names of the router's pods, ready or not."""
        return [pod["metadata"]["name"] for pod in self.cluster.find("Pod", self.namespace, self._router_labels())]

    def ready_proxies(self) -> list[str]:
        """Names of the router's pods that are ready and stay."""
        return [pod["metadata"]["name"] for pod in self.cluster.ready_pods(self.namespace, self._router_labels())]

    def _router_labels(self) -> str:
        router = self.cluster.get("Deployment", self.policy.router, self.namespace) or {}
        return ",".join(f"{key}={value}" for key, value in router["spec"]["selector"]["matchLabels"].items())

    def mode_url(self, mode: str) -> str:
        """The Service of one mode: the way around the router."""
        service = self.cluster.get("Service", self.policy.mode_service(mode), self.namespace) or {}
        port = service["spec"]["ports"][0]["port"]
        return f"http://{self.policy.mode_service(mode)}:{port}/generate"

    def explain_failures(self) -> str:
        """The first failures of the background load, in words."""
        return failures_text(self.background.examples)
