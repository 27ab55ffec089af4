"""What the operator knows of the proxies: accepted, refused, warm; and what several replicas make of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.envoy.rig import NAME, NAMESPACE, SPLIT, Operator, World, free_ports, until

from accord.adapters.routers.envoy import offering


async def test_a_proxy_acknowledges_and_becomes_warm(world: World) -> None:
    await world.start()
    await world.settled()
    programming = world.programming()
    assert programming.published_at is not None
    assert [(proxy.name, proxy.ready, proxy.rejected) for proxy in programming.proxies] == [("router-0", True, None)]
    assert programming.routes_settled
    await until(lambda: world.operator.warm_when_told == set(SPLIT), "to be told that all modes are warm")

    async def quiet() -> bool:
        changes = world.operator.changes
        await asyncio.sleep(0.5)
        return world.operator.changes == changes

    await until(quiet, "nothing to be told where nothing changed")


async def test_a_mode_without_pods_keeps_nobody_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offering, "WARM_AFTER", timedelta(hours=1))
    world.pods["creative"] = []
    await world.start()
    await until(lambda: "creative" in world.programming().warm, "the empty mode to be warm")
    assert world.programming().warm == {"creative"}


async def test_without_a_ready_proxy_there_is_nothing_to_wait_for(world: World) -> None:
    world.ready_proxies = ()
    world.publish()
    programming = world.programming()
    assert programming.warm == set(SPLIT)
    assert programming.routes_settled
    assert programming.proxies == ()


async def test_a_refused_configuration_is_seen_and_healed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.start()
    await world.settled()
    sound = offering.route_configuration

    def broken(intent: offering.RoutingIntent) -> dict[str, object]:
        routes = sound(intent)
        routes["virtual_hosts"][0]["routes"][0]["match"] = {"safe_regex": {"regex": "("}}
        return routes

    with monkeypatch.context() as patch:
        patch.setattr(offering, "route_configuration", broken)
        world.publish({"fast": 50, "balanced": 40, "creative": 10})
        await until(lambda: world.programming().proxies[0].rejected, "the refusal to be seen")
        (proxy,) = world.programming().proxies
        assert proxy.rejected is not None
        assert "router-0 refuses the routes" in proxy.rejected
        assert not proxy.accepted
        assert not world.programming().routes_settled
        refused = 0

        async def offered_again() -> bool:
            return await world.proxy.stat("http.modes.rds.modes.update_rejected") >= refused

        for refused in (3, 4):
            await until(offered_again, f"refusal {refused}")
        known = world.operator.router._policies[NAMESPACE, NAME].acks.everything()
        (record,) = [record for _, key, record in known if key.kind == "routes"]
        assert record.resend_at is not None, "it is offered again with pauses"
        async with world.client() as client:
            assert (await client.get()).status == 200, "the proxy keeps what it had"
    world.publish()
    await world.settled()
    assert world.programming().proxies[0].rejected is None


async def test_a_replica_that_lags_never_takes_a_proxy_back(world: World) -> None:
    await world.start({"fast": 100, "balanced": 0})
    stale = Operator(world.settings)
    world.publish_to(stale)
    world.publish({"fast": 0, "balanced": 100})
    await world.settled()
    await world.operator.stop()
    await stale.start(world.settings.xds_port)
    try:
        async with world.client() as client:
            for _ in range(60):
                assert (await client.get()).body == "balanced"
                await asyncio.sleep(0.1)
        world.publish_to(stale)
        await until(
            lambda: all(proxy.accepted for proxy in stale.router.programming(NAMESPACE, NAME).proxies),
            "the replica to catch up",
        )
        world.revision += 1
    finally:
        await stale.stop()


async def test_a_standby_tells_the_leader(world: World) -> None:
    (port,) = free_ports(1)
    leader = Operator(world.settings)
    await leader.start(port)
    try:
        world.operator.leader = lambda: f"http://127.0.0.1:{port}"
        for mode in SPLIT:
            await world.add(mode)
        world.publish()
        world.publish_to(leader)
        await world.start()
        world.publish_to(leader)

        def known() -> bool:
            programming = leader.router.programming(NAMESPACE, NAME)
            return programming.routes_settled and all(proxy.accepted for proxy in programming.proxies)

        await until(known, "the leader to know")
        await until(lambda: leader.router.programming(NAMESPACE, NAME).warm == set(SPLIT), "modes warm there")
    finally:
        await leader.stop()


async def test_a_new_leader_is_told_what_is_known(world: World) -> None:
    await world.start()
    await world.settled()
    (port,) = free_ports(1)
    leader = Operator(world.settings)
    await leader.start(port)
    try:
        world.publish_to(leader)
        world.operator.leader = lambda: f"http://127.0.0.1:{port}"
        # Any poll tells the standby of the new leader; a changed endpoint makes one.
        await world.add("fast")
        world.publish()
        world.publish_to(leader)
        await until(lambda: leader.router.programming(NAMESPACE, NAME).routes_settled, "the leader to know")
    finally:
        await leader.stop()


async def test_a_spec_that_flips_quickly_is_refused_by_nobody(world: World) -> None:
    """New clusters make the proxy subscribe to endpoints anew, as if it had none."""
    await world.start()
    rejected: list[str] = []
    for number in range(60):
        check = {"path": "/healthz", "interval": f"{1 + number % 7}s"}
        world.publish(
            {"fast": 60 - number % 2, "balanced": 30 + number % 2, "creative": 10}, loadBalancing={"healthCheck": check}
        )
        for _ in range(1 + number % 6):
            await asyncio.sleep(0.02)
            rejected += [proxy.rejected for proxy in world.programming().proxies if proxy.rejected is not None]
    await world.settled()
    assert rejected == []
    for name in SPLIT:
        assert await world.proxy.stat(f"cluster.{name}.update_rejected") == 0
