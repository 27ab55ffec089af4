"""A mode's Service and EndpointSlices lost their label while no operator ran: its pods are not taken for gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.domain.builders import NOW, manifest, settled

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names
from accord.domain.traffic.decide import decide
from accord.domain.traffic.observed import Counted, Endpoint, Seen
from accord.domain.traffic.progress import Handover, Pending, Progress
from accord.ports.cluster import ClusterError
from accord.runtime.book import Book
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index
from accord.runtime.traffic import TrafficPolicies
from accord.runtime.unlisted import Unlisted

POLICY = ObjectKey("accord.dev/v1alpha1", "TrafficPolicy", "demo", "shop")
MODES = ("fast", "balanced", "creative")


class Recorder:
    """A router that keeps what it is given."""

    def __init__(self) -> None:
        self.published: list[dict[str, int]] = []

    def publish(
        self, _: TrafficPolicy, endpoints: Mapping[str, tuple[Endpoint, ...]], proxies: object, revision: int
    ) -> None:
        self.published.append({mode: len(pods) for mode, pods in endpoints.items()})

    @property
    def reads(self) -> tuple[()]:
        return ()

    def objects(self, _: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        return ()

    def address(self, _: TrafficPolicy) -> None:
        return None

    def unsupported(self, _: TrafficPolicy) -> tuple[()]:
        return ()

    def progress(self, _: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> Progress:
        return Pending("no proxy is ready yet", "NoReadyProxy")

    def forget(self, namespace: str, name: str) -> None:
        raise AssertionError

    def handover(self, _: TrafficPolicy) -> Handover:
        return Handover()

    def seen(self, _: TrafficPolicy) -> Seen:
        return Seen()

    def counted(self, _: TrafficPolicy, __: timedelta) -> Counted:
        return Counted()

    def awaited_pods(self, _: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> None:
        return None

    def pods_seen(self, _: TrafficPolicy, found: Iterable[Manifest]) -> None:
        raise AssertionError


def service(name: str, version: int = 2, *, labelled: bool = True, uid: str = "u-1") -> Manifest:
    owner = {"apiVersion": POLICY.api_version, "kind": POLICY.kind, "name": "shop", "uid": uid, "controller": True}
    meta = {"namespace": "demo", "name": name, "uid": name, "resourceVersion": str(version), "ownerReferences": [owner]}
    labels = names.labels("shop") if labelled else {names.POLICY_LABEL: "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {**meta, "labels": labels}, "spec": {}}


def slice_of(name: str, version: int = 3) -> Manifest:
    labels = {**names.labels("shop"), "kubernetes.io/service-name": name}
    meta = {"namespace": "demo", "name": f"{name}-x", "uid": f"{name}-x", "resourceVersion": str(version)}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta, "labels": labels},
        "endpoints": [{"addresses": [f"10.0.{len(name)}.1"], "conditions": {"ready": True}}],
        "ports": [{"port": 8080}],
    }


class World:
    """A replica that has listed everything but what has no label."""

    def __init__(self, *seen: str) -> None:
        policy = settled(manifest())
        policy["metadata"] |= {"resourceVersion": "1"}
        self.index, self.router = Index(), Recorder()
        self.traffic = TrafficPolicies(self.index, {"Envoy": self.router}, decide, Book(), Book())
        self.dispatcher = Dispatcher(self.index, (self.traffic,), lambda _: None)
        self.live: dict[str, Manifest] = {}
        self.outage = False
        self.paused: list[float] = []
        self.answers: list[ObjectKey] = []
        for each in (policy, service("shop-router")):
            self.dispatcher.observe(each)
        for mode in seen:
            self.dispatcher.observe(service(f"shop-{mode}"))
            self.dispatcher.observe(slice_of(f"shop-{mode}"))

    async def get(self, key: ObjectKey) -> Manifest | None:
        if self.outage:
            raise ClusterError(0, "Unreachable", "no answer")
        return self.live.get(key.name)

    async def start(self) -> None:
        """Publish, and let the look-ups be answered."""
        self.traffic.start_publishing(Unlisted(self.get, self.dispatcher.observe, self.answered, self.pause))
        await self.rest()

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        await asyncio.sleep(0)

    def answered(self, key: ObjectKey) -> None:
        self.answers.append(key)
        self.traffic.answered(key)

    async def rest(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def ready_pods(self) -> dict[str, Any]:
        plan = self.traffic.plan(self.index.get(POLICY) or {}, {}, NOW)
        assert plan.status is not None
        return {mode["name"]: mode["readyPods"] for mode in plan.status["modes"]}


async def test_the_pods_of_a_mode_that_lost_its_labels_are_kept_until_its_slices_are_seen_again() -> None:
    world = World("balanced", "creative")
    world.live["shop-fast"] = service("shop-fast", 5, labelled=False)
    await world.start()
    assert all("fast" not in each for each in world.router.published), "nothing is said of its pods"
    assert world.index.get(ObjectKey("v1", "Service", "demo", "shop-fast")) is not None, "a pass can put the label back"
    assert world.ready_pods() == dict.fromkeys(MODES, 1), "the status moves nothing either"
    world.dispatcher.observe(service("shop-fast", 6))
    assert "fast" not in world.router.published[-1], "the slices follow the Service a moment later"
    world.dispatcher.observe(slice_of("shop-fast", 7))
    assert world.router.published[-1] == dict.fromkeys(MODES, 1)


@pytest.mark.parametrize("live", [None, service("shop-fast", uid="of another policy")])
async def test_a_service_that_is_really_gone_has_no_pods(live: Manifest | None) -> None:
    world = World("balanced", "creative")
    world.live = {"shop-fast": live} if live else {}
    await world.start()
    assert "fast" not in world.router.published[0]
    assert world.router.published[-1]["fast"] == 0
    assert world.ready_pods()["fast"] == 0
    assert world.answers == [POLICY]


async def test_what_the_api_server_does_not_answer_stays_unknown() -> None:
    world = World("balanced", "creative")
    world.outage = True
    await world.start()
    world.dispatcher.observe(slice_of("shop-balanced", 9))
    assert all("fast" not in each for each in world.router.published)
    assert world.ready_pods()["fast"] == 1
    world.outage = False
    await world.rest()
    assert world.router.published[-1]["fast"] == 0


async def test_what_is_not_answered_is_asked_ever_more_seldom() -> None:
    world = World("balanced", "creative")
    world.outage = True
    await world.start()
    await world.rest()
    await world.rest()
    assert world.paused[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert world.answers == []
    world.outage = False
    await world.rest()
    assert world.answers == [POLICY]


async def test_nothing_is_asked_where_everything_was_listed() -> None:
    world = World(*MODES)
    await world.start()
    assert world.answers == []
    assert world.router.published[-1] == dict.fromkeys(MODES, 1)
