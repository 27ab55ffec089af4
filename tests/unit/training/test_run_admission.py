"""A Job with a Workload: Kueue says why it waits, and a run is suspended in its place in the queue."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.training.test_run_queueing import with_label
from tests.unit.training.world import World, at_rest, condition

from accord.adapters.workloads.job.objects import job_to_apply
from accord.api.base import Manifest
from accord.domain.conditions import timestamp
from accord.domain.plan import Plan
from accord.domain.training import names
from accord.domain.training.admission import Admission
from accord.domain.training.observed import Observed
from accord.runtime.slim import slim

NO_QUOTA = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor any, 200m more needed"
TOO_LARGE = (
    "couldn't assign flavors to pod set main: insufficient quota for cpu in flavor any, previously considered podsets "
    "requests (0) + current podset request (4) > maximum capacity (200m)"
)
PREEMPTED = "Preempted to accommodate a workload (UID: 1, JobUID: 2) due to prioritization in the ClusterQueue"
DEACTIVATED = "The workload is deactivated"


class Kueue(World):
    """A world in which Kueue has a Workload for each Job. `admits` says what it thinks of the newest."""

    def __init__(self, **spec: Any) -> None:
        super().__init__(queueName="main", **spec)
        self.workloads: dict[str, Manifest] = {}
        self.patches: list[bool] = []

    def controllers(self) -> None:
        for name in self.workloads.keys() - self.jobs.keys():
            del self.workloads[name]
        for name in self.jobs.keys() - self.workloads.keys():
            self.workloads[name] = {
                "apiVersion": "kueue.x-k8s.io/v1beta2",
                "kind": "Workload",
                "metadata": {"namespace": "ns", "name": f"job-{name}", "uid": f"workload-{name}"},
                "spec": {"queueName": "main", "active": True},
                "status": {},
            }
        for name, workload in self.workloads.items():
            if not workload["spec"]["active"]:
                self.evict("Deactivated", DEACTIVATED, name)
        super().controllers()

    def say(self, type_: str, status: bool, reason: str, message: str, name: str = "r-1") -> None:
        conditions = self.workloads[name]["status"].setdefault("conditions", [])
        conditions[:] = [each for each in conditions if each["type"] != type_]
        said = {"type": type_, "status": str(status), "reason": reason, "message": message}
        conditions.append({**said, "lastTransitionTime": timestamp(self.now)})

    def pend(self, reason: str, message: str, name: str = "r-1") -> None:
        self.say("QuotaReserved", False, reason, message, name)

    def admit(self, name: str = "r-1") -> None:
        for type_ in ("QuotaReserved", "Admitted"):
            self.say(type_, True, type_, "", name)
        self.say("Evicted", False, "QuotaReserved", "", name)
        self.switch(name, suspend=False)

    def evict(self, reason: str, message: str, name: str = "r-1") -> None:
        self.say("Evicted", True, reason, message, name)
        self.say("Admitted", False, "NoReservation", "", name)
        self.pend("Pending", message, name)
        self.switch(name, suspend=True)

    def switch(self, name: str, *, suspend: bool) -> None:
        self.jobs[name]["spec"]["suspend"] = suspend
        self.jobs[name]["managers"] = {"suspend": "kueue"}

    def patch_pod(self, part: Manifest) -> None:
        if part["kind"] != "Workload":
            return super().patch_pod(part)
        (workload,) = (w for w in self.workloads.values() if w["metadata"]["uid"] == part["metadata"]["uid"])
        workload["spec"] = workload["spec"] | part["spec"]
        workload["managers"] = {"active": "accord"}
        self.patches.append(part["spec"]["active"])
        return None

    def gather(self) -> Observed:
        observed = super().gather()
        jobs = tuple(
            replace(job, admission=Admission.of(copy.deepcopy(self.workloads[job.name])))
            if job.name in self.workloads
            else job
            for job in observed.jobs
        )
        return replace(observed, jobs=jobs)


def ready(plan: Plan) -> tuple[str, str]:
    status, reason, _ = condition(plan, "Ready")
    return status, reason


@pytest.mark.parametrize(
    ("reason", "message", "said", "stalls"),
    [
        ("Pending", NO_QUOTA, "Queued", False),
        ("Waiting", "waiting for all admitted workloads to be in PodsReady condition", "Queued", False),
        ("Pending", TOO_LARGE, "ExceedsQuota", True),
        ("Inadmissible", "LocalQueue main doesn't exist", "QueueNotFound", True),
        ("Inadmissible", "ClusterQueue one doesn't exist", "QueueNotFound", True),
        ("Inadmissible", "LocalQueue main is terminating or missing", "QueueNotFound", True),
        ("Inadmissible", "LocalQueue main is stopped", "QueueStopped", False),
        ("Inadmissible", "ClusterQueue one is inactive", "QueueStopped", False),
        ("Inadmissible", "something that is new in a later version", "Inadmissible", True),
        ("AdmissionGated", "Admission is gated by: x", "AdmissionGated", False),
    ],
)
def test_a_run_that_waits_says_why_in_the_words_of_kueue(reason: str, message: str, said: str, stalls: bool) -> None:
    world = Kueue()
    world.settle()
    world.pend(reason, message)
    plan = world.step()
    assert (world.status["phase"], ready(plan)) == ("Pending", ("False", said))
    assert message in condition(plan, "Ready")[2]
    assert condition(plan, "Reconciling")[1] == said
    world.settle()
    at_rest(world)
    # What may mend by itself is given a minute: a queue is often applied together with its first run.
    world.wait(60)
    plan = world.step()
    assert condition(plan, "Stalled")[1] == (said if stalls else "")
    world.admit()
    world.settle()
    assert (world.status["phase"], world.made) == ("Running", ["r-1"])
    at_rest(world)


def test_without_a_word_of_kueue_a_run_is_queued_as_ever() -> None:
    world = Kueue()
    plan = world.settle()
    assert condition(plan, "Ready")[1:] == ("Queued", "waiting for admission by queue main")
    world.say("QuotaReserved", True, "QuotaReserved", "")
    assert "admission checks" in condition(world.decide(), "Ready")[2]


def test_a_preempted_run_saves_waits_and_goes_on_in_the_same_attempt() -> None:
    world = Kueue()
    world.settle()
    world.admit()
    world.settle()
    world.evict("Preempted", PREEMPTED)
    world.controllers()
    world.kubelet = lambda: None  # type: ignore[method-assign]
    plan = world.step()
    assert (world.status["phase"], ready(plan)) == ("Running", ("False", "Preempted"))
    assert "its pod is saving and terminating" in condition(plan, "Ready")[2]
    assert "prioritization in the ClusterQueue" in condition(plan, "Ready")[2]
    del world.kubelet
    world.kubelet()
    assert ready(world.step()) == ("False", "Preempted")
    assert world.status["phase"] == "Pending"
    world.pend("Pending", NO_QUOTA)
    assert ready(world.step()) == ("False", "Queued")
    world.settle()
    at_rest(world)
    world.admit()
    world.settle()
    assert (world.status["phase"], world.made, world.attempt) == ("Running", ["r-1"], 1)
    assert world.patches == []


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("PodsReadyTimeout", "PodsReadyTimeout"),
        ("ClusterQueueStopped", "QueueStopped"),
        ("LocalQueueStopped", "QueueStopped"),
        ("NodeFailures", "NodeFailures"),
    ],
)
def test_every_eviction_has_its_reason(reason: str, said: str) -> None:
    world = Kueue()
    world.settle()
    world.admit()
    world.settle()
    world.evict(reason, "words of Kueue")
    world.settle()
    assert ready(world.decide()) == ("False", said)
    assert "words of Kueue" in condition(world.decide(), "Ready")[2]
    at_rest(world)


@pytest.mark.parametrize("admitted", [True, False], ids=["admitted", "queued"])
def test_a_suspended_run_keeps_its_workload_and_its_attempt(admitted: bool) -> None:
    world = Kueue()
    world.settle()
    if admitted:
        world.admit()
        world.settle()
    uid = world.jobs["r-1"]["metadata"]["uid"]
    world.edit(suspend=True)
    world.settle()
    assert (world.status["phase"], world.pods, world.patches) == ("Suspended", {}, [False])
    at_rest(world)
    world.edit(suspend=False)
    plan = world.settle()
    assert (ready(plan), world.patches) == (("False", "Queued"), [False, True])
    assert DEACTIVATED not in condition(plan, "Ready")[2]
    at_rest(world)
    world.admit()
    world.settle()
    assert (world.status["phase"], world.attempt, world.jobs["r-1"]["metadata"]["uid"]) == ("Running", 1, uid)
    assert world.made == ["r-1"]


def test_what_kueue_or_a_person_has_deactivated_is_not_started_by_the_operator() -> None:
    world = Kueue()
    world.settle()
    world.workloads["r-1"]["spec"]["active"] = False
    world.settle()
    plan = world.decide()
    assert (condition(plan, "Stalled")[1], world.patches) == ("Deactivated", [])
    assert "kubectl patch workload job-r-1 " in condition(plan, "Ready")[2]
    at_rest(world)
    # A run that is suspended meanwhile rests as any other, and nothing has to be written for it.
    world.edit(suspend=True)
    world.settle()
    assert (world.status["phase"], world.patches) == ("Suspended", [])
    world.edit(suspend=False)
    world.settle()
    assert condition(world.decide(), "Stalled")[1] == "Deactivated"


def test_a_run_that_rests_and_is_changed_goes_on_as_another_attempt() -> None:
    """A Job's template cannot change; its place in the queue goes with it."""
    world = Kueue()
    world.settle()
    world.edit(suspend=True)
    world.settle()
    world.edit(totalSteps=20_000)
    world.settle()
    assert (world.status["phase"], world.jobs) == ("Suspended", {})
    world.edit(suspend=False)
    world.settle()
    assert world.made == ["r-1", "r-2"]


