"""A kind is a line in a table: one more is added by a test alone, and the operator's code stays as it is."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.runtime.toy_kind import ENTRY, LABEL, Greeting

from accord import rbac
from accord.adapters.kubernetes.resources import SERVICES
from accord.api.base import Manifest
from accord.config import Config
from accord.domain.plan import ObjectKey
from accord.kinds import KINDS, Parts, optional, watched
from accord.observability.metrics import OperatorMetrics
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index
from accord.runtime.reconcile import Reconciler

TABLE = (*KINDS, ENTRY)
KEY = ObjectKey("accord.dev/v1alpha1", "Greeting", "ns", "hello")
SERVICE = ObjectKey("v1", "Service", "ns", "hello")
GREETING = {"apiVersion": KEY.api_version, "kind": KEY.kind, "metadata": {"namespace": "ns", "name": "hello"}}


class World:
    """An operator of all kinds in a table, before a cluster in memory."""

    def __init__(self) -> None:
        self.index, metrics = Index(), OperatorMetrics()
        parts = Parts(self.index, {}, lambda _: True)
        kinds = {entry.kind.resource.kind: entry.make(parts) for entry in TABLE}
        self.queued: list[ObjectKey] = []
        self.objects: dict[ObjectKey, Manifest] = {}
        self.applied: list[ObjectKey] = []
        self._versions = itertools.count(1)
        self.dispatcher = Dispatcher(self.index, tuple(kinds.values()), self.queued.append)
        cluster: Any = self
        self.reconcile = Reconciler(kinds, self.index, cluster, self.dispatcher.observe, self, metrics)
        self.watched({**GREETING, "metadata": GREETING["metadata"] | {"uid": "g"}})

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def watched(self, manifest: Manifest, *, tell: bool = True) -> Manifest:
        meta = {"uid": manifest["metadata"]["name"], **manifest["metadata"]}
        live = {**manifest, "metadata": meta | {"resourceVersion": str(next(self._versions))}}
        self.objects[ObjectKey.of(live)] = live
        if tell:
            self.dispatcher.observe(live)
        return live

    async def get(self, key: ObjectKey) -> Manifest | None:
        return self.objects.get(key)

    async def apply(self, manifest: Manifest) -> Manifest:
        self.applied.append(ObjectKey.of(manifest))
        return self.watched(manifest, tell=False)

    async def apply_status(self, manifest: Manifest) -> Manifest:
        return self.watched({**self.objects[KEY], "status": manifest["status"]}, tell=False)

    def delete(self) -> None:
        live = self.objects.pop(SERVICE)
        self.dispatcher.remove(SERVICE, live["metadata"]["uid"], next(self._versions))


def test_its_objects_and_what_it_needs_are_watched() -> None:
    assert ENTRY.kind.resource in watched(TABLE)
    assert ENTRY.kind.resource not in watched(KINDS)
    assert SERVICES in watched((ENTRY,))
    assert optional((ENTRY,)) == ()


def test_it_is_allowed_what_it_asks_for_and_people_what_they_may_do_with_it() -> None:
    given = rbac.permissions(TABLE)
    assert given["kinds"][-1] == "greetings"
    rules = {
        (group, resource): set(rule["verbs"])
        for rule in rbac.permissions((ENTRY,))["watched"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if resource != "greetings"
    }
    assert rules == {
        ("accord.dev", "greetings/status"): {"patch"},
        ("accord.dev", "greetings/finalizers"): {"update"},
        ("", "services"): {"get", "list", "watch", "create", "patch", "delete"},
        ("events.k8s.io", "events"): {"list", "create", "patch"},
    }
    (services,) = [rule for rule in given["watched"] if rule["resources"] == ["services"]]
    assert services["why"] == "A Service for each mode and router. A Service for each Greeting."


async def test_from_its_watch_to_its_write_and_back() -> None:
    world = World()
    assert world.queued == [KEY]
    await world.reconcile(KEY)
    assert world.applied == [SERVICE]
    world.queued.clear()
    world.delete()
    assert world.queued == [KEY]
    await world.reconcile(KEY)
    assert world.applied == [SERVICE, SERVICE]


@pytest.mark.parametrize(("label", "is_taken"), [({LABEL: "hello"}, True), ({LABEL: "bye"}, False), ({}, False)])
async def test_what_lost_its_owner_is_known_by_the_label_of_the_kind(label: dict[str, str], is_taken: bool) -> None:
    world = World()
    labels = {"app.kubernetes.io/managed-by": "accord", **label}
    meta = {"namespace": "ns", "name": "hello", "labels": labels}
    world.watched({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {}})
    await world.reconcile(KEY)
    assert world.applied == ([SERVICE] if is_taken else [])


async def test_it_acts_on_no_status_that_is_not_the_newest() -> None:
    world = World()
    world.watched(world.objects[KEY], tell=False)
    await world.reconcile(KEY)
    assert world.applied == []


def test_it_is_rehearsed_by_its_line() -> None:
    outcome = ENTRY.rehearse(GREETING, {}, Config())
    assert list(outcome.applied) == [SERVICE]
    assert ENTRY.model is Greeting
