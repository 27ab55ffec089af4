"""Which mode answers: weights, stickiness, wishes, the cycle."""

from __future__ import annotations

import collections
from typing import Any

import pytest
from tests.envoy import rig
from tests.envoy.load import send, shares
from tests.envoy.rig import SPLIT, World, make_policy

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy


async def test_ten_thousand_requests_are_split_within_two_points(world: World) -> None:
    await world.start(stickySession={"enabled": False})
    replies = await send(world.settings.http_port, 10_000)
    assert {reply.status for reply in replies} == {200}
    assert shares(replies) == pytest.approx(SPLIT, abs=2)
    assert all(reply.header("x-accord-mode") == reply.body for reply in replies)
    assert all(reply.cookie is None for reply in replies)


async def test_the_cookie_names_the_mode_that_answered_and_keeps_the_user_there(world: World) -> None:
    await world.start()
    async with world.client() as client:
        first = [await client.get() for _ in range(100)]
        assert all(reply.cookie == reply.body for reply in first)
        assert first[0].header("set-cookie") == (
            f"accord-mode={first[0].body}; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax"
        )
        for mode in SPLIT:
            again = [await client.get(cookie=f"theme=dark; accord-mode={mode}") for _ in range(50)]
            assert {reply.body for reply in again} == {mode}
            assert {reply.header("set-cookie") for reply in again} == {None}, "a visit must not prolong the hour"
        stray = [await client.get(cookie="accord-mode=nonsense") for _ in range(50)]
        assert all(reply.status == 200 and reply.cookie == reply.body for reply in stray)


async def test_a_cookie_for_a_mode_of_weight_zero_is_drawn_anew(world: World) -> None:
    await world.start({"fast": 100, "creative": 0}, strategy="UserPreference")
    async with world.client() as client:
        replies = [await client.get(cookie="accord-mode=creative") for _ in range(20)]
        replies += [await client.get(x_accord_mode="creative") for _ in range(20)]
        assert {reply.body for reply in replies} == {"fast"}
        assert {reply.cookie for reply in replies} == {"fast"}


