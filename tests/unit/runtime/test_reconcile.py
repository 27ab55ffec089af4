"""One pass: the order of writes, what is not written, and whose objects are left alone. The cluster is in memory."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accord.adapters.kubernetes.resources import TRAFFIC_POLICIES
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.children import needs_apply
from accord.domain.plan import Event, ObjectKey, Plan, Refusal
from accord.domain.refusals import reason, sentence
from accord.observability.metrics import OperatorMetrics
from accord.ports.cluster import ClusterError
from accord.runtime.fence import FencedCluster
from accord.runtime.index import Index
from accord.runtime.reconcile import Reconciler
from accord.runtime.refusals import Refusals
from accord.runtime.traffic import TrafficPolicies

KEY = ObjectKey("accord.dev/v1alpha1", "TrafficPolicy", "ns", "p")
OWNER = {"apiVersion": KEY.api_version, "kind": KEY.kind, "name": "p", "uid": "policy", "controller": True}
LABELS = {"app.kubernetes.io/managed-by": "accord", "accord.dev/traffic-policy": "p"}


def service(name: str, **meta: Any) -> Manifest:
    meta = {"ownerReferences": [OWNER], "labels": LABELS, **meta}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns", "name": name, **meta}, "spec": {}}


class World:
    """A cluster that remembers what was done to it, a leader's term, and a plan that the test chooses."""

    resource, traits = TRAFFIC_POLICIES, TrafficPolicies.traits
    is_leader, remaining = True, 5.0

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.objects: dict[ObjectKey, Manifest] = {}
        self.next = Plan()
        self.conflicts: list[Mapping[ObjectKey, str]] = []
        self.forgotten = 0
        self.fail: ClusterError | None = None
        self.refuse: dict[str, ClusterError] = {}
        """Name of an object → what the API server says to its writes."""
        self.admit: Callable[[Manifest], Manifest] = lambda manifest: manifest
        """What an admission webhook makes of what is applied."""
        self.refusals = Refusals()
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self._versions = itertools.count(10)
        self.index = Index()
        self.reconciler = Reconciler(
            {"TrafficPolicy": self},
            self.index,
            FencedCluster(self, self),
            self.index.observe,  # type: ignore[arg-type]
            self,
            OperatorMetrics(),
        )
        self.policy(weight=100)

    def now(self) -> datetime:
        return self.time

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
        return self.refusals.decide(KEY, self.decide)

    def decide(self) -> Plan:
        """What the test wants done, or the status that tells of refusals instead."""
        told = self.refusals.of(KEY)
        if not told or self.next.status is None:
            return self.next
        words = "; ".join(sentence(key, refusal) for key, refusal in told.items())
        events = (Event("Warning", reason(next(iter(told.values()))), "no"),)
        return replace(self.next, status={"target": words}, events=events)

    def forget(self, _: ObjectKey) -> None:
        self.forgotten += 1
        self.refusals.forget(KEY)

    # The cluster.

    async def get(self, key: ObjectKey) -> Manifest | None:
        return self.objects.get(key)

    async def apply(self, manifest: Manifest) -> Manifest:
        self._write(f"apply {manifest['metadata']['name']}")
        if manifest["metadata"]["name"] in self.refuse:
            raise self.refuse[manifest["metadata"]["name"]]
        return self.live(self.admit(copy.deepcopy(manifest)), watched=False)

    async def apply_status(self, manifest: Manifest) -> Manifest:
        self._write("status")
        if "status" in self.refuse:
            raise self.refuse["status"]
        return self.live({**self.objects[KEY], "status": manifest["status"]}, watched=False)

    async def delete(self, key: ObjectKey, uid: str) -> None:
        self._write(f"delete {key.name} {uid}")
        if key.name in self.refuse:
            raise self.refuse[key.name]

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
    assert world.conflicts == [{}, {ObjectKey("v1", "Service", "ns", "x"): "another owner (managed by Helm)"}]
    assert outcome.requeue_after == 15


