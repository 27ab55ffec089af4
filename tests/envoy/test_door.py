"""The discovery server against whoever can reach it. Addresses of loopback stand for those of pods."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.envoy.rig import KEY, NAME, NAMESPACE, World, make_policy, until
from tests.envoy.served import PROXY

from accord.domain.traffic.observed import Endpoint

STRANGER = "127.0.0.3"
NODE = f"{NAMESPACE}/{NAME}/router-0"


def poll(node: str = NODE, version: str = "", *names: str) -> bytes:
    request = {"node": {"id": node}, "version_info": version, **({"resource_names": list(names)} if names else {})}
    return json.dumps(request).encode()


async def ask(
    port: int, address: str, path: str, body: bytes, patience: float = 300, headers: str = ""
) -> tuple[int, bytes]:
    """Status and body of one request from that address; (0, b"") where the connection is closed without a word."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            try:
                writer.write(head.encode() + body)
                answer = await reader.read()
            finally:
                writer.transport.abort()
    except OSError:
        return 0, b""
    return (int(answer.split(b" ", 2)[1]) if answer else 0), answer.partition(b"\r\n\r\n")[2]


@pytest.fixture
async def door(world: World) -> World:
    """A served policy whose one proxy has the address `PROXY`."""
    await world.add("fast")
    at(world, PROXY)
    await world.operator.start(world.settings.xds_port)
    return world


def at(world: World, *addresses: str) -> None:
    world.revision += 1
    world.policy = make_policy({"fast": 100}, revision=world.revision)
    proxies = tuple(Endpoint(address, ready=True, pod=f"router-{n}") for n, address in enumerate(addresses))
    world.operator.router.publish(world.policy, world.endpoints(), proxies, world.revision)


async def test_a_pod_of_the_router_is_answered_and_believed(door: World) -> None:
    port = door.settings.xds_port
    for kind in ("clusters", "routes", "listeners"):
        status, body = await ask(port, PROXY, f"/v3/discovery:{kind}", poll())
        assert status == 200
        version = json.loads(body)["version_info"]
        held = asyncio.create_task(ask(port, PROXY, f"/v3/discovery:{kind}", poll(NODE, version)))
        waiting = len(door.operator.router._waiters) + 1
        await until(lambda waiting=waiting: len(door.operator.router._waiters) >= waiting, "the poll to be held")
        held.cancel()
    assert door.programming().routes_settled
    assert door.programming().proxies[0].accepted


@pytest.mark.parametrize(
    ("address", "node"),
    [
        (STRANGER, NODE),
        (PROXY, f"{NAMESPACE}/{NAME}/router-1"),
        (PROXY, f"{NAMESPACE}/other/router-0"),
        (PROXY, f"other/{NAME}/router-0"),
    ],
)
async def test_nobody_speaks_for_another_pod(door: World, address: str, node: str) -> None:
    port = door.settings.xds_port
    status, body = await ask(port, PROXY, "/v3/discovery:routes", poll())
    version = json.loads(body)["version_info"]
    kinds = ("clusters", "routes", "listeners")
    asked = (ask(port, address, f"/v3/discovery:{kind}", poll(node, version)) for kind in kinds)
    for status, body in await asyncio.gather(*asked):
        assert status == 403
        assert b"version_info" not in body
    assert not door.programming().routes_settled
    assert not door.programming().proxies[0].accepted


async def test_a_new_pod_that_is_faster_than_the_watch_is_answered_once_it_is_known(door: World) -> None:
    early = asyncio.create_task(ask(door.settings.xds_port, STRANGER, "/v3/discovery:routes", poll(NODE[:-1] + "1")))
    await until(lambda: len(door.operator.router._waiters) > 0, "the poll to be held")
    at(door, PROXY, STRANGER)
    assert (await early)[0] == 200


async def test_a_proxy_whose_address_the_network_hides_is_named_until_it_is_heard(world: World) -> None:
    """A real proxy, which polls from 127.0.0.1; that is not the address that the EndpointSlice has."""

    def polls_from() -> str | None:
        return world.programming().proxies[0].polls_from

    await world.add("fast")
    at(world, STRANGER)
    await world.operator.start(world.settings.xds_port)
    await world.proxy.start(world.policy)
    await until(polls_from, "the polls to be noticed")
    assert polls_from() == "127.0.0.1"
    changes = world.operator.changes
    assert (await ask(world.settings.xds_port, PROXY, "/v3/discovery:routes", poll()))[0] == 403
    assert (polls_from(), world.operator.changes) == ("127.0.0.1", changes), "others cannot make it change"
    at(world, "127.0.0.1")
    await until(lambda: world.programming().proxies[0].accepted, "the proxy to be answered")
    assert polls_from() is None
    at(world, STRANGER)
    assert (await ask(world.settings.xds_port, PROXY, "/v3/discovery:routes", poll()))[0] == 403
    assert polls_from() is None, "of a proxy that was heard nobody else can say it"


