"""A cluster in memory for one CheckpointPolicy: real reconciler, index and decision; the test plays the controllers.

Every write can be the last of an operator: `kill` ends it before or after the n-th one, and `start` begins anew with
nothing but what is in the cluster.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from accord.adapters.stores import SnapshotStore, SubPathStore
from accord.api.base import Manifest
from accord.domain.checkpoint.decide import decide
from accord.domain.checkpoint.reading import Reading, Saved
from accord.domain.conditions import timestamp
from accord.domain.plan import Event, ObjectKey
from accord.domain.warned import Warned
from accord.observability.metrics import OperatorMetrics
from accord.ports.cluster import ClusterError
from accord.runtime.book import Book
from accord.runtime.checkpoints import CheckpointPolicies
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index, version
from accord.runtime.queue import Outcome
from accord.runtime.reconcile import Reconciler

NS = "ns"
POLICY = ObjectKey("accord.dev/v1alpha1", "CheckpointPolicy", NS, "p")
RUN = ObjectKey("accord.dev/v1alpha1", "TrainingRun", NS, "r")
DEPLOYMENT = ObjectKey("apps/v1", "Deployment", NS, "serve")
SOURCE = ObjectKey("v1", "PersistentVolumeClaim", NS, "r-checkpoints")
SNAPSHOT_API = "snapshot.storage.k8s.io/v1"
UNTRAINED = "untrained"


class Killed(BaseException):
    """The operator's process ends here."""


