"""Changes under load lose nothing; neither does an operator that stops."""

from __future__ import annotations

import asyncio
import collections
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.envoy.http1 import Reply
from tests.envoy.load import steady_load
from tests.envoy.rig import SPLIT, World, free_ports, until

from accord.adapters.routers.envoy import listeners


def statuses(replies: list[Reply]) -> dict[int, int]:
    return dict(collections.Counter(reply.status for reply in replies))


async def test_a_hundred_changes_of_weights_under_load_fail_nothing(world: World) -> None:
    await world.start()
    splits = [SPLIT, {"fast": 10, "balanced": 30, "creative": 60}, {"fast": 0, "balanced": 99, "creative": 1}]
    async with steady_load(world.settings.http_port) as replies:
        for number in range(100):
            world.publish(splits[(number + 1) % 3])
            if number % 4 == 0:
                await world.settled()
            else:
                await asyncio.sleep(0.01)
        await world.settled()
    assert set(statuses(replies)) == {200}
    assert len(replies) >= 100  # at least one between two changes


async def test_a_mode_is_added_renamed_and_removed_without_losing_a_request(world: World) -> None:
    """The steps that the leader takes: new clusters first, then routes, then the old clusters go."""
    await world.start()
    async with steady_load(world.settings.http_port) as replies:
        renamed = {"fast": 60, "balanced": 30, "inventive": 10}
        world.publish(renamed, programmed=SPLIT)
        assert "inventive" not in world.programming().warm, "no proxy has heard of it"
        await world.add("inventive")
        world.publish(renamed, programmed=SPLIT)
        await until(lambda: "inventive" in world.programming().warm, "the new mode to be warm")
        assert {reply.body for reply in replies} == set(SPLIT), "nothing is sent to a mode before it is warm"
        world.publish(renamed, programmed={**SPLIT, "inventive": 0})
        await until(lambda: world.programming().routes_settled, "the routes to be settled")
        seen = len(replies)
        await until(lambda: len(replies) > seen + 200, "more requests")
        world.publish(renamed)
        await world.settled()
        for pod in world.pods.pop("creative"):
            await pod.stop()
        world.publish(renamed)
        seen = len(replies)
        await until(lambda: len(replies) > seen + 200, "more requests")
        assert {reply.body for reply in replies[seen + 10 :]} <= set(renamed)
    assert set(statuses(replies)) == {200}
    assert "inventive" in {reply.body for reply in replies}


async def test_pods_come_and_go_without_losing_a_request(world: World) -> None:
    await world.start()
    async with steady_load(world.settings.http_port) as replies:
        for _ in range(5):
            (old,) = world.pods["fast"]
            (new,) = await world.add("fast")
            world.publish()
            await until(lambda new=new: new.requests.total() > 5, "the new pod to answer")
            world.pods["fast"] = [new]
            world.publish()
            await world.settled()
            served = -1

            async def quiet(old=old) -> bool:
                nonlocal served
                before, served = served, old.requests.total()
                await asyncio.sleep(0.3)
                return before == served

            await until(quiet, "the old pod to be left")
            await old.stop()
    assert set(statuses(replies)) == {200}


async def test_changed_checks_and_limits_lose_nothing(world: World) -> None:
    """They rebuild the clusters."""
    await world.start()
    async with steady_load(world.settings.http_port) as replies:
        for number in range(10):
            balancing = {"maxQueueSize": 100 + number, "algorithm": ("Random", "RoundRobin")[number % 2]}
            world.publish(loadBalancing=balancing)
            await world.settled()
            seen = len(replies)
            await until(lambda seen=seen: len(replies) > seen + 50, "more requests")
        for strategy in ("RoundRobin", "UserPreference", "WeightedRandom") * 2:
            world.publish(strategy=strategy)
            await world.settled()
            seen = len(replies)
            await until(lambda seen=seen: len(replies) > seen + 50, "more requests")
    assert set(statuses(replies)) == {200}


async def test_connections_that_are_too_old_are_closed_politely(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is how clients leave a proxy that is about to stop."""
    monkeypatch.setattr(listeners, "CONNECTION_SECONDS", 1)
    await world.start()
    world.pods["fast"][0].delay = 1.5
    async with steady_load(world.settings.http_port) as replies:
        await until(lambda: sum(reply.header("connection") == "close" for reply in replies) >= 8, "closed connections")
    assert set(statuses(replies)) == {200}, "not even requests that take longer than that are cut"


async def test_websockets_pass(world: World) -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data.upper())
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    (pod,) = await world.add("fast")
    pod.port = port
    await world.start({"fast": 100})
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{world.settings.http_port}/chat") as socket,
    ):
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=60) == "HELLO"
    await runner.cleanup()


async def test_traffic_goes_on_without_the_operator_and_is_taken_up_again(world: World) -> None:
    await world.start()
    async with steady_load(world.settings.http_port) as replies:
        await asyncio.wait_for(world.operator.stop(), 30)
        seen = len(replies)
        await until(lambda: len(replies) > seen + 1000, "requests without an operator")
        assert await world.proxy.ready()
        await world.operator.start(world.settings.xds_port)
        world.publish()
        await world.settled()
        world.publish({"fast": 0, "balanced": 0, "creative": 100})
        await world.settled()
        seen = len(replies)
        await until(lambda: len(replies) > seen + 100, "more requests")
        assert {reply.body for reply in replies[seen + 10 :]} == {"creative"}
    assert set(statuses(replies)) == {200}


async def test_a_proxy_that_is_first_waits_unready_for_its_configuration(world: World, tmp_path: Path) -> None:
    await world.operator.start(world.settings.xds_port)
    await world.proxy.start(world.policy)
    waiting = world.operator.router._waiters
    await until(lambda: len(waiting) > 0, "the proxy to ask")
    await asyncio.sleep(0.5)
    assert not await world.proxy.ready()
    for mode in SPLIT:
        await world.add(mode)
    world.publish()
    await until(world.proxy.ready, "the proxy to be ready")
    async with world.client() as client:
        assert (await client.get()).status == 200