async def test_a_mode_under_a_circuit_breaker_gets_its_part_by_chance_alone_and_its_users_keep_their_cookie(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {"mode": "creative", "since": "2026-03-01T12:00:00Z", "cacheTTL": "1h"}
    states = {
        "open": {**now, "phase": "Open", "share": 0, "cacheTTL": "5m"},
        "recovering": {**now, "phase": "HalfOpen", "share": 50},
        "closed": {**now, "phase": "Closed", "share": 100},
    }
    circuit = states["open"]

    def made(*args: Any, **fields: Any) -> TrafficPolicy:
        policy = make_policy(*args, circuitBreaker={"mode": "creative", "recovery": "Ramp"}, **fields)
        status = {**policy.status.model_dump(by_alias=True), "circuitBreakers": [circuit]}
        return policy.model_copy(update={"status": type(policy.status).model_validate(status)})

    monkeypatch.setattr(rig, "make_policy", made)
    weights = {"fast": 50, "creative": 50}
    await world.start(weights, strategy="UserPreference")
    async with world.client() as client:
        stuck = [await client.get(cookie="accord-mode=creative") for _ in range(50)]
        assert {(reply.status, reply.body, reply.cookie) for reply in stuck} == {(200, "fast", None)}
        assert {(await client.get(x_accord_mode="creative")).body for _ in range(20)} == {"fast"}
        await client.get(x_accord_cache_ttl="7")
        assert world.pods["fast"][0].seen[-1]["x-accord-cache-ttl"] == "300", "what a client sends does not count"
        circuit = states["recovering"]
        world.publish(weights, strategy="UserPreference")
        await world.settled()
        for headers in ({"cookie": "accord-mode=creative"}, {"x_accord_mode": "creative"}):
            drawn = collections.Counter([(await client.get(**headers)).body for _ in range(2000)])
            assert drawn["creative"] / 20 == pytest.approx(25, abs=5)
        circuit = states["closed"]
        world.publish(weights, strategy="UserPreference")
        await world.settled()
        assert {(await client.get(cookie="accord-mode=creative")).body for _ in range(50)} == {"creative"}
        assert world.pods["creative"][0].seen[-1]["x-accord-cache-ttl"] == "3600"


async def test_the_header_keeps_users_without_cookies(world: World) -> None:
    await world.start(stickySession={"header": "x-user-id"})
    async with world.client() as client:
        users = [[(await client.get(x_user_id=f"user-{n}")).body for _ in range(2)] for n in range(1000)]
        assert all(first == second for first, second in users)
        counted = collections.Counter(first for first, _ in users)
        assert {mode: n / 10 for mode, n in counted.items()} == pytest.approx(SPLIT, abs=6)
        before = [first for first, _ in users]
        world.publish({"fast": 50, "balanced": 40, "creative": 10}, stickySession={"header": "x-user-id"})
        await world.settled()
        after = [(await client.get(x_user_id=f"user-{n}")).body for n in range(1000)]
        moved = sum(a != b for a, b in zip(before, after, strict=True))
        assert 0 < moved < 250, "a change of ten points must not reshuffle everybody"


async def test_round_robin_is_exact_in_every_ten(world: World) -> None:
    await world.start(strategy="RoundRobin")
    async with world.client() as client:
        replies = [await client.get() for _ in range(2000)]
        sequence = [reply.body for reply in replies]
        assert all(reply.cookie == reply.body for reply in replies)
        for start in range(len(sequence) - 10):
            assert collections.Counter(sequence[start : start + 10]) == {"fast": 6, "balanced": 3, "creative": 1}
        assert {(await client.get(cookie="accord-mode=creative")).body for _ in range(20)} == {"creative"}
        cheats = [(await client.get(x_accord_slot="9500")).body for _ in range(10)]
        assert collections.Counter(cheats) == {"fast": 6, "balanced": 3, "creative": 1}


async def test_all_requests_without_a_mode_go_through_one_cycle(world: World) -> None:
    await world.start(strategy="RoundRobin")
    async with world.client() as client:
        sequence = [(await client.request(("GET", "POST", "PUT")[n % 3])).body for n in range(300)]
    for start in range(len(sequence) - 10):
        assert collections.Counter(sequence[start : start + 10]) == {"fast": 6, "balanced": 3, "creative": 1}


async def test_round_robin_counts_modes_not_pods(world: World) -> None:
    await world.add("fast", 3)
    await world.add("balanced", 2)
    await world.start(strategy="RoundRobin")
    async with world.client() as client:
        counted = collections.Counter([(await client.get()).body for _ in range(600)])
        assert counted == {"fast": 360, "balanced": 180, "creative": 60}
        world.publish({"fast": 20, "balanced": 30, "creative": 50}, strategy="RoundRobin")
        await world.settled()
        counted = collections.Counter([(await client.get()).body for _ in range(600)])
        assert counted == {"fast": 120, "balanced": 180, "creative": 300}


async def test_round_robin_gives_the_share_of_an_absent_mode_to_the_fallback(world: World) -> None:
    world.pods["balanced"] = []
    await world.start(strategy="RoundRobin", fallbackMode="creative")
    async with world.client() as client:
        counted = collections.Counter([(await client.get()).body for _ in range(100)])
    assert counted == {"fast": 60, "creative": 40}


async def test_a_wish_wins_and_an_unknown_one_falls_through(world: World) -> None:
    await world.start(strategy="UserPreference")
    async with world.client() as client:
        for mode in SPLIT:
            assert {(await client.get(x_accord_mode=mode)).body for _ in range(10)} == {mode}
            assert {(await client.get(cookie=f"accord-preference={mode}")).body for _ in range(10)} == {mode}
        assert (await client.get(x_accord_mode="fast", cookie="accord-preference=creative")).body == "fast"
        assert (await client.get(x_accord_mode="fast", cookie="accord-mode=creative")).body == "fast"
        unknown = [await client.get(x_accord_mode="nonsense") for _ in range(300)]
        assert shares(unknown) == pytest.approx(SPLIT, abs=12)
        assert {(await client.get(x_accord_mode="nonsense", cookie="accord-mode=balanced")).body} == {"balanced"}
