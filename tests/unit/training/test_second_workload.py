"""What runs an attempt is one answer to a port: a second one is a class, and the operator's code stays as it is."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.training.toy_workload import ToyWorkload
from tests.unit.training.world import NOW, condition, manifest

import accord
from accord.api.base import Manifest
from accord.domain.checkpoint.views import RunView
from accord.domain.conditions import timestamp
from accord.domain.plan import ObjectKey, Plan
from accord.domain.training import progress
from accord.domain.training.decide import decide
from accord.ports.workload import Workload
from accord.runtime.book import Book
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index
from accord.runtime.slim import slim
from accord.runtime.training import TrainingRuns

TOY = ObjectKey("toys.example/v1", "Toy", "ns", "r-toy-1")


class Toys:
    """An operator whose attempts are Toys, from the watch to the plan."""

    def __init__(self, **spec: Any) -> None:
        self._versions = itertools.count(1)
        self._index = Index()
        self.queued: list[ObjectKey] = []
        workload: Workload = ToyWorkload()
        self.kind = TrainingRuns(self._index, {"Job": workload}, decide, Book(), Book())
        self._dispatcher = Dispatcher(self._index, (self.kind,), self.queued.append)
        self.run = self.watched(manifest(**spec))

    def watched(self, live: Manifest) -> Manifest:
        versioned = {**live, "metadata": live["metadata"] | {"resourceVersion": str(next(self._versions))}}
        self._dispatcher.observe(slim(versioned))
        return versioned

    def step(self) -> Plan:
        """One pass. What it wants is there at once, and so is its status."""
        plan = self.kind.plan(self.run, {}, NOW)
        for wanted in plan.apply:
            born = {"uid": f"uid-{wanted['metadata']['name']}", "creationTimestamp": timestamp(NOW)}
            self.live = self.watched({**wanted, "metadata": born | wanted["metadata"]})
        self.run = self.watched({**self.run, "status": plan.status})
        return plan

    def edit(self, **spec: Any) -> None:
        self.run = self.watched({**self.run, "spec": self.run["spec"] | spec})

    def tells(self, **status: Any) -> None:
        self.queued.clear()
        self.watched({**self.live, "status": status})
        assert self.queued == [ObjectKey.of(self.run)], "a Toy leads to its run"

    def pod(self, phase: str) -> None:
        labels = self.live["spec"]["pod"]["metadata"]["labels"]
        meta = {"name": "any-name", "namespace": "ns", "uid": "p", "labels": labels}
        meta["creationTimestamp"] = timestamp(NOW)
        self.watched({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}, "status": {"phase": phase}})


def training() -> Toys:
    toys = Toys()
    toys.step()
    toys.pod("Running")
    return toys


def test_an_attempt_begins_as_an_object_of_the_workload() -> None:
    toys = Toys()
    plan = toys.step()
    assert [ObjectKey.of(wanted).kind for wanted in plan.apply] == ["PersistentVolumeClaim", "Toy"]
    assert ObjectKey.of(plan.apply[1]) == TOY
    assert plan.status is not None
    assert plan.status["jobRef"] == {"name": "r-toy-1"}
    assert toys.step().apply == ()


def test_its_pods_say_how_it_is_and_it_says_how_it_ended() -> None:
    toys = training()
    assert condition(toys.step(), "Ready") == ("True", "Running", "attempt 1 is training")
    toys.tells(state="Done")
    assert condition(toys.step(), "Complete")[:2] == ("True", "Succeeded")


def test_one_that_breaks_fails_the_run_in_its_own_words() -> None:
    toys = training()
    toys.step()
    toys.pod("Succeeded")
    toys.tells(state="Broken")
    assert condition(toys.step(), "Failed") == ("True", "Broken", "Toy r-toy-1 failed")


def test_it_is_suspended_in_its_own_way_and_replaced_when_what_it_was_made_from_changes() -> None:
    toys = training()
    toys.step()
    toys.edit(suspend=True)
    (asleep,) = toys.step().apply
    assert (ObjectKey.of(asleep), asleep["spec"]["asleep"]) == (TOY, True)
    toys.edit(suspend=False, totalSteps=7)
    assert toys.step().delete == (TOY,)


def test_one_that_no_watch_shows_is_looked_for_by_its_own_name() -> None:
    toys = Toys(status={"attempt": 1})
    assert toys.kind.unseen(toys.run) == TOY


def test_a_spec_that_it_cannot_run_is_refused_in_its_words() -> None:
    toys = Toys(queueName="team")
    plan = toys.step()
    assert plan.apply == ()
    assert condition(plan, "Accepted") == ("False", "NoQueue", "a Toy cannot wait in a queue")
    assert condition(plan, "Stalled") == ("True", "NoQueue", "a Toy cannot wait in a queue")


def test_what_its_trainer_reports_is_asked_for_by_the_name_of_its_object() -> None:
    toys = training()
    run = toys.kind.read(ObjectKey.of(toys.run))
    assert run is not None
    assert 'pod=~"r-toy-1-[a-z0-9]+(-head-[a-z0-9]+)?"' in progress.query(run)
    assert RunView.of(toys.run).job == "r-toy-1", "a CheckpointPolicy finds it there"
    assert re.fullmatch(ToyWorkload().pod_matcher("r"), "r-toy-1-abcde")


@pytest.mark.parametrize("name", ["batch/v1", "adapters.workloads"])
def test_the_first_answer_is_named_only_where_it_is_chosen(name: str) -> None:
    root = Path(accord.__file__).parent
    named = {str(each.relative_to(root)) for each in root.rglob("*.py") if name in each.read_text("utf-8")}
    elsewhere = {
        each for each in named if not each.startswith(("adapters/workloads/job/", "adapters/workloads/rayjob/"))
    }
    chosen = {"adapters/workloads/__init__.py", "kinds.py"} if name == "adapters.workloads" else set()
    assert elsewhere == chosen
