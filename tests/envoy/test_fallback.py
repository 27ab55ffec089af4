"""What answers when a mode cannot: fallback, retries, health checks, limits."""

from __future__ import annotations

import asyncio
import collections
import socket

import pytest
from tests.envoy.http1 import Reply
from tests.envoy.load import send, shares
from tests.envoy.rig import SPLIT, World, until


async def test_a_mode_without_a_pod_is_answered_by_the_fallback_mode(world: World) -> None:
    world.pods["creative"] = []
    await world.start(fallbackMode="balanced")
    async with world.client() as client:
        replies = [await client.get() for _ in range(500)]
        assert {reply.status for reply in replies} == {200}
        assert shares(replies) == pytest.approx({"fast": 60, "balanced": 40}, abs=11)
        assert all(reply.cookie == reply.body for reply in replies)
        stuck = [await client.get(cookie="accord-mode=creative") for _ in range(20)]
        assert {reply.body for reply in stuck} == {"balanced"}, "a failed mode is excluded before stickiness"
        hashed = [await client.request("POST", "/", {"cookie": "accord-mode=creative"}, b"x") for _ in range(20)]
        assert {(reply.status, reply.body) for reply in hashed} == {(200, "balanced")}


@pytest.mark.parametrize("broken", ["creative", "fast"])
async def test_a_mode_that_fails_every_request_is_left(world: World, broken: str) -> None:
    await world.start(fallbackMode="balanced")
    world.pods[broken][0].status = 503
    replies = await send(world.settings.http_port, 2000)
    assert collections.Counter(reply.status for reply in replies) == {200: 2000}
    assert broken not in shares(replies)
    assert all(reply.cookie == reply.body == reply.header("x-accord-mode") for reply in replies)
    assert world.pods[broken][0].requests["GET"] < 500, "it is ejected, not asked each time"


async def test_round_robin_leaves_a_failing_mode_too(world: World) -> None:
    await world.start(strategy="RoundRobin")
    world.pods["fast"][0].status = 500
    replies = await send(world.settings.http_port, 500)
    assert collections.Counter(reply.status for reply in replies) == {200: 500}
    assert all(reply.cookie == reply.body != "fast" for reply in replies)


async def test_one_bad_pod_does_not_cost_the_mode_its_share(world: World) -> None:
    """Envoy's default would spill a part of the share as soon as a third of the pods is unhealthy."""
    pods = await world.add("fast", 3)
    for pod in pods[:2]:
        pod.health = 500
    await world.start(stickySession={"enabled": False})
    replies = await send(world.settings.http_port, 3000)
    assert shares(replies) == pytest.approx(SPLIT, abs=5.5)
    assert [pod.requests.total() for pod in pods[:2]] == [0, 0]


async def test_what_is_not_idempotent_is_not_repeated_once_a_server_saw_it(world: World) -> None:
    await world.start({"fast": 100, "balanced": 0})
    world.pods["fast"][0].status = 503
    async with world.client() as client:
        replies = [await client.request("POST", "/", body=b"pay") for _ in range(3)]
        assert [reply.status for reply in replies] == [503, 503, 503]
    assert world.pods["fast"][0].requests["POST"] == 3
    assert world.pods["balanced"][0].requests.total() == 0, "weight 0 receives nothing, not even retries"


async def test_a_post_that_reached_no_server_is_repeated_elsewhere(world: World) -> None:
    await world.start({"fast": 60, "balanced": 40})
    pod = world.pods["fast"][0]
    await pod.stop()
    async with world.client() as client:
        replies = [await client.request("POST", "/", body=b"pay") for _ in range(50)]
    assert {(reply.status, reply.body) for reply in replies} == {(200, "balanced")}
    assert world.pods["balanced"][0].requests["POST"] == 50


async def test_a_mode_whose_health_checks_fail_is_left_and_comes_back(world: World) -> None:
    checks = {"healthCheck": {"interval": "1s"}}
    await world.start(loadBalancing=checks, stickySession={"enabled": False})

    async def answering() -> set[str]:
        return set(shares(await send(world.settings.http_port, 200, clients=4)))

    world.pods["fast"][0].health = 500

    async def left() -> bool:
        return "fast" not in await answering()

    async def back() -> bool:
        return "fast" in await answering()

    await until(left, "the unhealthy mode to be left")
    world.pods["fast"][0].health = 200
    await until(back, "the healthy mode to come back")


async def test_with_nothing_healthy_traffic_is_still_tried_in_the_right_shares(world: World) -> None:
    """An application without the health check's path must not be refused for that."""
    for mode in SPLIT:
        (await world.add(mode))[0].health = 404
    await world.start()
    replies = await send(world.settings.http_port, 3000)
    assert {reply.status for reply in replies} == {200}
    assert shares(replies) == pytest.approx(SPLIT, abs=5.5)
    async with world.client() as client:
        for mode in SPLIT:
            assert {(await client.get(cookie=f"accord-mode={mode}")).body for _ in range(10)} == {mode}


async def test_round_robin_stays_exact_with_nothing_healthy(world: World) -> None:
    for mode in SPLIT:
        (await world.add(mode))[0].health = 404
    await world.start(strategy="RoundRobin")
    async with world.client() as client:
        counted = collections.Counter([(await client.get()).body for _ in range(100)])
    assert counted == SPLIT


async def test_without_any_pod_the_answer_is_503(world: World) -> None:
    world.pods = {mode: [] for mode in SPLIT}
    await world.start()
    async with world.client() as client:
        reply = await client.get()
    assert reply.status == 503
    assert reply.header("x-accord-mode") is None


async def test_more_than_the_queue_holds_is_refused_at_once(world: World) -> None:
    """A server whose backlog is full accepts no connection, so requests for it queue in the proxy."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        plugs = [socket.socket() for _ in range(4)]
        for plug in plugs:
            plug.setblocking(False)
            plug.connect_ex(("127.0.0.1", port))
        (pod,) = await world.add("fast")
        await world.start({"fast": 100}, loadBalancing={"maxQueueSize": 5})
        pod.port = port
        world.publish({"fast": 100}, loadBalancing={"maxQueueSize": 5})
        await world.settled()

        async def ask() -> Reply:
            async with world.client() as client:
                return await client.request("POST", "/")

        answers = await asyncio.gather(*(ask() for _ in range(30)))
        for plug in plugs:
            plug.close()
    assert {reply.status for reply in answers} == {503}
    # What waits in vain is told from what may not wait: that is refused for overload.
    refused = [reply for reply in answers if reply.header("x-envoy-overloaded")]
    # Five wait for the pod, and five more as a last resort once its health check has failed.
    assert 15 <= len(refused) < 30


async def test_long_generations_in_great_number_are_not_limited_by_envoys_defaults(world: World) -> None:
    await world.start({"fast": 100}, loadBalancing={"maxQueueSize": 2000})
    world.pods["fast"][0].delay = 3
    replies = await send(world.settings.http_port, 1300, clients=1300, method="POST")
    assert collections.Counter(reply.status for reply in replies) == {200: 1300}
