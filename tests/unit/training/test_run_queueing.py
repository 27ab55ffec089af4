"""Kueue, asked for or not: whose Job it is shows the Job as it lives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.training.world import World, at_rest, condition, job_key

from accord.adapters.workloads.job.objects import job_to_apply
from accord.adapters.workloads.job.view import JobView
from accord.api.base import Manifest
from accord.domain.training import names, queueing
from accord.runtime.slim import slim


def labelled(job: Manifest) -> None:
    """What Kueue's webhook does where the namespace has a LocalQueue named default."""
    job["metadata"]["labels"] = job["metadata"]["labels"] | {names.QUEUE_LABEL: "default"}
    job["metadata"]["generation"] = 1
    job["spec"]["suspend"] = True


def suspended_by_admission(job: Manifest) -> None:
    """What it does with `manageJobsWithoutQueueName`."""
    job["metadata"]["generation"] = 1
    job["spec"]["suspend"] = True


def evicted(job: Manifest) -> None:
    """What its controller does later."""
    job["metadata"]["generation"] = 7
    job["spec"]["suspend"] = True
    job["managers"] = {"suspend": "kueue"}


class Webhook(World):
    """A world in which every new Job passes by a webhook."""

    def __init__(self, mutate: Callable[[Manifest], None], **spec: Any) -> None:
        super().__init__(**spec)
        self.mutate = mutate

    def apply(self, wanted: Manifest) -> None:
        known = set(self.jobs)
        super().apply(wanted)
        for name in set(self.jobs) - known:
            self.mutate(self.jobs[name])


HOLDS = [(labelled, "queue default"), (suspended_by_admission, "admission"), (evicted, "Kueue suspended Job")]


@pytest.mark.parametrize(("mutate", "words"), HOLDS, ids=[mutate.__name__ for mutate, _ in HOLDS])
def test_a_job_that_kueue_holds_unasked_is_left_to_it(mutate: Callable[[Manifest], None], words: str) -> None:
    world = Webhook(mutate)
    world.settle()
    assert world.jobs["r-1"]["spec"]["suspend"] is True
    assert world.pods == {}
    status, reason, message = condition(world.decide(), "Ready")
    assert (world.status["phase"], status, reason) == ("Pending", "False", "Queued")
    assert words in message
    assert "set spec.queueName" in message
    at_rest(world)
    # Admitted: Kueue starts it, and puts its nodes into the template.
    evicted(world.jobs["r-1"])
    world.jobs["r-1"]["spec"]["suspend"] = False
    world.jobs["r-1"]["spec"]["template"]["spec"]["nodeSelector"] = {"flavor": "spot"}
    world.settle()
    assert (world.status["phase"], world.made) == ("Running", ["r-1"])
    at_rest(world)
    world.jobs["r-1"]["spec"]["suspend"] = True
    world.settle()
    assert (condition(world.decide(), "Ready")[1], world.pods) == ("Queued", {})
    at_rest(world)


@pytest.mark.parametrize("mutate", [mutate for mutate, _ in HOLDS])
def test_a_suspended_run_has_no_job_that_kueue_could_start(mutate: Callable[[Manifest], None]) -> None:
    world = Webhook(mutate)
    world.settle()
    world.edit(suspend=True)
    assert world.step().delete == (job_key(1),)
    world.settle()
    assert (world.status["phase"], world.jobs) == ("Suspended", {})
    at_rest(world)
    world.edit(suspend=False)
    world.settle()
    assert (list(world.jobs), condition(world.decide(), "Ready")[1]) == (["r-2"], "Queued")


def test_limits_of_a_job_that_kueue_holds_are_not_written_and_that_is_said() -> None:
    world = Webhook(labelled)
    world.settle()
    world.edit(backoffLimit=1)
    plan = world.settle()
    assert (plan.apply, world.made) == ((), ["r-1"])
    assert condition(plan, "Accepted")[:2] == ("True", "Adjusted")
    assert "from the next attempt on" in condition(plan, "Accepted")[2]


def test_a_job_that_a_person_suspended_by_hand_goes_on() -> None:
    world = World()
    world.settle()
    world.jobs["r-1"]["metadata"]["generation"] = 2
    world.jobs["r-1"]["managers"] = {"suspend": "kubectl-patch"}
    world.jobs["r-1"]["spec"]["suspend"] = True
    (kept,) = world.decide().apply
    assert kept["spec"]["suspend"] is False