class World:
    """See the module."""

    def __init__(self, **spec: Any) -> None:
        self.now_ = datetime(2026, 1, 1, tzinfo=UTC)
        self.objects: dict[ObjectKey, Manifest] = {}
        self.writes: list[str] = []
        self.came_and_went: list[str] = []
        """Objects that the operator has made and deleted."""
        self.events: list[Event] = []
        self.book: Book[Reading] = Book()
        self.in_use: set[str] = set()
        self.crashing: set[int] = set()
        """Steps that serving pods do not start with."""
        self.unready: set[int] = set()
        """Steps with which one serving pod runs and is not ready."""
        self.no_room = ""
        """Why the scheduler finds no node for another serving pod; empty where it does."""
        self.unbound = False
        """Whether claims stay unbound."""
        self.replaces = False
        """Whether old pods go before new ones come."""
        self.lingers = False
        """Whether the last pod of a rollout that was undone takes its time."""
        self.snapshots_served = True
        """Whether the API server knows VolumeSnapshots."""
        self.unlistable: ClusterError | None = None
        """What listing pods is answered with."""
        self.warning: Warned | None = None
        """What Kubernetes warns of new serving pods that are not started."""
        self.waiting: dict[str, Any] = {}
        """The state of the containers of new serving pods that have a node and are not started."""
        self.restore_size = "12Gi"
        """What the driver says that a snapshot needs."""
        self.bad_snapshots: dict[int, str | None] = {}
        """Steps whose snapshot does not become ready, with an error or without."""
        self.refuse: dict[str, ClusterError] = {}
        """Kinds whose creation is refused."""
        self.refuse_changes: dict[str, ClusterError] = {}
        """Kinds of which every change is refused."""
        self.admit: Callable[[Manifest], Manifest] = lambda manifest: manifest
        """What an admission webhook makes of what is changed."""
        self.kill_at: int | None = None
        self.kill_before = False
        self.up = ""
        """The pod template whose pods are up."""
        self.rollout_conditions: list[Any] = []
        """Conditions of the Deployment while its newest pods are not up."""
        self._versions, self._uids = itertools.count(10), itertools.count(1)
        self.put(RUN, {"spec": {}, "status": {"attempt": 1, "phase": "Running", "claimName": SOURCE.name}})
        self.put(
            SOURCE,
            {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "fast",
                    "resources": {"requests": {"storage": "10Gi"}},
                },
                "status": {"phase": "Bound"},
            },
        )
        self.deploy()
        self.create_policy(**spec)
        self.start()

    def fork(self) -> World:
        """The same cluster once more, with an operator of its own."""
        other = copy.copy(self)
        for name in ("objects", "writes", "came_and_went", "events", "book", "in_use", "crashing", "bad_snapshots"):
            setattr(other, name, copy.deepcopy(getattr(self, name)))
        other._versions, other._uids = itertools.count(10_000), itertools.count(10_000)
        other.start()
        return other

    # What a user does.

    def create_policy(self, **spec: Any) -> None:
        more = spec.pop("serving", {})
        serving = {"deploymentRef": {"name": "serve"}, "volume": "model", "minInterval": "0s", **(more or {})}
        if "source" not in spec:
            spec = {"trainingRunRef": {"name": "r"}, **spec}
        self.put(POLICY, {"spec": {**({} if more is None else {"serving": serving}), **spec}})

    def edit(self, **spec: Any) -> None:
        policy = self.objects[POLICY]
        wanted = {name: value for name, value in {**policy["spec"], **spec}.items() if value is not None}
        self.put(POLICY, {**policy, "spec": wanted}, changed=True)

    def annotate(self, **annotations: str) -> None:
        policy = copy.deepcopy(self.objects[POLICY])
        policy["metadata"].setdefault("annotations", {}).update(
            {f"accord.dev/{name.replace('_', '-')}": text for name, text in annotations.items()}
        )
        self.put(POLICY, policy)

    def deploy(self, claim: str = UNTRAINED) -> None:
        """The Deployment as Git has it."""
        pod = {
            "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": claim}}],
            "containers": [{"name": "app", "volumeMounts": [{"name": "model", "mountPath": "/model"}]}],
        }
        template = {"metadata": {"labels": {"app": "serve"}}, "spec": pod}
        spec = {
            "replicas": 2,
            "progressDeadlineSeconds": 60,
            "selector": {"matchLabels": {"app": "serve"}},
            "template": template,
        }
        self.put(DEPLOYMENT, {"spec": spec}, changed=DEPLOYMENT in self.objects)

    def set_claim(self, claim: str, manager: str = "argocd-controller") -> None:
        """Somebody else sets the field."""
        live = copy.deepcopy(self.objects[DEPLOYMENT])
        live["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = claim
        path = {"f:volumes": {'k:{"name":"model"}': {"f:persistentVolumeClaim": {"f:claimName": {}}}}}
        live["metadata"]["managedFields"] = [
            {"manager": manager, "fieldsV1": {"f:spec": {"f:template": {"f:spec": path}}}}
        ]
        self.put(DEPLOYMENT, live, changed=True)

    def delete_object(self, key: ObjectKey) -> None:
        gone = self.objects.pop(key)
        self.dispatcher.remove(key, gone["metadata"]["uid"], version(gone))

    # What the training does.

    def check(self, outcome: str = "Pass", **fields: Any) -> None:
        """The last check: `saved` are steps of committed checkpoints."""
        saved = tuple(Saved(step, loss=1.0, reward=step / 1000) for step in fields.pop("saved", ()))
        before = self.book.get(POLICY)
        attempt = fields.pop("attempt", self.objects[RUN]["status"]["attempt"] if RUN in self.objects else None)
        if not saved and before is not None and before.attempt == attempt:
            saved = before.saved
        values = {"step": saved[-1].step if saved else 0, "message": f"the check says {outcome}", **fields}
        self.book[POLICY] = Reading(outcome, self.now_, attempt=attempt, saved=saved, **values)  # type: ignore[arg-type]

    def fail(self, onset: int, **fields: Any) -> None:
        found = {"signal": "RewardDrop", "reason": "RewardDrop", "baseline": 4.0, "recent": 1.0, "step": onset + 175}
        self.check("Fail", onset=onset, **{**found, **fields})

    def save(self, *steps: int) -> None:
        """The trainer commits checkpoints, each seen by a check before the next; the operator deals with each."""
        for step in steps:
            former = self.book.get(POLICY)
            attempt = self.objects[RUN]["status"]["attempt"] if RUN in self.objects else None
            known = tuple(s.step for s in former.saved) if former is not None and former.attempt == attempt else ()
            self.check("Pass", saved=(*known, step))
            self.settle()

    def save_while_failing(self, step: int) -> None:
        """A checkpoint of a training that has gone wrong already."""
        former = self.book[POLICY]
        saved = (*former.saved, Saved(step, loss=1.0, reward=0.1))
        self.book[POLICY] = dataclasses.replace(former, saved=saved, at=self.now_)
        self.settle()

    # What the cluster does.

    def put(self, key: ObjectKey, manifest: Manifest, *, changed: bool = False) -> Manifest:
        known = self.objects.get(key)
        meta = dict(manifest.get("metadata") or {})
        if known is None:
            meta.update(uid=f"uid-{key.name}-{next(self._uids)}", creationTimestamp=timestamp(self.now_), generation=1)
        elif changed:
            meta["generation"] = known["metadata"].get("generation", 1) + 1
        meta = {**(known["metadata"] if known else {}), **meta}
        meta.update(name=key.name, namespace=key.namespace, resourceVersion=str(next(self._versions)))
        stored = copy.deepcopy({**manifest, "apiVersion": key.api_version, "kind": key.kind, "metadata": meta})
        self.objects[key] = stored
        if hasattr(self, "dispatcher"):
            self.dispatcher.observe(copy.deepcopy(stored))
        return copy.deepcopy(stored)

    def controllers(self) -> bool:
        """Snapshots become ready, rollouts end, a run follows its annotations. Whether anything changed."""
        before = str(next(self._versions))
        for key, manifest in list(self.objects.items()):
            if key.kind == "VolumeSnapshot":
                self._snapshot_controller(key, manifest)
            elif key.kind == "PersistentVolumeClaim" and not manifest.get("status") and not self.unbound:
                self.put(key, {**manifest, "status": {"phase": "Bound"}})
            elif key.kind == "Deployment":
                self._deployment_controller(key, manifest)
            elif key.kind == "TrainingRun":
                self._run_controller(key, manifest)
        return int(next(self._versions)) > int(before) + 1

    def _snapshot_controller(self, key: ObjectKey, manifest: Manifest) -> None:
        step = int(key.name.split("-")[1])
        status: Manifest = {"readyToUse": True, "restoreSize": self.restore_size}
        if step in self.bad_snapshots:
            error = self.bad_snapshots[step]
            status = {"readyToUse": False, **({"error": {"message": error}} if error else {})}
        if manifest.get("status") != status:
            self.put(key, {**manifest, "status": status})

    def _deployment_controller(self, key: ObjectKey, manifest: Manifest) -> None:
        generation, replicas = manifest["metadata"]["generation"], manifest["spec"]["replicas"]
        status: Manifest = {"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas}
        status["availableReplicas"] = replicas
        before = manifest.get("status") or {}
        step = self._step(manifest)
        served = self.up == self._template(manifest)
        if manifest["spec"].get("paused") and not served:
            status["updatedReplicas"] = 0
        elif not served and (step in self.crashing | self.unready or self.no_room or self.waiting):
            status.update(replicas=replicas + 1, updatedReplicas=1)
            if self.replaces:
                status.update(replicas=replicas, availableReplicas=replicas - 1)
        else:
            self.up = self._template(manifest)
            if self.lingers:
                status["replicas"] = replicas + 1
        conditions = self.rollout_conditions
        if conditions and (self.lingers or self.up != self._template(manifest)):
            status["conditions"] = conditions
        if before != status:
            self.put(key, {**manifest, "status": status})

    def _step(self, deployment: Manifest) -> int:
        annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
        return int(annotations.get("accord.dev/checkpoint-step", 0))

    def _template(self, deployment: Manifest) -> str:
        return repr(deployment["spec"]["template"])

    async def pods(self, namespace: str, selector: str) -> tuple[Manifest, ...]:
        """Those of before, which serve, and one of the newest template."""
        assert (namespace, selector) == (NS, "app=serve")
        if self.unlistable is not None:
            raise self.unlistable
        deployment = self.objects[DEPLOYMENT]
        former = [self._pod(f"old-{n}", deployment, "former", {}) for n in range(deployment["spec"]["replicas"])]
        if self.up == self._template(deployment) or deployment["spec"].get("paused"):
            return tuple(former)
        return (*former, self._pod("new", deployment, repr(self._step(deployment)), self._pod_status(deployment)))

    def _pod_status(self, deployment: Manifest) -> Manifest:
        step, scheduled = self._step(deployment), {"type": "PodScheduled", "status": "True"}
        if self.no_room:
            refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": self.no_room}
            return {"phase": "Pending", "conditions": [refused]}
        state: Manifest = {"name": "app", "ready": False, "restartCount": 0, "state": {"running": {}}}
        if self.waiting:
            state["state"] = {"waiting": self.waiting}
        elif step in self.crashing:
            state.update(restartCount=3, state={"waiting": {"reason": "CrashLoopBackOff"}})
            state["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
        return {"phase": "Running", "conditions": [scheduled], "containerStatuses": [state]}

    def _pod(self, name: str, deployment: Manifest, owner: str, status: Manifest) -> Manifest:
        template = copy.deepcopy(deployment["spec"]["template"])
        if name != "new":
            template["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "former"
        meta = {
            **template["metadata"],
            "name": f"serve-{name}",
            "uid": f"uid-{name}",
            "namespace": NS,
            "creationTimestamp": timestamp(self.now_),
            "ownerReferences": [{"uid": owner, "controller": True}],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"], "status": status}

    def _run_controller(self, key: ObjectKey, manifest: Manifest) -> None:
        annotations, status = manifest["metadata"].get("annotations") or {}, manifest["status"]
        if status.get("phase") == "Running" and annotations.get("accord.dev/restart-attempt") == str(status["attempt"]):
            self.put(key, {**manifest, "status": {**status, "attempt": status["attempt"] + 1}})

    # The port Cluster.

    async def get(self, key: ObjectKey) -> Manifest | None:
        return copy.deepcopy(self.objects.get(key))

    async def claims_in_use(self, namespace: str) -> frozenset[str]:
        return frozenset(self.in_use)

    async def warned(self, namespace: str, uid: str) -> Warned | None:
        assert (namespace, uid) == (NS, "uid-new")
        return self.warning

    async def apply(self, manifest: Manifest) -> Manifest:
        key = ObjectKey.of(manifest)
        known = self.objects.get(key)
        uid = manifest["metadata"].get("uid")
        if uid is not None and (known is None or known["metadata"]["uid"] != uid):
            raise ClusterError(409, "Conflict", "uid mismatch")
        if known is None and key.kind in self.refuse:
            raise self.refuse[key.kind]
        if known is not None and key.kind in self.refuse_changes:
            raise self.refuse_changes[key.kind]
        self._about_to(f"apply {key.kind} {key.name}")
        if known is None:
            fields = [{"manager": "accord", "operation": "Apply", "fieldsV1": {"f:spec": {}}}]
            made = self.put(key, {**manifest, "metadata": {**manifest["metadata"], "managedFields": fields}})
        else:
            merged = self.admit(_merge(copy.deepcopy(known), manifest))
            same = merged == known
            made = (
                copy.deepcopy(known) if same else self.put(key, merged, changed=merged.get("spec") != known.get("spec"))
            )
        self._done()
        return made

    async def apply_status(self, manifest: Manifest) -> Manifest:
        key = ObjectKey.of(manifest)
        known = self.objects[key]
        if manifest["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"]:
            raise ClusterError(409, "Conflict", "the object has been modified")
        self._about_to("status")
        made = self.put(key, {**known, "status": manifest["status"]})
        self._done()
        return made

    async def delete(self, key: ObjectKey, uid: str) -> None:
        assert self.objects[key]["metadata"]["uid"] == uid
        self._about_to(f"delete {key.kind} {key.name}")
        gone = self.objects.pop(key)
        self.came_and_went.append(f"deleted {key}")
        self._done()
        self.dispatcher.remove(key, gone["metadata"]["uid"], version(gone))

    async def record(self, regarding: Manifest, event: Event) -> None:
        self._about_to(f"event {event.reason}")
        self.events.append(event)
        self._done()

    def _about_to(self, what: str) -> None:
        if self.kill_before and self.kill_at == len(self.writes) + 1:
            raise Killed
        self.writes.append(what)

    def _done(self) -> None:
        if not self.kill_before and self.kill_at == len(self.writes):
            raise Killed

    # The operator.

    def now(self) -> datetime:
        return self.now_

    def start(self) -> None:
        """An operator that knows only what is in the cluster. Its sampler has checked already."""
        self.kill_at = None
        self.index = Index()
        self.metrics = OperatorMetrics()
        stores = {"VolumeSnapshot": SnapshotStore(), "SubPath": SubPathStore()}
        self.kind = CheckpointPolicies(self.index, stores, decide, self.book, lambda: self.snapshots_served)
        self.dispatcher = Dispatcher(self.index, (self.kind,), lambda _: None)
        for manifest in self.objects.values():
            self.dispatcher.observe(copy.deepcopy(manifest))
        self.reconciler = Reconciler(
            {POLICY.kind: self.kind}, self.index, self, self.dispatcher.observe, self, self.metrics
        )

    def pass_(self) -> Outcome:
        return asyncio.run(self.reconciler(POLICY))

    def settle(self, passes: int = 60) -> None:
        """Until neither the operator nor the cluster has anything left to do at this time."""
        for _ in range(passes):
            outcome = self.pass_()
            moved = self.controllers()
            if not (outcome.wrote or outcome.failed or moved):
                return
            self.now_ += timedelta(seconds=1)
        raise AssertionError(f"no rest: {self.writes[-12:]}, {self.condition('Ready')}")

    def advance(self, seconds: float, *, checked: bool = False) -> None:
        """Time goes by; then everything comes to rest. `checked`: checks went on meanwhile, and say the same."""
        self.now_ += timedelta(seconds=seconds)
        if checked and POLICY in self.book:
            self.book[POLICY] = dataclasses.replace(self.book[POLICY], at=self.now_)
        self.settle()

    # What is to be seen.

    @property
    def status(self) -> Mapping[str, Any]:
        return self.objects[POLICY].get("status") or {}

    def condition(self, type_: str) -> tuple[str, str]:
        found = next((c for c in self.status.get("conditions", ()) if c["type"] == type_), {})
        return found.get("status", ""), found.get("reason", "")

    def message(self, type_: str) -> str:
        return next((c["message"] for c in self.status.get("conditions", ()) if c["type"] == type_), "")

    @property
    def serves(self) -> tuple[str, str | None]:
        """Claim and step that the Deployment has."""
        template = self.objects[DEPLOYMENT]["spec"]["template"]
        claim = template["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
        return claim, (template["metadata"].get("annotations") or {}).get("accord.dev/checkpoint-step")

    def names(self, kind: str) -> set[str]:
        return {key.name for key in self.objects if key.kind == kind and key != SOURCE}

    def quarantined(self) -> set[str]:
        return {
            key.name
            for key, manifest in self.objects.items()
            if (manifest["metadata"].get("labels") or {}).get("accord.dev/quarantined") == "true"
        }

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]


def _merge(live: Any, wanted: Any) -> Any:
    """Server-side apply as far as it matters here: maps by key, lists of named items by name."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        return {**live, **{key: _merge(live.get(key), value) for key, value in wanted.items()}}
    named = isinstance(live, list) and isinstance(wanted, list)
    if named and all(isinstance(item, dict) and "name" in item for item in (*live, *wanted)):
        key = "mountPath" if any("mountPath" in item for item in wanted) else "name"
        items = {item[key]: item for item in live}
        for item in wanted:
            items[item[key]] = _merge(items.get(item[key]), item)
        return list(items.values())
    return wanted
