"""A policy with router type Istio, its pods, the operator, istiod and a gateway."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from devcluster.controlplane import ControlPlane
from tests.apiserver.rig import Api, OperatorProcess
from tests.gateways.istio import GROUP, SYSTEM, GatewayProxy, Istiod
from tests.gateways.rig import SPLIT, World, own_address

VIRTUAL_SERVICES = f"{GROUP}/v1/virtualservices"
DESTINATION_RULES = f"{GROUP}/v1/destinationrules"
HOST = "*"
"""All hosts of the gateway: a name without a dot, as the clients of the tests have it, is a Service to Istio."""


class Mesh(World):
    """Everything, in one namespace. What a test does not start is not there."""

    def __init__(self, control_plane: ControlPlane, api: Api, directory: Path) -> None:
        super().__init__(control_plane, api, directory)
        self.prometheus = "http://127.0.0.1:9"
        self.proxy: GatewayProxy | None = None

    @property
    def port(self) -> int:
        assert self.proxy is not None
        return self.proxy.port

    async def start_istio(self) -> None:
        """Istiod and the proxy that is its gateway."""
        await self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
        istiod = await self.call(Istiod, self.control_plane.kubeconfig, self.directory)
        self.stack.callback(istiod.stop)
        await self.until(istiod.ready, "istiod is not ready", 120)
        self.proxy = await self.call(GatewayProxy, istiod.port, self.directory, self.namespace.name, own_address())
        self.stack.callback(self.proxy.stop)

    async def create_gateway(self) -> None:
        server = {"port": {"number": self.port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
        await self.apply(
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "Gateway",
                "metadata": {"name": "public", "namespace": self.namespace.name},
                "spec": {
                    "selector": {"gateway": self.namespace.name},
                    "servers": [{**server, "bind": "127.0.0.1"}],
                },
            }
        )

    async def create_policy(self, weights: Mapping[str, int] = SPLIT, **spec: Any) -> None:
        gateway = f"{self.namespace.name}/public"
        router = {"type": "Istio", "istio": {"hosts": [HOST], "gateways": [gateway]}}
        await self.call(lambda: self.namespace.policy("shop", dict(weights), router=router, **spec))

    async def start(self, **spec: Any) -> OperatorProcess:
        """All of it, until the gateway has every mode."""
        await self.start_pods()
        await self.start_istio()
        await self.create_gateway()
        operator = await self.start_operator()
        await self.create_policy(**spec)
        await self.ready(SPLIT)
        await self.follows(SPLIT)
        return operator

    async def ready(self, shares: Mapping[str, float]) -> None:
        """Until these shares are in force, and nothing that is known speaks against them."""

        def settled() -> bool:
            live = self.policy()
            status = live.get("status", {})
            conditions = {each["type"]: each for each in status.get("conditions", ())}
            return (
                status.get("inForce", {}).get("shares") == shares
                and conditions["Programmed"]["reason"] == "Unverifiable"
                and conditions["Ready"]["observedGeneration"] == live["metadata"]["generation"]
                and self.weights() == shares
            )

        try:
            await self.until(settled, f"shares {shares} in force")
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(self.policy().get('status'))}") from None

    def route(self) -> Any:
        """The VirtualService."""
        return self.namespace.get(VIRTUAL_SERVICES, "shop-router")

    def weights(self) -> dict[str, int]:
        """Those of the rule that draws a mode."""
        route = self.route()
        found = route["spec"]["http"][-1]["route"] if route else []
        return {each["destination"]["host"].removeprefix("shop-"): each["weight"] for each in found}


@contextlib.asynccontextmanager
async def mesh(control_plane: ControlPlane, api: Api, directory: Path) -> AsyncIterator[Mesh]:
    """A mesh that is taken down whatever happens."""
    made = Mesh(control_plane, api, directory)
    try:
        yield made
    finally:
        await made.stop()
