"""One pass: the order of writes, what is not written, and whose objects are left alone. The cluster is in memory."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from accord.adapters.kubernetes.resources import TRAFFIC_POLICIES
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import Event, ObjectKey, Plan, Refusal
from accord.observability.metrics import OperatorMetrics
from accord.ports.clock import SystemClock
from accord.ports.cluster import ClusterError
from accord.runtime.fence import FencedCluster
from accord.runtime.index import Index
from accord.runtime.reconcile import Reconciler
from accord.runtime.refusals import Refusals

KEY = ObjectKey("accord.dev/v1alpha1", "TrafficPolicy", "ns", "p")
OWNER = {"apiVersion": KEY.api_version, "kind": KEY.kind, "name": "p", "uid": "policy", "controller": True}
LABELS = {"app.kubernetes.io/managed-by": "accord", "accord.dev/traffic-policy": "p"}


def service(name: str, **meta: Any) -> Manifest:
    meta = {"ownerReferences": [OWNER], "labels": LABELS, **meta}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns", "name": name, **meta}, "spec": {}}


class World:
    """A cluster that remembers what was done to it, a leader's term, and a plan that the test chooses."""

    resource = TRAFFIC_POLICIES
    is_leader, remaining = True, 5.0

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.objects: dict[ObjectKey, Manifest] = {}
        self.next = Plan()
        self.conflicts: list[Mapping[ObjectKey, str]] = []
        self.reported, self.forgotten = 0, 0
        self.fail: ClusterError | None = None
        self._versions = itertools.count(10)
        self.index = Index()
        self.reconciler = Reconciler(
            {"TrafficPolicy": self},
            self.index,
            FencedCluster(self, self),
            self.index.observe,  # type: ignore[arg-type]
            SystemClock(),
            OperatorMetrics(),
        )
        self.policy(weight=100)

    def policy(self, weight: Any, **status: Any) -> None:
        mode = {"name": "a", "weight": weight, "deploymentRef": {"name": "a"}, "port": 80}
        meta = {"namespace": "ns", "name": "p", "uid": "policy", "generation": 1}
        manifest = {"apiVersion": KEY.api_version, "kind": KEY.kind, "metadata": meta, "spec": {"modes": [mode]}}
        self.live({**manifest, "status": status} if status else manifest)

    def live(self, manifest: Manifest, *, watched: bool = True) -> Manifest:
        manifest = copy.deepcopy(manifest)
        manifest["metadata"].setdefault("uid", manifest["metadata"]["name"])
        manifest["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[ObjectKey.of(manifest)] = manifest
        if watched:
            self.index.observe(manifest)
        return manifest

    # The kind.

    def on_change(self, _: Any) -> tuple[ObjectKey, ...]:
        return ()

    def plan(self, manifest: Manifest, conflicts: Mapping[ObjectKey, str], _: datetime) -> Plan:
        TrafficPolicy.model_validate(manifest)
        self.conflicts.append(dict(conflicts))
        return self.next

    def report(self, _: Manifest) -> None:
        self.reported += 1

    def forget(self, _: ObjectKey) -> None:
        self.forgotten += 1

    # The cluster.

    async def get(self, key: ObjectKey) -> Manifest | None:
        return self.objects.get(key)

    async def apply(self, manifest: Manifest) -> Manifest:
        self._write(f"apply {manifest['metadata']['name']}")
        return self.live(manifest, watched=False)

    async def apply_status(self, manifest: Manifest) -> Manifest:
        self._write("status")
        return self.live({**self.objects[KEY], "status": manifest["status"]}, watched=False)

    async def delete(self, key: ObjectKey, uid: str) -> None:
        self._write(f"delete {key.name} {uid}")

    async def record(self, _: Manifest, event: Event) -> None:
        self._write(f"event {event.reason}")

    def _write(self, what: str) -> None:
        if self.fail is not None:
            raise self.fail
        self.writes.append(what)


@pytest.fixture
def world() -> World:
    return World()


async def test_writes_come_in_the_order_of_the_plan(world: World) -> None:
    world.live(service("old"))
    world.next = Plan(
        apply=(service("x"), service("y")),
        delete=(ObjectKey("v1", "Service", "ns", "old"),),
        status={"target": "100"},
        events=(Event("Normal", "Done", "it is done"),),
        requeue_after=7,
    )
    outcome = await world.reconciler(KEY)
    assert world.writes == ["apply x", "apply y", "delete old old", "status", "event Done"]
    assert (outcome.wrote, outcome.failed, outcome.requeue_after) == (True, False, 7)
    assert world.reported == 1


async def test_an_equal_status_is_not_written(world: World) -> None:
    world.policy(100, target="100", modes=[{"name": "a", "target": 60, "effective": 60}])
    world.next = Plan(
        status={"target": "100", "actual": None, "modes": [{"name": "a", "target": 60.0, "effective": 60}]}
    )
    outcome = await world.reconciler(KEY)
    assert world.writes == []
    assert not outcome.wrote


async def test_an_object_of_somebody_else_is_a_conflict_and_is_not_written(world: World) -> None:
    foreign = service("x", ownerReferences=[], labels={"app.kubernetes.io/managed-by": "Helm"})
    world.live(foreign, watched=False)
    world.next = Plan(apply=(service("x"), service("y")))
    outcome = await world.reconciler(KEY)
    assert world.writes == ["apply y"]
    assert world.conflicts == [{}, {ObjectKey("v1", "Service", "ns", "x"): "somebody else (managed by Helm)"}]
    assert outcome.requeue_after == 15


@pytest.mark.parametrize(
    ("meta", "holder"),
    [
        ({"ownerReferences": [{**OWNER, "uid": "other", "name": "q"}]}, "TrafficPolicy q"),
        ({"ownerReferences": [{**OWNER, "uid": "old"}]}, "an earlier TrafficPolicy of the same name"),
        ({"ownerReferences": [], "labels": {**LABELS, "accord.dev/traffic-policy": "q"}}, "somebody else"),
        ({"ownerReferences": []}, None),
    ],
)
async def test_whose_an_object_is(world: World, meta: dict[str, Any], holder: str | None) -> None:
    world.live(service("x", **meta), watched=False)
    world.next = Plan(apply=(service("x"),))
    await world.reconciler(KEY)
    said = next(iter(world.conflicts[-1].values()), None)
    assert (said is None) if holder is None else (said is not None and said.startswith(holder))
    assert world.writes == ([] if holder else ["apply x"])


@pytest.mark.parametrize(
    ("labels", "manager", "writes"),
    [
        ({}, "accord", ["apply c"]),
        ({"accord.dev/traffic-policy": "p"}, "accord", ["apply c"]),
        ({"accord.dev/traffic-policy": "q"}, "accord", []),
        ({"app.kubernetes.io/managed-by": "Helm"}, "accord", []),
        ({}, "somebody", []),
    ],
)
async def test_a_claim_that_lost_its_labels_is_adopted_again(
    world: World, labels: dict[str, str], manager: str, writes: list[str]
) -> None:
    managed = [{"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {}}}]
    claim = {**service("c", ownerReferences=[], labels=labels, managedFields=managed), "kind": "PersistentVolumeClaim"}
    world.live(claim)
    world.next = Plan(apply=({**service("c", ownerReferences=[]), "kind": "PersistentVolumeClaim"},))
    await world.reconciler(KEY)
    assert world.writes == writes


async def test_an_object_that_cannot_be_read_says_so_and_keeps_its_shares(world: World) -> None:
    world.policy("many", target="100")
    outcome = await world.reconciler(KEY)
    status = world.objects[KEY]["status"]
    accepted = status["conditions"][0]
    assert status["target"] == "100"
    assert (accepted["type"], accepted["status"], accepted["reason"]) == ("Accepted", "False", "Unreadable")
    assert "spec.modes.0.weight" in accepted["message"]
    assert outcome.wrote
    assert not (await world.reconciler(KEY)).wrote


async def test_a_failure_is_an_outcome(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.fail = ClusterError(403, "Forbidden", "no")
    world.next = Plan(apply=(service("x"),))
    for _ in range(3):
        assert (await world.reconciler(KEY)).failed
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == ["will be tried again: 403 Forbidden: no"]


async def test_an_event_that_is_lost_does_not_repeat_the_pass(world: World) -> None:
    world.next = Plan(events=(Event("Normal", "Done", "it is done"),))
    world.fail = ClusterError(500, "InternalError", "")
    assert not (await world.reconciler(KEY)).failed


async def test_whoever_does_not_lead_does_not_write(world: World) -> None:
    world.is_leader, world.remaining = False, 0.0
    world.next = Plan(apply=(service("x"),), status={"target": "100"})
    assert (await world.reconciler(KEY)).failed
    assert world.writes == []


async def test_what_is_gone_or_going_is_left_alone(world: World) -> None:
    world.next = Plan(status={"target": "100"})
    live = copy.deepcopy(world.objects[KEY])
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.live(live)
    assert not (await world.reconciler(KEY)).wrote
    world.index.remove(KEY, "policy", 99)
    await world.reconciler(KEY)
    assert world.forgotten == 1
    assert world.writes == []


class Hearing(World):
    """A kind that tells its users of refusals: its plan depends on them."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = Refusals()

    def plan(self, manifest: Manifest, conflicts: Mapping[ObjectKey, str], now: datetime) -> Plan:
        plan = super().plan(manifest, conflicts, now)
        if not self.refusals.of(KEY):
            return plan
        self.fail = None
        return Plan(apply=plan.apply, status={"target": "refused"}, events=(Event("Warning", "Quota", "no"),))


async def test_a_refusal_is_told_in_the_status_and_tried_again() -> None:
    world = Hearing()
    world.next = Plan(apply=(service("x"),), status={"target": "100"})
    world.fail = ClusterError(403, "Forbidden", "exceeded quota")
    outcome = await world.reconciler(KEY)
    assert outcome.failed
    assert world.refusals.of(KEY) == {ObjectKey.of(service("x")): Refusal(403, "exceeded quota")}
    assert world.writes == ["status", "event Quota"]
    assert world.index.get(KEY)["status"] == {"target": "refused"}  # type: ignore[index]
    await world.reconciler(KEY)
    assert world.refusals.of(KEY) == {}


async def test_an_error_that_is_no_refusal_is_not_told() -> None:
    world = Hearing()
    world.next = Plan(apply=(service("x"),), status={"target": "100"})
    world.fail = ClusterError(0, "Unreachable", "no answer")
    assert (await world.reconciler(KEY)).failed
    assert (world.refusals.of(KEY), world.writes) == ({}, [])


async def test_an_object_may_end_itself(world: World) -> None:
    world.next = Plan(delete=(KEY,))
    await world.reconciler(KEY)
    assert world.writes == ["delete p policy"]


async def test_an_object_that_the_watch_still_shows_is_not_deleted_again(world: World) -> None:
    # Given an object that was deleted, while the watch lags
    old = ObjectKey("v1", "Service", "ns", "old")
    world.live(service("old"))
    world.next = Plan(delete=(old,))
    assert (await world.reconciler(KEY)).wrote
    # When passes go on, then it is left alone
    assert not (await world.reconciler(KEY)).wrote
    assert world.writes == ["delete old old"]
    # When another one takes its name, then that one is deleted
    world.index.remove(old, "old", 99)
    world.live(service("old", uid="another"))
    await world.reconciler(KEY)
    assert world.writes == ["delete old old", "delete old another"]


async def test_a_delete_that_failed_is_made_again(world: World) -> None:
    world.live(service("old"))
    world.next = Plan(delete=(ObjectKey("v1", "Service", "ns", "old"),))
    world.fail = ClusterError(500, "InternalError", "etcd has no leader")
    assert (await world.reconciler(KEY)).failed
    world.fail = None
    await world.reconciler(KEY)
    assert world.writes == ["delete old old"]


async def test_parts_of_others_objects_go_first_and_are_nobodys_conflict(world: World) -> None:
    world.live(service("theirs", ownerReferences=[], labels={}))
    part = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns", "name": "theirs"}}
    world.next = Plan(apply=(service("ours"),), patch=(part,))
    await world.reconciler(KEY)
    assert world.writes == ["apply theirs", "apply ours"]
