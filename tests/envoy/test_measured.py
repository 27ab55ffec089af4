"""The split as a real proxy counts it, from its statistics to the condition."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from tests.envoy.load import send
from tests.envoy.rig import World, until
from tests.envoy.test_health import PLAIN, counted, look_again

from accord.domain.plan import Plan
from accord.domain.samples import Answer
from accord.domain.traffic import failures
from accord.domain.traffic.breaker import Reading
from accord.domain.traffic.decide import decide
from accord.domain.traffic.observed import DeploymentView, Measurement, Observed, RouterView
from accord.runtime.book import Book
from accord.runtime.index import Index
from accord.runtime.traffic import TrafficPolicies

NOBODY = Answer(failure="UnknownEndpoint", message="there is no Prometheus endpoint 'default'")


@pytest.fixture
async def measured(world: World) -> AsyncIterator[World]:
    """A world whose proxy was read once."""
    spec: dict[str, Any] = {"monitoring": {"window": "2m"}}
    await world.start(**spec, **PLAIN)
    looking = asyncio.create_task(world.operator.router.look())
    await until(lambda: world.programming().looked, "the first look")
    yield world
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


def interpreted(world: World, answer: Answer) -> Measurement:
    """As the sampler does it."""
    traffic = TrafficPolicies(Index(), {"Envoy": world.operator.router}, decide, Book(), Book())
    return traffic.interpret(world.policy, answer, datetime.now(UTC))


def decided(world: World, measurement: Measurement) -> Plan:
    """The decision on what is known, long after the shares changed last."""
    deployments = {mode: DeploymentView(mode, {"app": mode}, ready_replicas=1) for mode in world.pods}
    router = RouterView(
        progress=world.operator.router.progress(world.policy, {}),
        handover=world.operator.router.handover(world.policy),
        seen=world.operator.router.seen(world.policy),
    )
    status = decide(
        Observed(world.policy, deployments, {}, world.endpoints(), router), datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert status.status is not None
    policy = type(world.policy).model_validate({**world.policy.model_dump(by_alias=True), "status": status.status})
    observed = Observed(policy, deployments, {}, world.endpoints(), router, measurement)
    return decide(observed, measurement.at)


def condition(plan: Plan) -> dict[str, Any]:
    assert plan.status is not None
    return next(each for each in plan.status["conditions"] if each["type"] == "WithinTarget")


async def test_without_any_prometheus_the_split_is_in_the_status(measured: World) -> None:
    answered = collections.Counter(reply.body for reply in await send(measured.settings.http_port, 2000))
    await look_again(measured)
    plan = decided(measured, interpreted(measured, NOBODY))
    assert plan.status is not None
    assert {mode["name"]: mode["actual"] for mode in plan.status["modes"]} == {
        mode: round(number / 20, 1) for mode, number in answered.items()
    }
    assert plan.status["countedBy"] == "Proxies"
    assert condition(plan)["status"] == "True"
    assert condition(plan)["message"].endswith(
        "counted by the proxies, not by the service: there is no Prometheus endpoint 'default'"
    )


async def test_requests_past_the_router_are_told_from_a_router_that_splits_wrongly(measured: World) -> None:
    await send(measured.settings.http_port, 2000)
    await look_again(measured)
    service = Measurement("Measured", datetime.now(UTC), {"fast": 1200, "balanced": 600, "creative": 3000})
    past = decided(measured, replace(service, proxies=counted(measured)))
    assert (condition(past)["status"], condition(past)["reason"]) == ("False", "Deviation")
    assert "the proxies split requests as specified, so some bypass the router" in condition(past)["message"]
    # When the router itself is what splits otherwise, for requests that wish for a mode
    measured.publish(strategy="UserPreference", monitoring={"window": "2m"}, **PLAIN)
    await measured.settled()
    await send(measured.settings.http_port, 3000, **{"x-accord-mode": "creative"})
    await look_again(measured)
    wished = condition(decided(measured, replace(service, proxies=counted(measured))))
    assert (wished["status"], wished["reason"]) == ("False", "Deviation")
    assert "bypass the router" not in wished["message"]


async def test_a_breaker_knows_failures_by_the_proxies_alone_also_those_that_nobody_saw(world: World) -> None:
    await world.start(circuitBreaker=BREAKER, **PLAIN)
    looking = asyncio.create_task(world.operator.router.look())
    try:
        await until(lambda: read(world).outcome == "Known", "two looks")
        (creative,) = world.pods["creative"]
        creative.status = 500
        replies = await send(world.settings.http_port, 400)
        assert {reply.status for reply in replies} == {200}, "each was repeated elsewhere"
        failed = creative.requests["GET"]
        await until(lambda: read(world).failures >= failed, "the failures")
        assert (read(world).failures, failed > 10) == (failed, True)
        # That a pod cannot be reached is no failure of what it serves.
        await creative.stop()
        await send(world.settings.http_port, 200)
        await look_again(world)
        assert read(world).failures == failed
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def read(world: World) -> Reading:
    found = failures.by_proxies(
        world.policy, None, partial(world.operator.router.counted, world.policy), datetime.now(UTC)
    )
    assert found is not None
    return found.modes["creative"]


BREAKER = {
    "mode": "creative",
    "countedBy": "Proxies",
    "window": "10m",
    "shiftTo": [{"mode": "balanced", "weight": 100}],
}
