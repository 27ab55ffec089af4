"""Health checks as real services need them, and what the operator learns of their outcome."""

from __future__ import annotations

import asyncio
import collections
import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.envoy.load import send, shares
from tests.envoy.rig import NAME, NAMESPACE, SPLIT, World, free_ports, until

from accord.api.v1alpha1.trafficpolicy import HealthCheckInForce, RoutingInForce
from accord.domain.traffic.observed import Counted, Sight
from accord.domain.traffic.routing import style_of

PLAIN: dict[str, Any] = {"stickySession": {"enabled": False}}


def mode(name: str, weight: int, **check: Any) -> dict[str, Any]:
    health = {"healthCheck": check} if check else {}
    return {"name": name, "weight": weight, "port": 8000, "deploymentRef": {"name": name}, **health}


def modes(**checks: dict[str, Any]) -> list[dict[str, Any]]:
    return [mode(name, weight, **checks.get(name, {})) for name, weight in SPLIT.items()]


async def test_each_mode_may_answer_its_health_elsewhere(world: World) -> None:
    (fast,) = await world.add("fast")
    fast.health_path = "/health"
    await world.start(modes=modes(fast={"path": "/health"}), **PLAIN)
    replies = await send(world.settings.http_port, 2000)
    assert shares(replies) == pytest.approx(SPLIT, abs=5.5)


async def test_a_server_that_is_strict_about_its_host_is_checked_with_it(world: World) -> None:
    (fast,) = await world.add("fast")
    fast.strict_host = "shop.example.com"
    await world.start(modes=modes(fast={"path": "/healthz", "host": "shop.example.com"}), **PLAIN)
    replies = await send(world.settings.http_port, 2000)
    assert shares(replies) == pytest.approx(SPLIT, abs=5.5)
    assert set(fast.checked) == {"shop.example.com"}
    (balanced,) = world.pods["balanced"]
    assert set(balanced.checked) == {f"{balanced.host}:{balanced.port}"}, "as the kubelet asks"


async def test_without_a_path_a_connection_is_enough_and_the_recorded_probe_is_used(world: World) -> None:
    for name in SPLIT:
        (pod,) = await world.add(name)
        pod.health_path = "/health"
    unknown = {"loadBalancing": {"healthCheck": {"path": None}}}
    await world.start(**unknown, **PLAIN)
    await world.settled()
    assert shares(await send(world.settings.http_port, 2000)) == pytest.approx(SPLIT, abs=5.5)
    assert world.pods["fast"][0].checked == []
    record(world, HealthCheckInForce(mode="fast", type="HTTP", path="/health", host="strict"))
    await world.settled()
    await until(lambda: "strict" in world.pods["fast"][0].checked, "the recorded check")
    assert shares(await send(world.settings.http_port, 2000)) == pytest.approx(SPLIT, abs=5.5)


def record(world: World, *checks: HealthCheckInForce) -> None:
    """What the leader writes once it has seen the Deployments."""
    world.revision += 1
    routing: RoutingInForce = style_of(world.policy.spec, "2026-01-01T00:00:00Z").model_copy(
        update={"health_checks": list(checks)}
    )
    status = world.policy.status.model_copy(update={"routing": routing})
    meta = world.policy.metadata.model_copy(update={"resource_version": str(world.revision)})
    world.policy = world.policy.model_copy(update={"status": status, "metadata": meta})
    world.publish_to(world.operator)


async def test_health_may_be_answered_over_tls_on_another_port(world: World, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    asked: list[str] = []

    async def health(request: web.Request) -> web.Response:
        asked.append(f"{request.scheme}://{request.headers['host']}{request.path_qs}")
        return web.Response()

    app = web.Application()
    app.router.add_get("/ready", health)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=certificate(tmp_path)).start()
    try:
        check = {"path": "/ready?deep=1", "port": port, "scheme": "HTTPS"}
        await world.start(modes=modes(fast=check), **PLAIN)
        assert shares(await send(world.settings.http_port, 1000)) == pytest.approx(SPLIT, abs=8)
        assert set(asked) == {f"https://127.0.0.1:{port}/ready?deep=1"}
    finally:
        await runner.cleanup()


