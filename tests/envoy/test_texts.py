"""Whatever text the CRD lets through, Envoy takes."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from tests.envoy.rig import World, until
from tests.envoy.test_health import mode, record

from accord.api.schema import resource_schema
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic import health
from accord.domain.traffic.observed import DeploymentView

SPEC = resource_schema(TrafficPolicy)["properties"]["spec"]["properties"]


def text(schema: dict[str, Any], draw: random.Random, first: str, last: str = "") -> str:
    """One that the schema allows, of all characters that it allows in the midst of a text."""
    pattern = schema["pattern"]
    allowed = [chr(c) for c in range(256) if re.fullmatch(pattern, f"{first}{chr(c)}{last or 'a'}")]
    length = draw.choice([0, 1, 5, schema["maxLength"] - len(first) - len(last)])
    made = first + "".join(draw.choices(allowed, k=length)) + last
    assert re.fullmatch(pattern, made)
    return made


def policy(draw: random.Random) -> dict[str, Any]:
    sticky, wish = SPEC["stickySession"]["properties"], SPEC["userPreference"]["properties"]
    modes = SPEC["modes"]["items"]["properties"]
    check = modes["healthCheck"]["properties"]
    shared = SPEC["loadBalancing"]["properties"]["healthCheck"]["properties"]["path"]
    return {
        "modes": [
            {
                **mode(
                    text(modes["name"], draw, f"m{n}", "a"),
                    50,
                    path=text(check["path"], draw, "/"),
                    host=text(check["host"], draw, "h"),
                    port=draw.choice([1, 8000, 65535]),
                    scheme=draw.choice(check["scheme"]["enum"]),
                ),
                "appProtocol": draw.choice(modes["appProtocol"]["enum"]),
            }
            for n in range(2)
        ],
        "strategy": draw.choice(["UserPreference", "RoundRobin"]),
        "userPreference": {"header": text(wish["header"], draw, "x"), "cookie": text(wish["cookie"], draw, "w")},
        "stickySession": {
            "cookie": text(sticky["cookie"], draw, "s"),
            "header": text(sticky["header"], draw, "y"),
            "ttl": draw.choice(["1s", "8760h"]),
            "secure": True,
            "sameSite": draw.choice(sticky["sameSite"]["enum"]),
        },
        "loadBalancing": {
            "healthCheck": {"path": text(shared, draw, "/"), "interval": draw.choice(["1s", "1h"])},
            "algorithm": draw.choice(SPEC["loadBalancing"]["properties"]["algorithm"]["enum"]),
            "maxQueueSize": draw.choice([1, 100_000]),
        },
        "router": {"envoy": {"trustedHops": draw.choice([0, 10])}},
    }


async def test_every_text_that_the_crd_allows_is_taken_by_envoy(world: World) -> None:
    draw = random.Random(7)
    await world.start({"m0": 50, "m1": 50})
    for _ in range(40):
        spec = policy(draw)
        weights = {each["name"]: 50 for each in spec["modes"]}
        world.publish(weights, **spec)
        await taken(world, spec)


async def taken(world: World, what: object) -> None:
    def answered() -> bool:
        (proxy,) = world.programming().proxies
        return proxy.accepted or proxy.rejected is not None

    await until(answered, "Envoy to take or refuse it")
    (proxy,) = world.programming().proxies
    assert proxy.rejected is None, what


def anything(draw: random.Random) -> str:
    """A text as Kubernetes stores any, of characters that mean something to somebody."""
    return "".join(draw.choices("\0\t\n\r\x1b \"#$%'/:?@[\\]{|}~\x7f\x80ä\u2028€😀aZ0", k=draw.choice([0, 1, 5, 300])))


def probe(draw: random.Random, port: int) -> dict[str, Any]:
    """A readinessProbe of a Deployment, whose texts the API server hardly looks at."""
    if draw.random() < 0.3:
        return {"grpc": {"port": port, "service": anything(draw)}}
    headers = [{"name": "Host", "value": anything(draw)}] if draw.random() < 0.5 else []
    return {"httpGet": {"path": anything(draw), "port": port, "httpHeaders": headers}}


async def test_every_readiness_probe_becomes_a_check_that_envoy_takes(world: World) -> None:
    draw, kinds = random.Random(11), set()
    await world.start({"fast": 100}, loadBalancing={"healthCheck": {"path": None}})
    for _ in range(60):
        found = probe(draw, 8000)
        modes = [{**mode("fast", 100), "appProtocol": draw.choice(["http", "grpc"])}]
        world.publish({"fast": 100}, modes=modes, loadBalancing={"healthCheck": {"path": None}})
        pod = {"containers": [{"name": "app", "ports": [{"containerPort": 8000}], "readinessProbe": found}]}
        view = DeploymentView.of({"metadata": {"name": "fast"}, "spec": {"template": {"spec": pod}}})
        checks = health.wanted(world.policy.spec, {"fast": view}, [])
        kinds.add(str(checks["fast"]).partition(" ")[0])
        record(world, *health.record(checks))
        await taken(world, found)
    assert kinds == {"GET", "gRPC", "TCP"}


@pytest.mark.parametrize("name", ["50%", "%%", "a%DOWNSTREAM_REMOTE_ADDRESS%b", "!#$%&'*+.^_`|~-"])
async def test_a_cookie_may_have_any_name_that_http_allows(world: World, name: str) -> None:
    await world.start(stickySession={"cookie": name, "secure": True, "sameSite": "None"})
    async with world.client() as client:
        reply = await client.get()
        assert reply.header("set-cookie") == (
            f"{name}={reply.body}; Max-Age=3600; Path=/; HttpOnly; Secure; SameSite=None"
        )
        again = {(await client.get(cookie=f"{name}={reply.body}")).body for _ in range(20)}
    assert again == {reply.body}
