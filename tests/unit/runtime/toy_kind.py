"""A kind that nothing in the operator knows: a Greeting, for which a Service of its name is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from accord.adapters.kubernetes.needs import OWN, Needs, Permission
from accord.adapters.kubernetes.resources import SERVICES, own
from accord.api.base import Manifest
from accord.api.v1alpha1.meta import ObjectMeta, Resource
from accord.config import Config
from accord.domain.children import needs_apply
from accord.domain.plan import ObjectKey, Plan
from accord.domain.rehearsal import Given, Outcome
from accord.domain.traffic.names import MANAGED_BY, MANAGED_BY_LABEL
from accord.kinds import Entry, Parts
from accord.runtime.book import AnyInquiry
from accord.runtime.index import Change, Index, controller_of
from accord.runtime.kinds import Traits
from accord.runtime.refusals import Refusals

LABEL = "accord.dev/greeting"


class Greeting(Resource):
    kind: ClassVar[str] = "Greeting"
    plural: ClassVar[str] = "greetings"

    metadata: ObjectMeta


class Greetings:
    """Implements `accord.runtime.kinds.Kind`."""

    resource = own(Greeting)
    traits = Traits(
        LABEL,
        Needs((SERVICES,), (), (Permission(SERVICES, OWN, "A Service for each Greeting."),)),
        acts_on_status=True,
    )

    def __init__(self, index: Index) -> None:
        self._index = index
        self.refusals = Refusals()
        self.inquiries: Sequence[AnyInquiry] = ()

    def on_change(self, change: Change) -> Iterable[ObjectKey]:
        if change.key.kind == Greeting.kind:
            return (change.key,)
        owners = (controller_of(each) for each in (change.old, change.new) if each is not None)
        names = {owner["name"] for owner in owners if owner is not None and owner["kind"] == Greeting.kind}
        return [ObjectKey(self.resource.api_version, Greeting.kind, change.key.namespace, name) for name in names]

    def plan(self, manifest: Manifest, conflicts: Mapping[ObjectKey, str], now: datetime) -> Plan:
        wanted = service(manifest)
        child = ObjectKey.of(wanted)
        missing = child not in conflicts and needs_apply(wanted, self._index.get(child))
        status = {"held": conflicts.get(child)}
        return self.refusals.decide(
            ObjectKey.of(manifest),
            lambda: Plan(apply=(wanted,) if missing or child in conflicts else (), status=status),
        )

    def forget(self, key: ObjectKey) -> None:
        self.refusals.forget(key)


def service(greeting: Manifest) -> Manifest:
    meta = greeting["metadata"]
    owner = {"apiVersion": greeting["apiVersion"], "kind": Greeting.kind, "name": meta["name"]}
    owner |= {"uid": meta.get("uid", ""), "controller": True}
    labels = {MANAGED_BY_LABEL: MANAGED_BY, LABEL: meta["name"]}
    made = {"namespace": meta["namespace"], "name": meta["name"], "labels": labels, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": made, "spec": {"ports": [{"port": 80}]}}


def make(parts: Parts) -> Greetings:
    return Greetings(parts.index)


def rehearse(manifest: Manifest, _given: Given, _config: Config) -> Outcome:
    made = service(manifest)
    return Outcome(applied={ObjectKey.of(made): made})


ENTRY = Entry(Greeting, Greetings, make, rehearse)