def test_the_operator_may_die_between_any_two_writes_of_a_suspension() -> None:
    for writes in (1, 2):
        world = Kueue()
        world.settle()
        world.admit()
        world.settle()
        for suspend in (True, False):
            world.edit(suspend=suspend)
            for _ in range(4):
                world.step(writes)
                world.controllers()
            world.settle()
        assert (world.patches, world.made) == ([False, True], ["r-1"])
        at_rest(world)


def test_an_attempt_in_a_queue_starts_when_it_runs() -> None:
    world = Kueue()
    world.settle()
    assert [event.reason for event in world.events] == ["AttemptQueued"]
    world.admit()
    world.settle()
    assert [event.reason for event in world.events] == ["AttemptQueued", "AttemptStarted"]
    world.annotate(restart_from="500", restart_attempt="1")
    world.settle()
    assert world.made == ["r-1", "r-2"]
    assert "attempt 2 is queued and resumes from step-00000500" in condition(world.decide(), "RolledBack")[2]
    world.admit("r-2")
    world.settle()
    assert "attempt 2 resumed from step-00000500" in condition(world.decide(), "RolledBack")[2]
    assert world.events[-1].note.endswith("is running and resumes from step-00000500")


def priority_of(world: World, job: str = "r-1") -> str | None:
    found = world.jobs[job]["metadata"]["labels"].get(names.PRIORITY_LABEL)
    return None if found is None else str(found)