async def test_polls_in_the_name_of_nobody_are_not_remembered(door: World) -> None:
    named = (poll(node) for node in ("a/b", f"{NAMESPACE}/{NAME}/router-9", f"{NAMESPACE}/x/router-0"))
    bodies = (b"", b"{", b" " * 2000 + poll(), *named)
    asked = (ask(door.settings.xds_port, STRANGER, "/v3/discovery:routes", body) for body in bodies)
    assert {status for status, _ in await asyncio.gather(*asked)} == {403}
    published = door.operator.router._policies[NAMESPACE, NAME]
    assert (published._polls_from, door.operator.changes) == ({}, 0)


async def test_a_stranger_that_goes_or_never_ends_its_poll_is_no_error_of_ours(
    door: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def begin(headers: bytes, body: bytes, *, stay: bool) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.settings.xds_port, local_addr=(STRANGER, 0))
        writer.write(b"POST /v3/discovery:routes HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n\r\n" + body)
        if not stay:
            await until(lambda: len(door.operator.router._waiters) > 0, "the poll to be held")
            writer.transport.abort()
        with contextlib.suppress(OSError):
            return (await reader.read()).split(b"\r\n")[0]
        return b""

    length, chunked = b"content-length: 100", b"transfer-encoding: chunked"
    answers = await asyncio.gather(
        begin(length, b"", stay=True),
        begin(chunked, b"5\r\n", stay=True),
        begin(length, b"{", stay=False),
    )
    assert answers[:2] == [b"HTTP/1.1 403 Forbidden"] * 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_an_address_that_changes_hands_loses_its_rights(door: World) -> None:
    at(door, STRANGER)
    status, _ = await ask(door.settings.xds_port, PROXY, "/v3/discovery:routes", poll())
    assert status == 403
    assert (await ask(door.settings.xds_port, STRANGER, "/v3/discovery:routes", poll()))[0] == 200
    door.operator.router.forget(NAMESPACE, NAME)
    assert not door.operator.router.knows(STRANGER)


async def test_only_the_leaders_own_standbys_pass_on_acknowledgements(door: World) -> None:
    port, path = door.settings.xds_port, "/accord/acknowledgements"
    _, body = await ask(port, PROXY, "/v3/discovery:routes", poll())
    version = json.loads(body)["version_info"]
    said = [{"node": NODE, "kind": "routes", "name": "", "version": version, "refused": "x"}]
    forged = json.dumps(said).encode()
    for headers in ("", "authorization: Bearer guess\r\n", "authorization: Bearer \xff\r\n"):
        for address in (PROXY, STRANGER):
            assert (await ask(port, address, path, forged, headers=headers))[0] == 403
    routes = door.operator.router._policies[NAMESPACE, NAME].acks
    assert [record.runs for _, key, record in routes.everything() if key.kind == "routes"] == [""]
    assert (await ask(port, STRANGER, path, forged, headers=f"authorization: Bearer {KEY}\r\n"))[0] == 204
    assert [record.runs for _, key, record in routes.everything() if key.kind == "routes"] == [version.split("-")[1]]


async def test_names_that_nothing_has_are_not_remembered(door: World) -> None:
    asking = [
        asyncio.create_task(ask(door.settings.xds_port, PROXY, "/v3/discovery:endpoints", poll(NODE, "", f"mode-{n}")))
        for n in range(200)
    ]
    await until(lambda: len(door.operator.router._waiters) == 200, "the polls to be held")
    assert not list(door.operator.router._policies[NAMESPACE, NAME].acks.everything())
    for each in asking:
        each.cancel()


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("/v3/discovery:clusters", "{", "invalid JSON"),
        ("/v3/discovery:clusters", "[" * 100_000, "invalid JSON"),
        ("/v3/discovery:clusters", "[]", "must be a DiscoveryRequest"),
        ("/v3/discovery:clusters", "{}", "node.id must be <namespace>/<policy>/<pod>, not None"),
        ("/v3/discovery:clusters", '{"node": {"id": "a/b"}}', "not 'a/b'"),
        ("/v3/discovery:secrets", '{"node": {"id": "a/b/c"}}', "unknown resource type 'secrets'"),
        ("/v3/discovery:endpoints", '{"node": {"id": "a/b/c"}}', "resource_names must name exactly one cluster"),
        ("/v3/discovery:endpoints", poll("a/b/c", "", "x" * 64).decode(), "must have at most 63 characters"),
        ("/v3/discovery:routes", '{"node": {"id": "a/b/c"}, "version_info": 7}', "version_info must be a string"),
        ("/v3/discovery:routes", poll("a/b/c", "9" * 5000 + "-x").decode(), "must have at most 64 characters"),
        ("/accord/acknowledgements", "{}", "must be a list"),
        ("/accord/acknowledgements", "[{}]", "needs the strings node, kind, name, version and refused"),
    ],
)
async def test_malformed_requests_are_told_what_is_wrong(door: World, path: str, body: str, complaint: str) -> None:
    headers = f"authorization: Bearer {KEY}\r\n"
    status, answer = await ask(door.settings.xds_port, PROXY, path, body.encode(), headers=headers)
    assert status == 400
    assert complaint in answer.decode()


