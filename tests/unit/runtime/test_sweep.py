"""What a watch has missed is found, also where the API server does not answer at first."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from accord.adapters.kubernetes.resources import DISRUPTION_BUDGETS, SERVICES, Resource
from accord.domain.plan import ObjectKey
from accord.ports.cluster import ClusterError
from accord.runtime import sweep
from accord.runtime.index import Index
from accord.runtime.sweep import Sweeper


class World:
    """An API server without any object, which may refuse to list some."""

    resources = (SERVICES, DISRUPTION_BUDGETS)

    async def refresh(self) -> None:
        """What the API server serves is known."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.failures = {SERVICES.plural: 3}
        self.gone: list[tuple[str, str, int]] = []
        self.items: list[list[dict[str, Any]]] = []
        """What each listing of Services holds, one after the other."""
        self.index = Index()
        for resource in self.resources:
            meta = {"namespace": "ns", "name": resource.plural, "uid": resource.plural, "resourceVersion": "7"}
            self.index.observe({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta})
        self.sweeper = Sweeper(self, self, (), self.index, self.found)  # type: ignore[arg-type]

    def found(self, resource: Resource, key: ObjectKey, uid: str, revision: int) -> None:
        assert resource.kind == key.kind
        self.gone.append((key.name, uid, revision))

    async def request(self, _: str, __: str, resource: Resource, ___: str, **____: Any) -> Any:
        self.asked[resource.plural] += 1
        if self.asked[resource.plural] <= self.failures.get(resource.plural, 0):
            raise ClusterError(503, "ServiceUnavailable", "not now")
        return {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": meta} for meta in self.listed(resource)]}

    def listed(self, resource: Resource) -> list[dict[str, Any]]:
        return self.items.pop(0) if resource is SERVICES and self.items else []


async def test_a_listing_that_failed_is_repeated_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_RETRY", 0.001)
    world = World()
    running = asyncio.create_task(world.sweeper.run())
    world.sweeper.ask()
    async with asyncio.timeout(120):
        while len(world.gone) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    # What could be listed is not waited for, and not listed again
    assert world.gone == [
        ("poddisruptionbudgets", "poddisruptionbudgets", 9),
        ("services", "services", 9),
    ]
    assert world.asked == {"services": 4, "poddisruptionbudgets": 1}


def service(name: str) -> dict[str, Any]:
    return {"namespace": "ns", "name": name, "uid": name, "resourceVersion": "8"}


async def test_what_a_watch_is_slow_to_show_is_waited_for_and_not_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_RETRY", 0.0)
    world = World()
    world.failures.clear()
    world.items = [[service("late")]]
    catching_up = asyncio.create_task(world.sweeper.catch_up())
    async with asyncio.timeout(120):
        while world.sweeper.problem != "watch of services not synced yet":  # noqa: ASYNC110
            await asyncio.sleep(0)
    world.index.observe({"apiVersion": "v1", "kind": "Service", "metadata": service("late")})
    await catching_up
    assert world.sweeper.problem is None
    assert world.asked == {"services": 1, "poddisruptionbudgets": 1}


async def test_what_has_gone_since_it_was_listed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_RETRY", 0.0)
    world = World()
    world.failures.clear()
    world.items = [[service("gone")], []]
    await world.sweeper.catch_up()
    assert world.sweeper.problem is None
    assert world.asked == {"services": 2, "poddisruptionbudgets": 1}