def certificate(directory: Path) -> ssl.SSLContext:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pod"]
    subprocess.run(
        [*command, "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


async def test_the_operator_learns_what_the_proxies_see(world: World) -> None:
    (fast, other) = await world.add("fast", 2)
    fast.health = other.health = 500
    await world.start(loadBalancing={"healthCheck": {"interval": "1s"}})
    looking = asyncio.create_task(world.operator.router.look())
    try:
        await until(lambda: "fast" in world.programming().sights, "the proxies to be asked")
        assert world.programming().sights == {
            "fast": Sight(2, 0, 0),
            "balanced": Sight(1, 1, 1),
            "creative": Sight(1, 1, 1),
        }
        changes = world.operator.changes
        other.health = 200
        await until(lambda: world.programming().sights["fast"] == Sight(2, 1, 1), "the recovery to be seen")
        assert world.operator.changes > changes
        world.operator.router.forget(NAMESPACE, NAME)
        assert world.programming().sights == {}
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_a_port_that_no_pod_listens_on_is_seen(world: World) -> None:
    (pod,) = await world.add("fast")
    (pod.port,) = free_ports(1)
    await world.start(loadBalancing={"healthCheck": {"path": None}})
    looking = asyncio.create_task(world.operator.router.look())
    try:
        await until(lambda: world.programming().sights.get("fast") == Sight(1, 0, 0), "the dead port to be seen")
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_a_few_posts_answered_500_do_not_move_a_modes_share(world: World) -> None:
    await world.start(**PLAIN)
    fast = world.pods["fast"][0]
    fast.status = 500
    while fast.requests["POST"] < 10:
        await send(world.settings.http_port, 10, clients=2, method="POST")
    fast.status = 200
    assert shares(await send(world.settings.http_port, 2000)) == pytest.approx(SPLIT, abs=5.5)
    assert await world.proxy.stat("cluster.fast.outlier_detection.ejections_active") == 0


async def test_a_pod_that_answers_500_to_everything_is_ejected(world: World) -> None:
    await world.start(**PLAIN)
    world.pods["fast"][0].status = 500

    async def left() -> bool:
        replies = await send(world.settings.http_port, 200, method="POST")
        return collections.Counter(reply.status for reply in replies) == {200: 200}

    await until(left, "the broken pod to be ejected")


async def test_a_mode_named_like_a_part_of_the_proxy_does_not_lead_there(world: World) -> None:
    await world.start({"admin": 100})
    async with world.client() as client:
        reply = await client.get("/stats")
    assert (reply.status, reply.body) == (200, "admin")
    assert json.dumps(reply.headers).find("envoy_") < 0


async def test_the_proxies_count_what_each_mode_gets(world: World) -> None:
    spec: dict[str, Any] = {"monitoring": {"window": "2m", "interval": "1s"}}
    await world.start(**spec, **PLAIN)
    looking = asyncio.create_task(world.operator.router.look())
    try:
        await until(lambda: counted(world).state == "Pending", "the first look")
        await until(lambda: world.programming().looked, "the first look to end")
        replies = await send(world.settings.http_port, 1000)
        answered = collections.Counter(reply.body for reply in replies)
        await look_again(world)
        assert {mode: tally.requests for mode, tally in counted(world).modes.items()} == answered
        assert all(tally.answered == tally.requests for tally in counted(world).modes.values())
        world.pods["fast"][0].status = 500
        failed = await send(world.settings.http_port, 100, method="POST")
        retried = await send(world.settings.http_port, 100)
        await look_again(world)
        fast = counted(world).modes["fast"]
        assert fast.errors == sum(reply.status == 500 for reply in failed)
        assert fast.retries > 20
        assert {reply.status for reply in retried} == {200}
        assert sum(tally.requests for tally in counted(world).modes.values()) == 1200 + fast.retries
        await world.proxy.stop()
        await world.proxy.start(world.policy)
        await until(world.proxy.ready, "the new proxy")
        before = {mode: tally.requests for mode, tally in counted(world).modes.items()}
        world.pods["fast"][0].status = 200
        more = collections.Counter(reply.body for reply in await send(world.settings.http_port, 300))
        await look_again(world)
        assert {mode: tally.requests for mode, tally in counted(world).modes.items()} == {
            mode: before[mode] + more[mode] for mode in SPLIT
        }, "a proxy that restarted counts from nothing"
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def counted(world: World) -> Counted:
    return world.operator.router.counted(world.policy, world.policy.spec.monitoring.window)


async def look_again(world: World) -> None:
    """Two more looks have ended: the second began after now."""
    looker, who = world.operator.router._looker, (NAMESPACE, NAME)
    for _ in range(2):
        looked = looker._books[who].counts._last[world.proxy.pod][0]
        looker.hasten(who)
        await until(lambda looked=looked: looker._books[who].counts._last[world.proxy.pod][0] > looked, "another look")