async def test_a_body_that_is_too_large_is_refused(door: World) -> None:
    assert (await ask(door.settings.xds_port, PROXY, "/v3/discovery:clusters", b" " * 600_000))[0] == 413


async def test_polls_are_held_and_released_at_once(door: World) -> None:
    unknown = poll(NODE, "", "nothing")
    asking = [
        asyncio.create_task(ask(door.settings.xds_port, PROXY, "/v3/discovery:endpoints", unknown)) for _ in range(300)
    ]
    await until(lambda: len(door.operator.router._waiters) == 256, "as many to be held as one pod may have")
    await until(lambda: sum(each.done() for each in asking) == 44, "the others to be answered")
    await asyncio.wait_for(door.operator.stop(), 30)
    assert collections.Counter([(await each)[0] for each in asking]) == {304: 256, 503: 44}


async def test_without_the_check_of_addresses_whoever_asks_is_answered(world: World) -> None:
    world.operator.settings = world.settings = world.settings.__class__(
        **{**vars(world.settings), "verify_peers": False}
    )
    await world.operator.stop()
    await world.add("fast")
    at(world, PROXY)
    await world.operator.start(world.settings.xds_port)
    assert (await ask(world.settings.xds_port, STRANGER, "/v3/discovery:routes", poll()))[0] == 200


# An attack, on a process of its own, so that its memory is that of nothing else.


@pytest.fixture
async def served() -> AsyncIterator[tuple[int, int]]:
    """Port and process id of `served`."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'operator'}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.envoy.served", stdin=-1, stdout=-1, stderr=-3, env=environment, cwd=root
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(await asyncio.wait_for(process.stdout.readline(), 300)), process.pid
    finally:
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 60)
        if process.returncode is None:
            process.kill()
            await process.wait()


def resident(pid: int) -> float:
    """MiB of memory that a process holds."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


async def in_waves(count: int, make: Callable[[int], Awaitable[tuple[int, bytes]]]) -> collections.Counter[int]:
    """That many requests, a hundred at a time: how often each status came."""
    limit = asyncio.Semaphore(100)

    async def one(number: int) -> int:
        async with limit:
            return (await make(number))[0]

    return collections.Counter(await asyncio.gather(*(one(number) for number in range(count))))


async def test_ten_thousand_hostile_polls_cost_no_memory_and_move_nothing(served: tuple[int, int]) -> None:
    port, pid = served
    kinds = ("clusters", "endpoints", "listeners", "routes", "secrets")

    async def from_strangers(number: int) -> tuple[int, bytes]:
        address = f"127.0.{1 + number % 50}.{1 + number % 200}"
        node = NODE if number % 2 else f"namespace-{number}/policy-{number}/pod-{number}"
        version = ("9" * 5000 if number % 3 else f"{number}") + "-" + "f" * 16
        body = poll(node, version, f"mode-{number}" * 8) + b" " * (number % 7) * 20_000
        return await ask(port, address, f"/v3/discovery:{kinds[number % 5]}", body)

    async def from_a_proxy(number: int) -> tuple[int, bytes]:
        node = (NODE, f"{NAMESPACE}/{NAME}/router-{number}", f"other-{number}/{NAME}/router-0")[number % 3]
        version = "9" * 5000 if node == NODE else f"{number}-{'f' * 16}"
        return await ask(port, PROXY, f"/v3/discovery:{kinds[number % 4]}", poll(node, version, f"mode-{number}"))

    async def forged(number: int) -> tuple[int, bytes]:
        said = [{"node": NODE, "kind": "routes", "name": f"{number}", "version": f"{number}-f", "refused": "x"}]
        return await ask(port, STRANGER, "/accord/acknowledgements", json.dumps(said * 50).encode())

    await in_waves(500, from_strangers)
    await in_waves(500, from_a_proxy)
    await in_waves(200, forged)
    before = resident(pid)
    assert set(await in_waves(6000, from_strangers)) <= {0, 403, 503}
    assert set(await in_waves(3000, from_a_proxy)) == {400, 403}
    assert set(await in_waves(1000, forged)) <= {0, 403}
    idle = []
    for number in range(1000):
        sock = socket.socket()
        sock.bind((f"127.1.{number // 200}.{1 + number % 200}", 0))
        sock.connect(("127.0.0.1", port))
        idle.append(sock)
    assert (await ask(port, PROXY, "/v3/discovery:routes", poll()))[0] == 200, "a proxy is served meanwhile"
    grown = resident(pid) - before
    for sock in idle:
        sock.close()
    assert grown < 10
