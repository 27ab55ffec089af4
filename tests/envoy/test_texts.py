"""Whatever text the CRD lets through, Envoy takes."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from tests.envoy.rig import World, until
from tests.envoy.test_health import mode

from accord.api.schema import resource_schema
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy

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
            mode(
                text(modes["name"], draw, f"m{n}", "a"),
                50,
                path=text(check["path"], draw, "/"),
                host=text(check["host"], draw, "h"),
            )
            for n in range(2)
        ],
        "strategy": draw.choice(["UserPreference", "RoundRobin"]),
        "userPreference": {"header": text(wish["header"], draw, "x"), "cookie": text(wish["cookie"], draw, "w")},
        "stickySession": {"cookie": text(sticky["cookie"], draw, "s"), "header": text(sticky["header"], draw, "y")},
        "loadBalancing": {"healthCheck": {"path": text(shared, draw, "/")}},
    }


async def test_every_text_that_the_crd_allows_is_taken_by_envoy(world: World) -> None:
    draw = random.Random(7)
    await world.start({"m0": 50, "m1": 50})
    for _ in range(40):
        spec = policy(draw)
        weights = {each["name"]: 50 for each in spec["modes"]}
        world.publish(weights, **spec)

        def answered() -> bool:
            (proxy,) = world.programming().proxies
            return proxy.accepted or proxy.rejected is not None

        await until(answered, "Envoy to take or refuse it")
        (proxy,) = world.programming().proxies
        assert proxy.rejected is None, spec


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
