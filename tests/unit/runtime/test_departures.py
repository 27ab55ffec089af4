"""What a watch by label shows no more: deleted, or only without the label."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from accord.adapters.kubernetes.resources import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    JOBS,
    PODS,
    SERVICES,
    SNAPSHOTS,
    Resource,
)
from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.ports.cluster import ClusterError
from accord.runtime.departures import Departures
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index

POLICY = ObjectKey("accord.dev/v1alpha1", "TrafficPolicy", "ns", "p")
OWNER = {"apiVersion": POLICY.api_version, "kind": POLICY.kind, "name": "p", "uid": "policy", "controller": True}


def made(resource: Resource, version: int, *, uid: str = "u", labelled: bool = True, owner: Any = OWNER) -> Manifest:
    labels = {"app.kubernetes.io/managed-by": "accord"} if labelled else {}
    meta = {"namespace": "ns", "name": "x", "uid": uid, "resourceVersion": str(version), "labels": labels}
    owners = {"ownerReferences": [owner]} if owner else {}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {**meta, **owners}}


class World:
    """An index, and an API server that has one object, or none, or no answer."""

    def __init__(self) -> None:
        self.index = Index()
        self.live: Manifest | ClusterError | None = None
        self.asked: list[ObjectKey] = []
        self.paused: list[float] = []
        self.later: Callable[[], object] = lambda: None
        """What happens while an answer is waited for."""
        taking = Dispatcher(self.index, (), lambda _: None)
        self.departures = Departures(self.index, self.get, taking, self.pause)
        meta = {"namespace": "ns", "name": "p", "uid": "policy", "resourceVersion": "1"}
        self.policy = {"apiVersion": POLICY.api_version, "kind": POLICY.kind, "metadata": meta}
        self.index.observe(self.policy)

    async def get(self, key: ObjectKey) -> Manifest | None:
        self.asked.append(key)
        if isinstance(self.live, ClusterError):
            raise self.live
        return self.live

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        if len(self.paused) == 8:
            self.later()
        assert len(self.paused) < 20, "asked for ever"

    async def left(self, resource: Resource, version: int = 5) -> Manifest | None:
        """The watch says DELETED; what is known of the object then."""
        key = ObjectKey(resource.api_version, resource.kind, "ns", "x")
        self.departures.gone(resource, key, "u", version)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others)
        return self.index.get(key)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("resource", [SERVICES, DISRUPTION_BUDGETS, JOBS, ENDPOINT_SLICES])
async def test_an_object_that_only_lost_its_label_stays_known(world: World, resource: Resource) -> None:
    world.index.observe(made(resource, 2))
    world.live = made(resource, 5, labelled=False)
    known = await world.left(resource)
    assert known is not None
    assert known["metadata"]["labels"] == {}, "so that a pass sees what is missing"


async def test_an_object_that_was_deleted_is_gone(world: World) -> None:
    world.index.observe(made(SERVICES, 2))
    assert await world.left(SERVICES) is None


async def test_one_of_the_same_name_is_another(world: World) -> None:
    world.index.observe(made(SERVICES, 2))
    world.live = made(SERVICES, 6, uid="another")
    known = await world.left(SERVICES)
    assert known is not None
    assert known["metadata"]["uid"] == "another"


NO_ANSWERS = [
    (0, "Unreachable"),
    (503, "ServiceUnavailable"),
    (500, "InternalError"),
    (429, "TooManyRequests"),
    (408, "Timeout"),
]


@pytest.mark.parametrize("no_answer", NO_ANSWERS)
async def test_without_an_answer_nothing_is_known_and_it_is_asked_again(
    world: World, no_answer: tuple[int, str]
) -> None:
    world.index.observe(made(JOBS, 2))
    world.live = ClusterError(*no_answer, "no answer")
    known: list[Manifest | None] = []

    def answers() -> None:
        known.append(world.index.get(ObjectKey("batch/v1", "Job", "ns", "x")))
        world.live = made(JOBS, 5, labelled=False)

    world.later = answers
    after = await world.left(JOBS)
    assert known != [None], "a second Job could be made meanwhile"
    assert after is not None
    assert after["metadata"]["labels"] == {}
    assert world.paused == [0.5, 1, 2, 4, 8, 15, 15, 15]


async def test_it_is_asked_no_more_once_its_owner_goes(world: World) -> None:
    world.index.observe(made(JOBS, 2))
    world.live = ClusterError(0, "Unreachable", "no answer")
    going = {"resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    policy = {**world.policy, "metadata": {**world.policy["metadata"], **going}}
    world.later = lambda: world.index.observe(policy)
    assert await world.left(JOBS) is None


async def test_where_asking_is_forbidden_the_watch_is_believed(world: World) -> None:
    world.index.observe(made(SERVICES, 2))
    world.live = ClusterError(403, "Forbidden", "no right to get it")
    assert await world.left(SERVICES) is None
    assert world.paused == []


async def test_what_goes_with_its_owner_is_not_asked_for(world: World) -> None:
    # Given children of a policy that is gone, and of one that is going
    world.index.observe(made(SERVICES, 2, owner={**OWNER, "uid": "earlier"}))
    assert await world.left(SERVICES) is None
    going = {"resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    world.index.observe({**world.policy, "metadata": {**world.policy["metadata"], **going}})
    world.index.observe(made(DISRUPTION_BUDGETS, 8))
    assert await world.left(DISRUPTION_BUDGETS, 9) is None
    # Then a namespace with a thousand of them costs no request
    assert world.asked == []


async def test_what_is_watched_without_a_label_and_pods_are_believed_at_once(world: World) -> None:
    for resource in (DEPLOYMENTS, SNAPSHOTS, PODS):
        world.index.observe(made(resource, 2))
        assert await world.left(resource) is None
    assert world.asked == []