@pytest.mark.parametrize(
    ("meta", "holder"),
    [
        ({"ownerReferences": [{**OWNER, "uid": "other", "name": "q"}]}, "TrafficPolicy q"),
        ({"ownerReferences": [{**OWNER, "uid": "old"}]}, "an earlier TrafficPolicy of the same name"),
        ({"ownerReferences": [], "labels": {**LABELS, "accord.dev/traffic-policy": "q"}}, "another owner"),
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
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "reconciliation failed, will retry: 403 Forbidden: no"
    ]


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


QUOTA = ClusterError(403, "Forbidden", "PATCH /x: exceeded quota: none", "exceeded quota: none")
NO_LEADER = ClusterError(500, "InternalError", "etcdserver: leader changed")


def told(world: World) -> str:
    live = world.index.get(KEY)
    assert live is not None
    return str((live.get("status") or {}).get("target", ""))


async def test_a_refusal_is_told_once_in_the_status_and_tried_again(world: World) -> None:
    world.next = Plan(apply=(service("x"),), status={"target": "100"})
    world.refuse["x"] = QUOTA
    assert (await world.reconciler(KEY)).failed
    assert world.refusals.of(KEY) == {ObjectKey.of(service("x")): Refusal(403, "exceeded quota: none")}
    assert world.writes == ["apply x", "status", "event QuotaExceeded"]
    assert told(world) == "cannot apply Service x: exceeded quota: none"
    # When it is refused again, then nothing is written that says the same
    del world.writes[:]
    world.next = replace(world.next, events=())
    assert (await world.reconciler(KEY)).failed
    assert world.writes[:1] == ["apply x"]
    assert "status" not in world.writes
    # When it is taken, then it is told no more
    world.refuse.clear()
    assert not (await world.reconciler(KEY)).failed
    await world.reconciler(KEY)
    assert (world.refusals.of(KEY), told(world)) == ({}, "100")


async def test_where_one_object_is_refused_the_others_are_made(world: World) -> None:
    world.next = Plan(apply=(service("x"), service("y")), status={"target": "100"})
    world.refuse["x"] = QUOTA
    await world.reconciler(KEY)
    assert world.writes == ["apply x", "apply y", "status", "event QuotaExceeded"]


async def test_a_refused_deletion_is_told(world: World) -> None:
    world.live(service("old"))
    world.next = Plan(delete=(ObjectKey("v1", "Service", "ns", "old"),), status={"target": "100"})
    world.refuse["old"] = ClusterError(500, "InternalError", 'failed calling webhook "a": connection refused')
    assert (await world.reconciler(KEY)).failed
    assert told(world) == 'cannot delete Service old: failed calling webhook "a": connection refused'
    assert world.writes[-1] == "event WebhookFailed"


async def test_in_a_later_term_nothing_is_known_of_what_was_refused_in_an_earlier_one() -> None:
    """What forbade it may have gone meanwhile: another replica has written since."""
    world = Wishing()
    world.admit = rewritten
    await world.settle()
    world.refuse["y"] = QUOTA
    world.index.remove(ObjectKey.of(service("y")), "y", 10_000)
    assert (await world.reconciler(KEY)).failed
    assert {key.name for key in world.refusals.of(KEY)} == {"x", "y"}
    world.reconciler.end_term()
    assert world.refusals.of(KEY) == {}
    world.admit = lambda manifest: manifest
    world.refuse.clear()
    world.writes.clear()
    assert not (await world.reconciler(KEY)).failed
    assert world.writes == ["apply x", "apply y", "status"]
    assert told(world) == "100"


async def test_a_fault_of_the_server_is_told_only_when_it_lasts(world: World) -> None:
    world.next = Plan(apply=(service("x"),), status={"target": "100"})
    world.refuse["x"] = NO_LEADER
    for _ in range(3):
        world.time += timedelta(seconds=19)
        assert (await world.reconciler(KEY)).failed
    assert (world.refusals.of(KEY), told(world)) == ({}, "")
    world.time += timedelta(seconds=30)
    assert (await world.reconciler(KEY)).failed
    assert told(world) == "cannot apply Service x: etcdserver: leader changed"
    assert world.writes[-1] == "event ServerError"


async def test_without_an_answer_nothing_is_told(world: World) -> None:
    world.next = Plan(apply=(service("x"),), status={"target": "100"})
    world.fail = ClusterError(0, "Unreachable", "no answer")
    for _ in range(2):
        assert (await world.reconciler(KEY)).failed
        world.time += timedelta(hours=1)
    assert (world.refusals.of(KEY), world.writes) == ({}, [])


@pytest.mark.parametrize("code", [404, 409])
async def test_an_object_that_was_deleted_or_made_anew_meanwhile_is_no_failure(
    world: World, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    world.next = Plan(status={"target": "100"})
    world.refuse["status"] = ClusterError(code, "NotFound", "not found")
    for _ in range(3):
        assert not (await world.reconciler(KEY)).failed
    assert [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")] == []


async def test_a_status_that_is_refused_is_told_by_an_event_once(world: World) -> None:
    world.next = Plan(status={"target": "100"})
    world.refuse["status"] = ClusterError(403, "Forbidden", 'admission webhook "a" denied the request: frozen')
    for _ in range(3):
        assert (await world.reconciler(KEY)).failed
    assert world.writes == ["status", "event Forbidden", "status", "status"]


def rewritten(manifest: Manifest) -> Manifest:
    """What a mutating policy makes of it: another image."""
    if manifest["metadata"]["name"] == "x":
        manifest["spec"] = {"containers": [{"name": "envoy", "image": "mirror/envoy"}]}
    return manifest


class Wishing(World):
    """Its plan is a function of what exists: it applies what is not as it is wanted, as all kinds do."""

    def decide(self) -> Plan:
        children = self.index.children("policy")
        spec = {"containers": [{"name": "envoy", "image": "envoy"}]}
        wanted = [{**service(name), "spec": spec} for name in ("x", "y")]
        missing = (manifest for manifest in wanted if needs_apply(manifest, children.get(ObjectKey.of(manifest))))
        self.next = Plan(apply=tuple(missing), status={"target": "100"})
        return super().decide()

    async def settle(self) -> int:
        """Passes until nothing is written; how many times x was."""
        del self.writes[:]
        for _ in range(50):
            outcome = await self.reconciler(KEY)
            assert not outcome.failed
            if not outcome.wrote:
                self.again = outcome.requeue_after
                return self.writes.count("apply x")
        raise AssertionError(f"no rest: {self.writes}")


async def test_a_field_that_is_changed_back_each_time_is_left_alone_and_named() -> None:
    world = Wishing()
    world.admit = rewritten
    # When a policy rewrites an image on each write, then that is tried a few times
    assert await world.settle() == 6
    # And then left alone and told, while all else is done
    assert "y" in {key.name for key in world.index.children("policy")}
    assert told(world).startswith("Service x: spec.containers[envoy].image is changed by a mutating")
    assert world.refusals.of(KEY)
    assert "event OwnershipConflict" in world.writes
    assert world.again == pytest.approx(600)
    assert await world.settle() == 0
    # When ten minutes are over, then it is tried again
    world.time += timedelta(minutes=10)
    assert await world.settle() == 5
    assert told(world).startswith("Service x: spec.containers[envoy].image")
    # When the policy is gone, then the field is ours, and nothing is told
    world.admit = lambda manifest: manifest
    world.time += timedelta(minutes=10)
    assert await world.settle() == 1
    assert (told(world), world.refusals.of(KEY)) == ("100", {})


async def test_who_keeps_changing_a_field_is_named() -> None:
    world = Wishing()
    await world.settle()
    key = ObjectKey.of(service("x"))
    owned = {"f:spec": {"f:containers": {'k:{"name":"envoy"}': {"f:image": {}}}}}
    managed = [
        {"manager": "accord", "operation": "Apply", "fieldsV1": owned},
        {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": owned, "time": "2026-01-01T00:00:00Z"},
    ]
    for _ in range(7):
        world.time += timedelta(seconds=20)
        live = copy.deepcopy(world.objects[key])
        live["metadata"]["managedFields"] = managed
        live["spec"]["containers"][0]["image"] = "theirs"
        world.live(live)
        await world.settle()
    assert told(world).startswith("Service x: kustomize-controller keeps reverting spec.containers[envoy].image")
    # When somebody changes another field as well, then that is put right
    live = copy.deepcopy(world.objects[key])
    live["metadata"]["labels"] = {}
    world.live(live)
    assert await world.settle() == 1


async def test_a_change_now_and_then_is_put_right_each_time() -> None:
    world = Wishing()
    await world.settle()
    for _ in range(20):
        world.time += timedelta(minutes=2)
        live = copy.deepcopy(world.objects[ObjectKey.of(service("x"))])
        live["spec"]["containers"][0]["image"] = "theirs"
        world.live(live)
        assert await world.settle() == 1
    assert not world.refusals.of(KEY)


async def test_an_object_that_must_be_made_anew_each_time_is_left_alone() -> None:
    world = World()
    old = ObjectKey("v1", "Service", "ns", "old")
    for number in range(8):
        world.live(service("old", uid=f"u{number}"))
        world.next = Plan(delete=(old,), status={"target": "100"})
        await world.reconciler(KEY)
        world.index.remove(old, f"u{number}", 10_000)
    assert sum(write.startswith("delete") for write in world.writes) == 5
    assert told(world).startswith("Service old: recreated 5 times")


async def test_of_an_object_that_is_gone_nothing_is_remembered(world: World) -> None:
    # Given an object of which much is remembered: a deletion, a write, a refusal, a failure
    world.next = Plan(apply=(service("x"),), delete=(ObjectKey("v1", "Service", "ns", "old"),))
    world.live(service("old"))
    world.live(service("x"))
    await world.reconciler(KEY)
    world.refuse["x"] = QUOTA
    await world.reconciler(KEY)
    reconciler = world.reconciler
    books = (reconciler._complaints, reconciler._deleted, reconciler._contests._writes, world.refusals._book)
    assert all(books)

    # When it goes, while a pass is at work that enters another refusal
    def going(_: Manifest) -> None:
        world.index.remove(KEY, "policy", 10_000)
        raise QUOTA

    world.refuse.clear()
    world.admit = going  # type: ignore[assignment]
    await world.reconciler(KEY)
    assert not any(books)


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


@pytest.mark.parametrize(
    ("error", "latest"),
    [
        (ClusterError(403, "Forbidden", 'services "x" is forbidden: exceeded quota: small'), 20),
        (ClusterError(403, "Forbidden", "a policy forbids it"), None),
        (ClusterError(0, "Unreachable", "no answer"), None),
    ],
    ids=["quota", "forbidden", "no answer"],
)
async def test_what_a_quota_refuses_is_tried_again_within_twenty_seconds(
    world: World, error: ClusterError, latest: float | None
) -> None:
    """Nothing says that there is room, and it is to be used within half a minute."""
    world.refuse["x"] = error
    world.next = Plan(apply=(service("x"),), status={"target": "100"})
    outcome = await world.reconciler(KEY)
    assert (outcome.failed, outcome.requeue_after) == (True, latest)
