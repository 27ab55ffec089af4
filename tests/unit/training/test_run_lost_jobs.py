"""A Job that no watch shows is gone, or lost the label or owner that it is known by. Never a second beside it."""

from __future__ import annotations

import copy
import itertools
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.training.world import NOW, World, job_key

from accord.adapters.workloads.job import JobWorkload
from accord.adapters.workloads.job.objects import job_to_apply
from accord.adapters.workloads.job.view import JobView
from accord.api.base import Manifest
from accord.domain.plan import ObjectKey, Plan
from accord.domain.traffic.names import MANAGED_BY_LABEL
from accord.domain.training import names
from accord.domain.training.decide import decide
from accord.domain.warned import Warned
from accord.observability.metrics import OperatorMetrics
from accord.ports.cluster import ClusterError
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index
from accord.runtime.kinds import LooksForOwn
from accord.runtime.reconcile import Reconciler
from accord.runtime.training import TrainingRuns

RUN = ObjectKey("accord.dev/v1alpha1", "TrainingRun", "ns", "r")


class Restarted:
    """An operator that starts beside a run of which an attempt was begun, and an API server."""

    def __init__(self, **spec: Any) -> None:
        world = World(**spec)
        world.settle()
        assert world.run is not None
        self.job = copy.deepcopy(world.jobs["r-1"])
        self.live: dict[ObjectKey, Manifest | ClusterError] = {}
        self.made: list[Manifest] = []
        self.asked: list[ObjectKey] = []
        self._versions = itertools.count(1)
        self.run = self.versioned(world.run)
        self.index = Index()
        self.kind = TrainingRuns(self.index, {"Job": JobWorkload()}, decide, {}, {})
        observe = self.index.observe
        cluster: Any = self
        self.reconciler = Reconciler({"TrainingRun": self.kind}, self.index, cluster, observe, self, OperatorMetrics())  # type: ignore[arg-type]
        self.index.observe(self.run)

    def now(self) -> Any:
        return NOW

    def versioned(self, manifest: Manifest) -> Manifest:
        meta = {"namespace": "ns", **manifest["metadata"], "resourceVersion": str(next(self._versions))}
        return {**manifest, "metadata": meta}

    def watched(self, manifest: Manifest) -> None:
        self.index.observe(self.versioned(manifest))

    def exists(self, job: Manifest) -> None:
        """Where no watch shows it."""
        self.live[job_key(1)] = self.versioned(job)

    async def get(self, key: ObjectKey) -> Manifest | None:
        self.asked.append(key)
        live = self.live.get(key)
        if isinstance(live, ClusterError):
            raise live
        return live

    async def apply(self, manifest: Manifest) -> Manifest:
        self.made.append(manifest)
        return self.versioned(
            {**manifest, "metadata": {"uid": "x", "creationTimestamp": "2026-01-01T00:00:00Z", **manifest["metadata"]}}
        )

    async def apply_status(self, manifest: Manifest) -> Manifest:
        return self.versioned({**self.run, "status": manifest["status"]})

    async def record(self, *_: object) -> None:
        pass

    @property
    def jobs(self) -> list[str]:
        return [made["metadata"]["name"] for made in self.made if made["kind"] == "Job"]


def without(job: Manifest, *labels: str, owner: bool = True) -> Manifest:
    meta = {**job["metadata"], "labels": {k: v for k, v in job["metadata"]["labels"].items() if k not in labels}}
    return {**job, "metadata": meta if owner else {**meta, "ownerReferences": []}}


@pytest.fixture
def restarted() -> Restarted:
    return Restarted()


async def test_a_job_that_lost_its_label_unseen_gets_it_back_and_no_other_is_made(restarted: Restarted) -> None:
    restarted.exists(without(restarted.job, MANAGED_BY_LABEL))
    assert not (await restarted.reconciler(RUN)).failed
    assert restarted.jobs == ["r-1"]
    assert restarted.made[0]["metadata"]["labels"][MANAGED_BY_LABEL] == "accord"
    assert restarted.kind.unseen(restarted.run) is None, "it is known from now on"


