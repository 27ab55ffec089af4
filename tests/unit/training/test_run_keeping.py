"""The pod of an attempt that a rollback gave up stays, ended, for the logs: for a stated time, and in nobody's way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.unit.training.test_run_pauses import pause, policy
from tests.unit.training.world import World, at_rest, comes_to_rest, condition, ended, killed_in_each

from accord.domain.plan import ObjectKey, Refusal
from accord.domain.training.views import PodView


def trained(**spec: Any) -> World:
    world = World(**{"ttlAfterGivenUp": "1h", **spec})
    world.settle()
    world.saves(1000)
    world.settle()
    return world


def roll_back(world: World) -> None:
    world.annotate(restart_from="500", restart_attempt=str(world.attempt))


def phases(world: World) -> dict[str, str]:
    return {name: pod["status"]["phase"] for name, pod in world.pods.items()}


def test_the_pod_of_an_attempt_that_went_wrong_stays_and_the_condition_says_where_to_look() -> None:
    world = trained()
    (before,) = world.pods
    roll_back(world)
    world.settle()
    assert (world.attempt, world.status["phase"]) == (2, "Running")
    assert list(world.jobs) == ["r-1", "r-2"]
    assert phases(world)[before] == "Failed"
    assert ended(world.jobs["r-1"])
    _, reason, message = condition(world.step(), "RolledBack")
    assert reason == "RestartedFromCheckpoint"
    assert f"its pod is kept for 1h: `kubectl logs {before} -c trainer`" in message
    assert world.status["failedPods"] == 0, "that it was ended is no failure of the trainer"
    at_rest(world)


def test_it_goes_when_its_time_is_over() -> None:
    world = trained(ttlAfterGivenUp="10m")
    roll_back(world)
    world.settle()
    world.wait(500)
    plan = world.step()
    assert "r-1" in world.jobs
    assert plan.requeue_after is not None
    assert plan.requeue_after <= 100
    world.wait(100)
    world.settle()
    assert list(world.jobs) == ["r-2"]
    assert len(world.pods) == 1
    assert "kubectl logs" not in condition(world.step(), "RolledBack")[2]
    at_rest(world)


def test_the_next_attempt_waits_until_that_pod_has_ended() -> None:
    """The world fails where two are at work; here kubelet takes its time."""
    world = trained()
    world.node_answers = False
    roll_back(world)
    for _ in range(5):
        world.step()
        world.controllers()
        world.wait(5)
    assert list(world.jobs) == ["r-1"]
    assert condition(world.step(), "Ready")[:2] == ("False", "Restarting")
    (pod,) = world.pods.values()
    assert pod["spec"]["activeDeadlineSeconds"] == 1
    world.node_answers = True
    world.settle()
    assert (world.attempt, world.status["phase"]) == (2, "Running")


def test_a_deadline_that_does_not_stay_is_told() -> None:
    """As where a webhook changes every pod: then the reconciler leaves the pod alone."""
    world = trained()
    world.node_answers = False
    roll_back(world)
    world.step()
    (name,) = world.pods
    words = "spec.activeDeadlineSeconds is changed by a mutating admission webhook or policy"
    world.refused = {ObjectKey("v1", "Pod", "ns", name): Refusal(0, words)}
    told = condition(world.step(), "Stalled")
    assert told == ("True", "OwnershipConflict", f"Pod {name}: {words}")


def test_the_jobs_own_failures_end_it_no_earlier_than_its_pod() -> None:
    world = trained(backoffLimit=3)
    world.fail_pod()
    world.settle()
    assert world.status["failedPods"] == 1
    roll_back(world)
    world.step()
    assert world.jobs["r-1"]["spec"]["backoffLimit"] == 1
    assert not ended(world.jobs["r-1"])
    world.settle()
    assert (world.attempt, world.status["failedPods"], world.status["phase"]) == (2, 1, "Running")


def test_a_pod_that_does_not_run_is_not_waited_for() -> None:
    """There is nothing to be seen of it; and one that came in the place of an evicted one is never ended by kubelet."""
    world = World(ttlAfterGivenUp="1h")
    world.step()
    world.controllers()
    assert list(phases(world).values()) == ["Pending"]
    world.step()
    roll_back(world)
    world.settle()
    assert list(world.jobs) == ["r-2"]

    world = trained()
    roll_back(world)
    world.step()
    (pod,) = world.pods.values()
    pod["status"] = {"phase": "Pending"}
    world.settle()
    assert (list(world.jobs), world.status["phase"]) == (["r-2"], "Running")


def test_a_job_that_kueue_holds_goes_at_once() -> None:
    world = World(ttlAfterGivenUp="1h", queueName="gpus")
    world.settle()
    world.jobs["r-1"]["spec"]["suspend"] = False
    world.settle()
    roll_back(world)
    world.settle()
    assert list(world.jobs) == ["r-2"]


def test_while_a_rollback_waits_for_approval_the_pod_is_there_to_be_looked_at() -> None:
    world = trained()
    (before,) = world.pods
    pause(world, policy())
    world.settle()
    assert (world.status["phase"], phases(world)) == ("Suspended", {before: "Failed"})
    assert f"kubectl logs {before} -c trainer" in condition(world.step(), "Suspended")[2]
    at_rest(world)
    # A rejection lets it go on, from its newest checkpoint.
    pause(world, policy(None))
    world.settle()
    assert (world.attempt, world.status["phase"]) == (2, "Running")
    assert "restart" not in world.status
    at_rest(world)


def test_approved_it_goes_on_from_the_target() -> None:
    world = trained()
    pause(world, policy())
    world.settle()
    roll_back(world)
    world.settle()
    assert (world.attempt, world.status["restart"]["fromStep"], world.status["phase"]) == (2, 500, "Running")


def test_a_run_that_a_rollback_stops_shows_its_pod_too() -> None:
    world = trained()
    world.annotate(restart_from="500", restart_attempt="1", stop_attempt="1")
    world.settle()
    assert condition(world.step(), "Suspended")[:2] == ("True", "StoppedByRollback")
    assert (list(phases(world).values()), world.attempt) == (["Failed"], 1)
    at_rest(world)
    world.annotate(stop_attempt=None)
    world.settle()
    assert (world.attempt, world.status["restart"]["fromStep"], world.status["phase"]) == (2, 500, "Running")


def test_a_changed_spec_keeps_nothing() -> None:
    world = trained()
    world.edit(totalSteps=20_000)
    world.settle()
    assert list(world.jobs) == ["r-2"]


def test_a_run_that_ends_cleans_up_all_the_same() -> None:
    world = trained()
    roll_back(world)
    world.settle()
    world.complete()
    world.settle()
    assert (world.status["phase"], "r-1" in world.jobs) == ("Succeeded", True)
    world.wait(3601)
    world.settle()
    assert "r-1" not in world.jobs
    assert world.status["phase"] == "Succeeded"


def test_killed_between_any_two_writes_it_comes_to_the_same_end() -> None:
    for writes in (0, 1, 2, 3):
        want, world = trained(), trained()
        events = [roll_back, lambda w: w.saves(1000), roll_back]
        killed_in_each(events, want, world, writes)
        assert (world.attempt, list(world.jobs)) == (want.attempt, list(want.jobs)) == (3, ["r-1", "r-2", "r-3"])
        at_rest(world)


EVENTS = (
    roll_back,
    lambda w: pause(w, policy(attempt=w.attempt or 1)),
    lambda w: pause(w, policy(None)),
    lambda w: w.fail_pod(),
    lambda w: w.edit(totalSteps=w.run["spec"].get("totalSteps", 10_000) + 1),
    lambda w: w.jobs.clear(),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(EVENTS)), 3)), ids=str)
def test_whatever_happens_never_two_attempts_at_work(order: tuple[int, ...]) -> None:
    """The world itself fails where a Job is made while a pod is at work."""
    world = trained()
    for number in order:
        EVENTS[number](world)
        for _ in range(2):
            world.step(writes=1)
            world.controllers()
            world.kubelet()
            assert sum(PodView.of(pod).at_work for pod in world.pods.values()) <= 1
    pause(world, policy(None))
    comes_to_rest(world)