def with_label(world: World, queue: str | None) -> None:
    assert world.run is not None
    world.run = copy.deepcopy(world.run)
    world.run["metadata"]["labels"].pop(names.QUEUE_LABEL, None)
    if queue is not None:
        world.run["metadata"]["labels"][names.QUEUE_LABEL] = queue


def test_the_queue_label_of_a_run_is_honoured() -> None:
    world = World()
    with_label(world, "main")
    world.settle()
    job = world.jobs["r-1"]
    assert (job["metadata"]["labels"][names.QUEUE_LABEL], job["spec"]["suspend"]) == ("main", True)
    assert condition(world.decide(), "Ready")[1:] == ("Queued", "waiting for admission by queue main")
    status, reason, message = condition(world.decide(), "Accepted")
    assert (status, reason) == ("True", "Accepted")
    assert "used as spec.queueName: main" in message
    at_rest(world)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, "main", "takes effect with the next attempt: Job r-1 was created without a queue"),
        ("main", "other", "takes effect with the next attempt: Job r-1 is in queue main"),
        ("main", None, "Job r-1 stays in queue main; the run names none for the next attempt"),
    ],
    ids=["added", "changed", "removed"],
)
def test_a_label_never_replaces_the_attempt_that_trains(before: str | None, after: str | None, words: str) -> None:
    """A label may come from a tool that labels whole folders, and from a version that did not heed it."""
    world = World()
    with_label(world, before)
    world.settle()
    if before is not None:
        evicted(world.jobs["r-1"])
        world.jobs["r-1"]["spec"]["suspend"] = False
        world.settle()
    assert world.status["phase"] == "Running"
    with_label(world, after)
    world.settle()
    assert (world.status["phase"], world.made) == ("Running", ["r-1"])
    assert words in condition(world.decide(), "Accepted")[2]
    at_rest(world)
    # What is changed for another reason is made where the label says.
    world.edit(totalSteps=20_000)
    world.settle()
    job = world.jobs["r-2"]
    assert (job["metadata"]["labels"].get(names.QUEUE_LABEL), job["spec"]["suspend"]) == (after, after is not None)
    assert "next attempt" not in condition(world.decide(), "Accepted")[2]


@pytest.mark.parametrize("before", [None, "main"])
def test_a_run_that_rests_resumes_in_the_queue_of_its_label(before: str | None) -> None:
    world = World()
    with_label(world, before)
    world.settle()
    world.edit(suspend=True)
    world.settle()
    with_label(world, "other")
    world.settle()
    assert (world.status["phase"], world.jobs) == ("Suspended", {})
    at_rest(world)
    world.edit(suspend=False)
    world.settle()
    assert world.jobs["r-2"]["metadata"]["labels"][names.QUEUE_LABEL] == "other"


def test_the_queue_of_the_spec_comes_before_that_of_the_label() -> None:
    world = World(queueName="team")
    with_label(world, "main")
    world.settle()
    assert world.jobs["r-1"]["metadata"]["labels"][names.QUEUE_LABEL] == "team"
    assert "spec.queueName team takes precedence over main" in condition(world.decide(), "Accepted")[2]
    with_label(world, "team")
    assert condition(world.decide(), "Accepted")[2] == "spec accepted"


def test_a_label_without_a_name_is_none() -> None:
    world = World()
    with_label(world, "")
    world.settle()
    assert world.status["phase"] == "Running"
    assert queueing.queue(world.gather().run) is None


def fields(manager: str, subresource: str = "") -> Manifest:
    return {"manager": manager, "subresource": subresource, "fieldsV1": {"f:spec": {"f:suspend": {}}}}


@pytest.mark.parametrize(
    ("managed", "by"),
    [
        ([fields("accord")], None),
        ([fields("accord"), fields("kueue")], "kueue"),
        ([fields("controller", "status"), fields("accord")], None),
        ([{"manager": "kueue", "fieldsV1": {"f:metadata": {}}}], None),
        ([], None),
    ],
)
def test_who_suspended_a_job_is_kept_of_its_managed_fields(managed: list[Manifest], by: str | None) -> None:
    world = World()
    world.settle()
    job = copy.deepcopy(world.jobs["r-1"])
    job["metadata"]["managedFields"] = managed
    kept = slim(job)
    assert JobView.of(kept).suspended_by == by
    assert "managedFields" not in kept["metadata"]
    wanted = job_to_apply(world.gather().run, JobView.of({**kept, "spec": {**kept["spec"], "suspend": True}}))
    assert (wanted is None) == (by == "kueue")
    assert wanted is None or "managers" not in wanted
