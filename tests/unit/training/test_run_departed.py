"""The head of a Ray cluster that is gone before anybody has looked: why is remembered from the watch."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.unit.training.test_run_rayjob import training as rays_training
from tests.unit.training.world import NOW, condition

from accord.adapters.workloads.rayjob import RayJobWorkload
from accord.api.base import Manifest
from accord.domain.conditions import timestamp
from accord.domain.plan import ObjectKey, Plan
from accord.domain.training.decide import decide
from accord.runtime.book import Book
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index
from accord.runtime.training import TrainingRuns


class Watched:
    """A run that trains on Ray, as an operator sees it that has just begun."""

    def __init__(self) -> None:
        self._versions = itertools.count(1)
        index = Index()
        self.kind = TrainingRuns(index, {"RayJob": RayJobWorkload(lambda: True)}, decide, Book(), Book())
        self.dispatcher = Dispatcher(index, (self.kind,), lambda _: None)
        rays = rays_training()
        self.run = self.sees(rays.run)
        self.sees({**rays.jobs["r-1"], "kind": "RayJob"})
        for pod in rays.pods.values():
            self.sees({"apiVersion": "v1", "kind": "Pod", **pod})
        self.head: Manifest = {"apiVersion": "v1", "kind": "Pod", **rays.pods["h-1"]}

    def sees(self, live: Manifest) -> Manifest:
        versioned = {**live, "metadata": live["metadata"] | {"resourceVersion": str(next(self._versions))}}
        self.dispatcher.observe(versioned)
        return versioned

    def plan(self) -> Plan:
        return self.kind.plan(self.run, {}, NOW)

    def head_goes(self, status: Manifest | None = None, **meta: Any) -> None:
        """It is seen so, and is gone at once."""
        self.sees({**self.head, "metadata": self.head["metadata"] | meta, "status": status or self.head["status"]})
        self.dispatcher.remove(ObjectKey.of(self.head), self.head["metadata"]["uid"], next(self._versions))


EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory"}
STATE = {"terminated": {"exitCode": 137, "reason": "Error"}}
DEAD = {"phase": "Failed", "containerStatuses": [{"name": "trainer", "image": "example/ray:1", "state": STATE}]}
TOLD = {"deletionTimestamp": timestamp(NOW), "deletionGracePeriodSeconds": 30}


@pytest.mark.parametrize(
    ("status", "meta", "words", "failed"),
    [
        (EVICTED, {}, "pod h-1 was evicted", None),
        (None, TOLD, "was told to end", None),
        (DEAD, {}, "ended with exit code 137", 1),
    ],
    ids=["evicted", "told to end", "failed"],
)
def test_it_is_judged_by_how_it_was_last_seen(status: Manifest | None, meta: Any, words: str, failed: int) -> None:
    watched = Watched()
    assert condition(watched.plan(), "Ready")[1] == "Running"
    watched.head_goes(status, **meta)
    for _ in range(2):
        plan = watched.plan()
        assert words in condition(plan, "Ready")[2]
        assert plan.status is not None
        assert (plan.status.get("failedPods") or None) == failed
        assert bool(plan.delete) != bool(failed), "a failure is written down before"


def test_one_that_was_never_seen_to_end_is_not_called_lost_at_once() -> None:
    watched = Watched()
    watched.head_goes()
    assert watched.plan().delete == ()
