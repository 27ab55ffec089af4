"""The router behind a gateway, and before pods that speak HTTP/2."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.envoy import http2
from tests.envoy.http1 import Client
from tests.envoy.rig import World, free_ports, until
from tests.envoy.test_health import mode, record

from accord.api.v1alpha1.trafficpolicy import HealthCheckInForce

FORWARDED = {
    "x-forwarded-proto": "https",
    "x-forwarded-for": "198.51.100.7",
    "x-forwarded-host": "shop.example.com",
}


async def seen(world: World, headers: dict[str, str]) -> dict[str, str]:
    async with world.client() as client:
        assert (await client.request("GET", "/", headers)).status == 200
    return world.pods["fast"][0].seen[-1]


async def test_what_a_trusted_gateway_forwards_reaches_the_pods(world: World) -> None:
    await world.start({"fast": 100}, router={"envoy": {"trustedHops": 1}})
    reached = await seen(world, FORWARDED)
    assert reached["x-forwarded-proto"] == "https"
    assert reached["x-forwarded-for"].startswith("198.51.100.7,"), "the gateway's own address follows"
    assert reached["x-forwarded-host"] == "shop.example.com"
    assert (await seen(world, {}))["x-forwarded-proto"] == "http", "without a word of the gateway it is what it is"


async def test_clients_are_not_believed_where_no_hop_is_trusted(world: World) -> None:
    await world.start({"fast": 100})
    assert (await seen(world, FORWARDED))["x-forwarded-proto"] == "http"
    world.publish({"fast": 100}, router={"envoy": {"trustedHops": 1}})
    await world.settled()

    async def believed() -> bool:
        return (await seen(world, FORWARDED))["x-forwarded-proto"] == "https"

    await until(believed, "a change of trustedHops to be in force")


@pytest.mark.parametrize("host", ["", "Host: shop.example.com\r\n"])
async def test_http_1_0_is_answered(world: World, host: str) -> None:
    await world.start({"fast": 100})
    reader, writer = await asyncio.open_connection("127.0.0.1", world.settings.http_port)
    writer.write(f"GET / HTTP/1.0\r\n{host}\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 120)
    writer.close()
    assert answer.split(b"\r\n", 1)[0].endswith(b"200 OK")
    assert answer.endswith(b"fast")
    assert world.pods["fast"][0].seen[-1]["host"] == ("shop.example.com" if host else "router")


async def add(world: World, name: str) -> http2.Backend:
    pod = await http2.Backend(name).start()
    world.pods.setdefault(name, []).append(pod)  # type: ignore[arg-type]
    return pod


def speaking(name: str, weight: int, protocol: str) -> dict[str, Any]:
    return {**mode(name, weight), "appProtocol": protocol}


async def call(client: Client) -> tuple[int, str | None]:
    reply = await client.request("POST", "/infer.Model/Answer", {"content-type": "application/grpc", "te": "trailers"})
    return reply.status, reply.header("x-pod") or reply.body


@pytest.mark.parametrize("protocol", ["grpc", "kubernetes.io/h2c"])
async def test_pods_that_speak_http_2_can_be_a_mode(world: World, protocol: str) -> None:
    await add(world, "fast")
    await world.add("balanced")
    modes = [speaking("fast", 100, protocol), mode("balanced", 0)]
    await world.start(
        {"fast": 100, "balanced": 0}, modes=modes, loadBalancing={"healthCheck": {"path": None, "interval": "1s"}}
    )
    await world.settled()
    record(world, HealthCheckInForce(mode="fast", type="GRPC", app_protocol="kubernetes.io/h2c", service="infer"))
    await world.settled()
    async with world.client() as client:
        answered = [await call(client) for _ in range(20)]
    assert answered == [(200, "fast")] * 20

    async def checked() -> bool:
        return await world.proxy.stat("cluster.fast.health_check.success") > 1

    await until(checked, "the gRPC health check to succeed")
    assert await world.proxy.stat("cluster.fast.health_check.failure") == 0
    assert world.pods["fast"][0].mistaken == 0  # type: ignore[attr-defined]


async def test_modes_of_both_kinds_stand_side_by_side_and_are_tried_when_nothing_is_healthy(world: World) -> None:
    await add(world, "fast")
    (balanced,) = await world.add("balanced")
    balanced.health = 500
    modes = [speaking("fast", 50, "grpc"), mode("balanced", 50)]
    await world.start({"fast": 50, "balanced": 50}, modes=modes, stickySession={"enabled": False})
    (nobody,) = free_ports(1)
    failing = {"type": "TCP", "port": nobody}
    world.publish({"fast": 50, "balanced": 50}, modes=[{**modes[0], "healthCheck": failing}, modes[1]])
    await world.settled()
    await until(lambda: unhealthy(world), "no mode to be healthy")
    async with world.client() as client:
        answered = {await call(client) for _ in range(100)}
    assert answered == {(200, "fast"), (200, "balanced")}


async def unhealthy(world: World) -> bool:
    return {await world.proxy.stat(f"cluster.{name}.membership_healthy") for name in ("fast", "balanced")} == {0}


async def test_clients_may_speak_http_2_to_the_router(world: World) -> None:
    await world.start({"fast": 100})
    reader, writer = await asyncio.open_connection("127.0.0.1", world.settings.http_port)
    writer.write(http2.PREFACE + http2.frame(4))
    head = await asyncio.wait_for(reader.readexactly(9), 120)
    writer.close()
    assert head[3] == 4, "SETTINGS"