async def test_one_that_completed_unseen_completes_the_run(restarted: Restarted) -> None:
    job = without(restarted.job, MANAGED_BY_LABEL)
    end = {
        "type": "Complete",
        "status": "True",
        "reason": "CompletionsReached",
        "lastTransitionTime": "2026-03-01T12:30:00Z",
    }
    restarted.exists({**job, "status": {"conditions": [end]}})
    await restarted.reconciler(RUN)
    assert restarted.jobs == []
    run = restarted.index.get(RUN)
    assert run is not None
    assert run["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize("error", [ClusterError(0, "Unreachable", "no answer"), ClusterError(503, "Busy", "later")])
async def test_without_an_answer_none_is_made(restarted: Restarted, error: ClusterError) -> None:
    restarted.live[job_key(1)] = error
    assert (await restarted.reconciler(RUN)).failed
    assert restarted.made == []


async def test_one_that_is_gone_is_asked_for_once_and_the_next_attempt_starts(restarted: Restarted) -> None:
    await restarted.reconciler(RUN)
    assert restarted.jobs == ["r-2"]
    assert restarted.asked.count(job_key(1)) == 1
    await restarted.reconciler(RUN)
    assert restarted.asked.count(job_key(1)) == 1


async def test_one_of_somebody_else_is_none_of_the_run(restarted: Restarted) -> None:
    other = [{"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": "other", "controller": True}]
    restarted.exists({**restarted.job, "metadata": {**restarted.job["metadata"], "ownerReferences": other}})
    await restarted.reconciler(RUN)
    assert restarted.jobs == ["r-2"]


async def test_a_job_that_lost_its_owner_gets_it_back_and_no_other_is_made(restarted: Restarted) -> None:
    restarted.watched(without(restarted.job, owner=False))
    await restarted.reconciler(RUN)
    assert restarted.jobs == ["r-1"]
    assert restarted.made[0]["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_a_job_that_kueue_holds_gets_its_label_back_and_nothing_else() -> None:
    restarted = Restarted(queueName="team")
    job = without(restarted.job, MANAGED_BY_LABEL)
    # Kueue has admitted it, with nodes of its choice; the limits of the run have changed since.
    pod = {**job["spec"]["template"]["spec"], "nodeSelector": {"flavor": "spot"}}
    job["spec"] = {
        **job["spec"],
        "suspend": False,
        "backoffLimit": 1,
        "template": {**job["spec"]["template"], "spec": pod},
    }
    wanted = job_to_apply(World(queueName="team").gather().run, JobView.of(job))
    assert wanted is not None
    assert wanted["spec"] == job["spec"]
    assert wanted["metadata"]["labels"] == {**job["metadata"]["labels"], MANAGED_BY_LABEL: "accord"}
    assert wanted["metadata"]["labels"][names.QUEUE_LABEL] == "team"


def test_the_kind_looks_for_its_own(restarted: Restarted) -> None:
    assert isinstance(restarted.kind, LooksForOwn)
    assert restarted.kind.plan(restarted.run, {}, NOW) != Plan()
    restarted.kind.forget(RUN)
    assert restarted.kind.unseen(restarted.run) == job_key(1)


def test_events_of_a_job_are_asked_for_only_where_it_makes_no_pod_for_a_while(restarted: Restarted) -> None:
    kind, job = restarted.kind, restarted.job
    restarted.watched(job)

    def asked(seconds: float) -> str | None:
        kind.plan(restarted.run, {}, NOW + timedelta(seconds=seconds))
        return kind.unexplained(restarted.run)

    assert (asked(0), asked(4), asked(5)) == (None, None, job["metadata"]["uid"])
    words: list[Any] = []
    kind._decide = lambda observed, *_: (words.append((observed.refused, observed.podless_since)), Plan())[1]
    kind.explained(restarted.run, job["metadata"]["uid"], Warned("FailedCreate", "no"))
    kind.plan(restarted.run, {}, NOW + timedelta(seconds=6))
    assert words == [(Warned("FailedCreate", "no"), NOW)]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {}, "status": {"phase": "Pending"}}
    labels = job["spec"]["template"]["metadata"]["labels"]
    meta = {"name": "r-1-x", "uid": "x", "labels": labels, "creationTimestamp": "2026-03-01T12:00:00Z"}
    dispatcher = Dispatcher(restarted.index, (kind,), lambda _: None)
    dispatcher.observe(restarted.versioned({**pod, "metadata": meta}))
    assert asked(7) is None
    assert words[-1] == (None, None)