def test_the_priority_of_a_run_reaches_each_job_and_follows_the_spec() -> None:
    world = Kueue(priorityClass="low")
    world.settle()
    assert priority_of(world) == "low"
    world.edit(priorityClass="high")
    world.settle()
    assert (priority_of(world), world.made) == ("high", ["r-1"])
    at_rest(world)
    world.admit()
    world.settle()
    world.edit(priorityClass="low")
    world.settle()
    assert (priority_of(world), world.status["phase"]) == ("low", "Running")
    at_rest(world)
    # Kueue refuses to have it taken away.
    assert world.run is not None
    del world.run["spec"]["priorityClass"]
    world.settle()
    assert (priority_of(world), world.made) == ("low", ["r-1"])
    at_rest(world)


def test_a_job_that_runs_without_a_priority_gets_one_with_its_next_attempt() -> None:
    world = Kueue()
    world.settle()
    world.admit()
    world.settle()
    world.edit(priorityClass="high")
    world.settle()
    assert (priority_of(world), world.status["phase"]) == (None, "Running")
    at_rest(world)
    world.evict("Preempted", PREEMPTED)
    world.settle()
    assert priority_of(world) == "high"


def test_the_priority_label_of_a_run_is_honoured_as_that_of_its_queue() -> None:
    world = World()
    with_label(world, "main")
    assert world.run is not None
    world.run["metadata"]["labels"][names.PRIORITY_LABEL] = "high"
    world.settle()
    assert priority_of(world) == "high"


def test_a_job_that_kueue_holds_is_only_written_as_it_was_seen_and_without_its_suspension() -> None:
    world = Kueue(priorityClass="low")
    world.settle()
    run = world.gather().run
    (job,) = world.gather().jobs
    job = replace(job, manifest={**job.manifest, "metadata": {**job.manifest["metadata"], "resourceVersion": "7"}})
    lost = replace(job, priority="other")
    first = job_to_apply(run, lost)
    assert first is not None
    # Nobody else has set it: what is left out of an apply is removed.
    assert (first["metadata"]["resourceVersion"], first["spec"]["suspend"]) == ("7", True)
    then = job_to_apply(run, replace(lost, suspended_by="kueue"))
    assert then is not None
    assert (then["metadata"]["resourceVersion"], "suspend" in then["spec"]) == ("7", False)


def fields(manager: str, *path: str) -> Manifest:
    held: Manifest = {}
    for name in reversed(path):
        held = {f"f:{name}": held}
    return {"manager": manager, "operation": "Apply", "fieldsV1": held}


@pytest.mark.parametrize(
    ("managed", "ours"),
    [
        ([fields("accord", "spec", "active"), fields("kueue", "status")], True),
        ([fields("kueue", "spec", "active")], False),
        ([fields("kubectl-patch", "spec", "active"), fields("accord", "metadata")], False),
        ([], False),
    ],
)
def test_of_a_workload_is_kept_what_is_read_and_who_has_stopped_it(managed: list[Manifest], ours: bool) -> None:
    pending = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": NO_QUOTA}
    kept = slim(
        {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "Workload",
            "metadata": {"namespace": "ns", "name": "w", "uid": "u", "managedFields": managed},
            "spec": {"queueName": "main", "active": False, "podSets": [{"name": "main", "template": {}}]},
            "status": {"conditions": [pending, {"type": "PodsReady", "status": "True"}], "admission": {}},
        }
    )
    assert kept["spec"] == {"queueName": "main", "active": False}
    assert kept["status"] == {"conditions": [pending]}
    assert "managedFields" not in kept["metadata"]
    found = Admission.of(kept)
    assert (found.queue, found.active, found.stopped_by_us) == ("main", False, ours)
