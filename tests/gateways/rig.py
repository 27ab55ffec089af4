"""A policy with router type GatewayAPI, its pods, the operator and a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from tests.apiserver import rights
from tests.apiserver.rig import Api, Namespace, OperatorProcess, wait_until
from tests.envoy.http1 import Backend, Reply
from tests.envoy.load import send, shares
from tests.gateways.traefik import CONTROLLER, Traefik

from devcluster import gosource

GATEWAY_API = ("sigs.k8s.io/gateway-api", "v1.6.3")
GROUP = "gateway.networking.k8s.io"
SPLIT = {"fast": 60, "balanced": 30, "creative": 10}
_KINDS = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants", "backendtlspolicies")


def crds() -> Path:
    """The folder with the CRDs of the standard channel."""
    return gosource.released(*GATEWAY_API) / "config" / "crd" / "standard"


def install(api: Api, kubectl: Callable[..., str]) -> None:
    """Install the Gateway API and wait until it is served."""
    kubectl("apply", "--server-side", "-f", str(crds()))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{kind}.{GROUP}" for kind in _KINDS))

    def served() -> bool:
        found = api.get(f"/apis/{GROUP}/v1")
        return found is not None and {"httproutes", "gateways"} <= {each["name"] for each in found["resources"]}

    wait_until(served, 60, "the Gateway API is not served")


def remove(api: Api, kubectl: Callable[..., str]) -> None:
    """Take the Gateway API away again, if it is there."""
    kubectl("delete", "--ignore-not-found", "-f", str(crds()))
    wait_until(lambda: api.get(f"/apis/{GROUP}/v1") is None, 60, "the Gateway API is still served")


def own_address() -> str:
    """An address of this machine that EndpointSlices may hold: any but loopback. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.connect(("192.0.2.1", 9))
        return str(channel.getsockname()[0])


