"""A training that went wrong rests while its rollback waits for approval, and a decision ends that."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.unit.training.world import World, at_rest, condition, killed_in_each

from accord.adapters.workloads.job import JobWorkload
from accord.api.base import Manifest
from accord.domain.checkpoint.names import training
from accord.domain.plan import ObjectKey
from accord.domain.training.decide import decide
from accord.domain.training.pauses import Pause
from accord.domain.training.views import PodView
from accord.runtime.book import Book
from accord.runtime.dispatch import Dispatcher
from accord.runtime.index import Index
from accord.runtime.training import TrainingRuns

ID = f"{training('u-1')}-a1-1600"


def policy(phase: str | None = "AwaitingApproval", *, attempt: int = 1, id_: str = ID, **rollback: Any) -> Manifest:
    record = {"id": id_, "phase": phase, "attempt": attempt, "signal": "RewardDrop", "toStep": 1500}
    return {
        "apiVersion": "accord.dev/v1alpha1",
        "kind": "CheckpointPolicy",
        "metadata": {"name": "p", "namespace": "ns", "uid": "u-p", "resourceVersion": "1"},
        "spec": {"trainingRunRef": {"name": "r"}, **({"rollback": rollback} if rollback else {})},
        "status": {"rollback": record} if phase else {},
    }


def approved(phase: str) -> Manifest:
    given = policy(phase)
    given["metadata"]["annotations"] = {"accord.dev/approved-rollback": ID}
    return given


def waiting(phase: str, **changes: Any) -> Manifest:
    """A rollback that nobody has to approve, and that could not be completed at once."""
    given = policy(phase)
    given["status"]["rollback"] |= {"waitingSince": "2026-01-01T00:00:00Z", **changes}
    return given


def rejected(phase: str) -> Manifest:
    given = waiting(phase)
    given["metadata"]["annotations"] = {"accord.dev/rejected-rollback": ID}
    return given


def pause(world: World, manifest: Manifest | None) -> None:
    found = Pause.of(manifest)
    world.pauses = () if found is None else (found,)


def paused(world: World | None = None) -> World:
    world = world or World()
    world.settle()
    pause(world, policy())
    world.settle()
    return world


def at_work(world: World) -> int:
    return sum(PodView.of(pod).at_work for pod in world.pods.values())


def test_a_run_whose_rollback_waits_for_approval_rests_and_says_for_whom() -> None:
    world = paused()
    assert (at_work(world), world.status["phase"], world.attempt) == (0, "Suspended", 1)
    at_rest(world)
    status, reason, message = condition(world.step(), "Suspended")
    assert (status, reason) == ("True", "AwaitingApproval")
    assert "CheckpointPolicy p" in message
    assert "step 1500: accord approve p -n ns" in message
    assert "AwaitingApproval" in world.told()


def test_a_rejection_lets_the_same_attempt_go_on() -> None:
    world = paused()
    pause(world, policy(None))
    world.settle()
    assert (at_work(world), world.status["phase"], world.attempt) == (1, "Running", 1)
    assert "Resumed" in world.told()
    at_rest(world)


def test_from_approval_on_it_rests_until_it_is_restarted() -> None:
    world = paused()
    for phase in ("Restoring", "Switching", "RollingOut", "Reverting", "Retrying", "Restarting"):
        pause(world, approved(phase))
        world.settle()
        assert (at_work(world), world.status["phase"]) == (0, "Suspended"), phase
    world.annotate(restart_from="1500", restart_attempt="1")
    world.settle()
    assert (at_work(world), world.status["phase"], world.attempt) == (1, "Running", 2)


def test_while_a_rollback_waits_for_room_it_rests_until_it_is_restarted() -> None:
    world = World()
    world.settle()
    for phase in ("Restoring", "Switching", "RollingOut", "Reverting", "Retrying", "RollingOut", "Restarting"):
        pause(world, waiting(phase))
        world.settle()
        assert (at_work(world), world.status["phase"], world.attempt) == (0, "Suspended", 1), phase
        status, reason, message = condition(world.step(), "Suspended")
        assert (status, reason) == ("True", "AwaitingRollback")
        assert "its rollback is waiting" in message
        assert "resumes from step 1500" in message
        assert "accord approve p -n ns --reject" in message
        at_rest(world)
    assert world.told().count("AwaitingRollback") == 1
    world.annotate(restart_from="1500", restart_attempt="1")
    world.settle()
    assert (at_work(world), world.status["phase"], world.attempt) == (1, "Running", 2)


def test_a_rollback_that_is_rejected_while_it_waits_for_room_lets_it_go_on() -> None:
    world = World()
    world.settle()
    pause(world, waiting("RollingOut"))
    world.settle()
    pause(world, rejected("Reverting"))
    world.settle()
    assert (at_work(world), world.status["phase"], world.attempt) == (1, "Running", 1)
    assert "Resumed" in world.told()


def test_the_runs_own_suspend_outlasts_the_pause() -> None:
    world = paused(World(suspend=False))
    world.edit(suspend=True)
    world.settle()
    assert condition(world.step(), "Suspended")[:2] == ("True", "Suspended")
    pause(world, policy(None))
    world.settle()
    assert (at_work(world), world.status["phase"]) == (0, "Suspended")
    world.edit(suspend=False)
    world.settle()
    assert at_work(world) == 1


def test_a_run_in_a_queue_gives_its_place_up_and_asks_anew() -> None:
    world = World(queueName="gpus")
    world.settle()
    (job,) = world.jobs.values()
    job["spec"]["suspend"] = False
    world.settle()
    assert at_work(world) == 1
    paused(world)
    assert (at_work(world), list(world.jobs), world.status["phase"]) == (0, [], "Suspended")
    pause(world, policy(None))
    world.settle()
    (job,) = world.jobs.values()
    assert (job["spec"]["suspend"], world.attempt) == (True, 2), "Kueue admits it"


@pytest.mark.parametrize(
    "given",
    [
        policy(whileWaiting="Continue"),
        policy(training="Ignore"),
        policy(attempt=2),
        policy(id_=f"{training('another-uid')}-a1-1600"),
        policy("Restoring"),
        waiting("RollingOut", signal="Manual"),
        waiting("Done"),
        policy(None),
    ],
    ids=[
        "continue",
        "ignore",
        "another attempt",
        "an earlier run of that name",
        "not asked for",
        "a step that a person named",
        "done",
        "none",
    ],
)
def test_it_trains_on_where_no_pause_is_meant(given: Manifest) -> None:
    world = World()
    world.settle()
    pause(world, given)
    world.settle()
    assert (at_work(world), world.status["phase"]) == (1, "Running")
    assert condition(world.step(), "Suspended")[0] == "False"


def test_killed_between_any_two_writes_it_comes_to_the_same_rest() -> None:
    for writes in (0, 1, 2):
        want, world = World(), World()
        for each in (want, world):
            each.settle()
        events = [lambda w: pause(w, policy()), lambda w: pause(w, policy(None)), lambda w: pause(w, policy())]
        killed_in_each(events, want, world, writes)
        assert (at_work(world), world.attempt) == (at_work(want), want.attempt) == (0, 1)
        at_rest(world)


def test_the_run_hears_of_what_its_policy_says_and_of_nothing_else() -> None:
    index, asked = Index(), list[ObjectKey]()
    kind = TrainingRuns(index, {"Job": JobWorkload()}, decide, Book(), Book())
    dispatcher = Dispatcher(index, (kind,), asked.append)
    run: Manifest = {**copy.deepcopy(World().run or {})}
    run["metadata"]["resourceVersion"] = "1"
    dispatcher.observe(run)
    key = ObjectKey.of(run)
    asked.clear()

    def tell(manifest: Manifest, version: int) -> None:
        manifest["metadata"]["resourceVersion"] = str(version)
        dispatcher.observe(manifest)

    tell(policy(None), 2)
    assert asked == []
    tell(policy(), 3)
    assert asked == [key]
    said = policy()
    said["status"]["latestStep"] = 2000
    tell(said, 4)
    assert set(asked) == {key}
    assert len(asked) == 1, "what does not concern it causes no pass"
    dispatcher.remove(ObjectKey.of(said), "u-p", 5)
    assert len(asked) == 2, "a policy that is deleted pauses nothing"