def near(measured: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    """Within two points."""
    return measured.keys() == wanted.keys() and all(abs(measured[mode] - wanted[mode]) < 2 for mode in wanted)


class World:
    """Everything, in one namespace. What a test does not start is not there."""

    def __init__(self, control_plane: Any, api: Api, directory: Path) -> None:
        self.control_plane, self.api, self.directory = control_plane, api, directory
        self.namespace = Namespace(api)
        self.pods: dict[str, Backend] = {}
        self.stack = contextlib.ExitStack()
        self.traefik: Traefik | None = None
        self.prometheus: str | None = None
        self._account: Path | None = None

    @property
    def port(self) -> int:
        """Where the gateway listens."""
        assert self.traefik is not None
        return self.traefik.port

    async def start_pods(self, modes: Mapping[str, int] = SPLIT) -> None:
        """A Deployment and one pod for each mode."""
        for mode in modes:
            self.pods[mode] = await Backend(mode, own_address()).start()
            await self.call(self.namespace.deployment, mode)
            await self.list_pod(mode, ready=True)

    async def list_pod(self, mode: str, *, ready: bool) -> None:
        """What the EndpointSlice controller does for the Service of a mode where pods run."""
        name, service = f"shop-{mode}-test", f"shop-{mode}"
        labels = {
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": "test",
            "app.kubernetes.io/managed-by": "accord",
            "accord.dev/traffic-policy": "shop",
            "accord.dev/mode": mode,
        }
        pod = self.pods[mode]
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": self.namespace.name, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": pod.port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [pod.host], "conditions": {"ready": ready}}],
        }
        await self.apply(body)

    def settings(self) -> dict[str, Any]:
        """Of the operator."""
        endpoints = {} if self.prometheus is None else {"default": {"url": self.prometheus}}
        return {
            "namespaces": [self.namespace.name],
            "leaderElection": {"enabled": False},
            **({"prometheus": {"endpoints": endpoints}} if endpoints else {}),
        }

    async def start_operator(self) -> OperatorProcess:
        if self._account is None:
            given = rights.account(self.api, self.control_plane, self.namespace.name, self.directory)
            self._account = await self.call(self.stack.enter_context, given)
        operator = OperatorProcess(self._account, self.directory, **self.settings())
        self.stack.enter_context(operator)
        await self.call(operator.ready)
        return operator

    async def start_traefik(self, *others: str) -> None:
        """For the Gateways of this namespace, and of others."""
        namespaces = (self.namespace.name, *others)
        self.traefik = await self.call(Traefik, self.control_plane.kubeconfig, self.directory, *namespaces)
        self.stack.callback(self.traefik.stop)

    async def create_gateway(self, namespace: str | None = None, *, routes_from: str = "Same") -> None:
        """The class is the cluster's, and so of all tests."""
        kind = f"{GROUP}/v1"
        meta = {"name": "traefik"}
        await self.apply(
            {"apiVersion": kind, "kind": "GatewayClass", "metadata": meta, "spec": {"controllerName": CONTROLLER}}
        )
        listener = {
            "name": "web",
            "protocol": "HTTP",
            "port": self.port,
            "allowedRoutes": {"namespaces": {"from": routes_from}},
        }
        await self.apply(
            {
                "apiVersion": kind,
                "kind": "Gateway",
                "metadata": {"name": "public", "namespace": namespace or self.namespace.name},
                "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
            }
        )

    async def create_policy(self, weights: Mapping[str, int] = SPLIT, **spec: Any) -> None:
        router = spec.pop("router", {"type": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public"}]}})
        await self.call(lambda: self.namespace.policy("shop", dict(weights), router=router, **spec))

    async def start(self, **spec: Any) -> OperatorProcess:
        """All of it, until the gateway has taken up the route with every mode in it."""
        await self.start_pods()
        await self.start_traefik()
        await self.create_gateway()
        operator = await self.start_operator()
        await self.create_policy(**spec)
        await self.ready(SPLIT)
        await self.follows(SPLIT)
        return operator

    async def ready(self, shares: Mapping[str, float]) -> None:
        """Until these shares are in force and the policy is ready."""

        def settled() -> bool:
            live = self.policy()
            status = live.get("status", {})
            conditions = {each["type"]: each for each in status.get("conditions", ())}
            return (
                status.get("inForce", {}).get("shares") == shares
                and conditions["Programmed"]["status"] == "True"
                and conditions["Programmed"]["observedGeneration"] == live["metadata"]["generation"]
                and self.weights() == shares
            )

        try:
            await self.until(settled, f"shares {shares} in force")
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(self.policy().get('status'))}") from None

    async def keeps_up(self, shares: Mapping[str, float]) -> None:
        """Until these are in the route and in force, whatever the policy says of itself."""
        await self.until(lambda: self.weights() == shares, f"weights {shares} in the route")
        await self.follows(shares)

    async def follows(self, wanted: Mapping[str, float]) -> None:
        """Until requests are split so: Traefik says that it has accepted a route a moment before it uses it."""
        replies: list[Reply] = []
        for _ in range(200):
            replies = await send(self.port, 1000)
            if {reply.status for reply in replies} == {200} and near(shares(replies), wanted):
                return
        raise AssertionError(f"Traefik does not split {wanted}: {shares(replies)}")

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        return await self.call(wait_until, condition, seconds, what)

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Requests to the API server wait in a thread, while the pods go on answering."""
        return await asyncio.to_thread(function, *arguments)

    async def apply(self, body: Mapping[str, Any]) -> None:
        await self.call(lambda: self.control_plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body)))

    def policy(self) -> Any:
        return self.namespace.get("trafficpolicies", "shop")

    def condition(self, type_: str) -> tuple[str, str, str]:
        found = self.namespace.condition("shop", type_)
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def route(self) -> Any:
        return self.namespace.get(f"{GROUP}/v1/httproutes", "shop-router")

    def weights(self) -> dict[str, int]:
        """Those of the rule that draws a mode."""
        route = self.route()
        refs = route["spec"]["rules"][-1]["backendRefs"] if route else []
        return {ref["name"].removeprefix("shop-"): ref["weight"] for ref in refs}

    async def stop(self) -> None:
        await self.call(self.stack.close)
        for pod in self.pods.values():
            await pod.stop()


@contextlib.asynccontextmanager
async def world(control_plane: Any, api: Api, directory: Path) -> AsyncIterator[World]:
    """A world that is taken down whatever happens."""
    made = World(control_plane, api, directory)
    try:
        yield made
    finally:
        await made.stop()
