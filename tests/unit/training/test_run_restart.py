"""What a rollback asks of a run: to go on from an earlier checkpoint, or to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.training.world import World, at_rest, comes_to_rest, condition, job_key, killed_in_each

from accord.domain.plan import Refusal
from accord.domain.training import names


def training(**spec: Any) -> World:
    """A world in which attempt 1 trains."""
    world = World(**spec)
    world.settle()
    assert world.status["phase"] == "Running"
    return world


def rolled_back(world: World, step: int = 500) -> World:
    """A CheckpointPolicy asks that the newest attempt be replaced."""
    world.annotate(restart_from=str(step), restart_attempt=str(world.attempt))
    return world


def origin(world: World, attempt: int) -> str:
    """RESUME_FROM of an attempt, as its Job has it."""
    (trainer,) = world.jobs[f"r-{attempt}"]["spec"]["template"]["spec"]["containers"]
    (value,) = (entry["value"] for entry in trainer["env"] if entry["name"] == "RESUME_FROM")
    return str(value)


# --- Restart.


def test_the_attempt_that_went_wrong_ends_and_the_next_goes_on_from_the_checkpoint() -> None:
    world = rolled_back(training())
    plan = world.step()
    assert plan.delete == (job_key(1),)
    assert condition(plan, "Reconciling")[1] == "Restarting"
    assert "resumes from step-00000500" in condition(plan, "Ready")[2]
    world.controllers()
    for _ in range(3):
        # The pod of the attempt that went wrong is saving still.
        assert world.step().apply == ()
    world.settle()
    assert (world.made, list(world.jobs), world.status["phase"]) == (["r-1", "r-2"], ["r-2"], "Running")
    assert origin(world, 2) == "step-00000500"
    assert world.status["restart"] == {"fromStep": 500, "endedAttempt": 1, "attempt": 2}
    assert condition(world.decide(), "RolledBack")[:2] == ("True", "RestartedFromCheckpoint")
    assert world.told() == ["AttemptStarted", "Restarting", "AttemptStarted", "RestartedFromCheckpoint"]
    assert world.events[-2].note == "attempt 2 starts as Job r-2 and resumes from step-00000500"
    at_rest(world)


def test_annotations_that_are_left_behind_restart_nothing() -> None:
    world = rolled_back(training())
    world.settle()
    world.saves(1000)
    world.settle()
    assert world.status["restart"]["savedInAttempt"] == 2
    world.edit(ppo={"gamma": 0.9})
    world.settle()
    assert (world.attempt, origin(world, 3)) == (3, "latest")
    at_rest(world)
    world.annotate(restart_from=None, restart_attempt=None)
    at_rest(world)


@pytest.mark.parametrize("accident", ["deleted", "changed", "annotations gone"])
def test_until_a_checkpoint_is_saved_every_attempt_goes_on_from_the_same(accident: str) -> None:
    world = rolled_back(training())
    world.settle()
    # At first a trainer reports the checkpoint that it went on from.
    world.saves(500)
    world.settle()
    if accident == "annotations gone":
        world.annotate(restart_from=None, restart_attempt=None)
    for attempt in (3, 4):
        if accident == "changed":
            world.edit(totalSteps=10_000 + attempt)
        else:
            world.jobs.clear()
        world.settle()
        assert (world.attempt, origin(world, attempt)) == (attempt, "step-00000500")
    assert world.status["restart"] == {"fromStep": 500, "endedAttempt": 1, "attempt": 2}
    world.saves(1000)
    world.settle()
    world.jobs.clear()
    world.settle()
    assert origin(world, 5) == "latest"
    assert world.status["restart"] == {"fromStep": 500, "endedAttempt": 1, "attempt": 2, "savedInAttempt": 4}
    assert world.told().count("RestartedFromCheckpoint") == 1


def test_what_the_former_attempt_had_saved_does_not_count() -> None:
    world = training()
    world.saves(4000)
    rolled_back(world)
    world.settle()
    assert "savedInAttempt" not in world.status["restart"]
    world.jobs.clear()
    world.settle()
    assert origin(world, 3) == "step-00000500"


def test_a_second_rollback_wins_over_the_first() -> None:
    world = rolled_back(training(), 1000)
    world.settle()
    rolled_back(world, 500)
    world.settle()
    assert (world.attempt, origin(world, 3)) == (3, "step-00000500")
    assert world.status["restart"] == {"fromStep": 500, "endedAttempt": 2, "attempt": 3}
    assert world.told().count("RestartedFromCheckpoint") == 2


def test_a_rollback_wins_over_a_spec_that_never_resumes() -> None:
    world = rolled_back(training(resume="Never"))
    world.settle()
    assert origin(world, 2) == "step-00000500"
    world.saves(1000)
    world.settle()
    world.jobs.clear()
    world.settle()
    assert origin(world, 3) == ""


def test_the_job_tells_what_it_was_started_from_where_the_status_was_not_written() -> None:
    world = rolled_back(training())
    while "r-2" not in world.jobs:
        world.step(1)
        world.controllers()
        world.kubelet()
    assert world.attempt == 1
    world.annotate(restart_from=None, restart_attempt=None)
    world.settle()
    assert world.status["restart"] == {"fromStep": 500, "endedAttempt": 1, "attempt": 2}
    assert world.told().count("RestartedFromCheckpoint") == 1
    world.edit(backoffLimit=1)
    world.settle()
    # What changes in place leaves it on the Job.
    assert world.jobs["r-2"]["metadata"]["annotations"][names.RESTART_FROM_ANNOTATION] == "500"
    (kept,) = (job for job in world.gather().jobs if job.attempt == 2)
    assert kept.restart is not None


def test_a_job_that_changes_in_place_is_applied_with_its_origin() -> None:
    world = rolled_back(training())
    world.settle()
    world.edit(backoffLimit=1)
    (kept,) = world.decide().apply
    assert kept["metadata"]["annotations"][names.RESTART_ATTEMPT_ANNOTATION] == "1"


def test_a_suspended_run_is_restarted_when_it_resumes() -> None:
    world = training()
    world.edit(suspend=True)
    world.settle()
    rolled_back(world)
    world.settle()
    assert (world.status["phase"], world.attempt) == ("Suspended", 1)
    world.edit(suspend=False)
    world.settle()
    assert (world.attempt, origin(world, 2)) == (2, "step-00000500")


def test_a_queued_run_is_restarted_through_its_queue() -> None:
    world = World(queueName="team")
    world.settle()
    world.jobs["r-1"]["spec"]["suspend"] = False
    world.settle()
    rolled_back(world)
    world.settle()
    assert (list(world.jobs), origin(world, 2)) == (["r-2"], "step-00000500")
    assert world.jobs["r-2"]["spec"]["suspend"] is True


def test_a_restart_that_is_refused_is_tried_again_from_the_same_checkpoint() -> None:
    world = rolled_back(training())
    world.refused[job_key(2)] = Refusal(403, "exceeded quota: none")
    world.step()
    world.controllers()
    world.kubelet()
    plan = world.decide()
    assert condition(plan, "Stalled")[1] == "QuotaExceeded"
    assert plan.status is not None
    assert (plan.status["attempt"], "restart" in plan.status) == (1, False)
    world.refused.clear()
    world.settle()
    assert origin(world, 2) == "step-00000500"


@pytest.mark.parametrize("end", [World.complete, lambda world: world.end_job(world.jobs["r-1"], "Failed", "X")])
@pytest.mark.parametrize("ask", ["restart", "stop"])
def test_a_finished_run_stays_finished_and_says_so(end: Callable[[World], None], ask: str) -> None:
    world = training()
    end(world)
    world.settle()
    before = {name: value for name, value in world.status.items() if name != "conditions"}
    if ask == "restart":
        rolled_back(world)
    else:
        world.annotate(stop_attempt="1")
    world.settle()
    assert {name: value for name, value in world.status.items() if name != "conditions"} == before
    assert condition(world.decide(), "RolledBack")[:2] == ("False", "AlreadyFinished")
    assert world.told()[-1] == "RollbackAlreadyFinished"
    at_rest(world)


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({"restart_from": "soon", "restart_attempt": "1"}, "'soon' is not a step"),
        ({"restart_from": "-500", "restart_attempt": "1"}, "'-500' is not a step"),
        ({"restart_from": "5e2", "restart_attempt": "1"}, "'5e2' is not a step"),
        ({"restart_from": "٥", "restart_attempt": "1"}, "is not a step"),
        ({"restart_from": "9" * 5000, "restart_attempt": "1"}, "is not a step"),
        ({"restart_from": "500", "restart_attempt": ""}, "'' is not an attempt"),
        ({"restart_from": "500", "restart_attempt": "0"}, "'0' is not an attempt"),
        ({"restart_from": "500", "restart_attempt": "7"}, "no attempt 7 yet"),
        ({"restart_from": "500"}, "without accord.dev/restart-attempt"),
        ({"restart_attempt": "1"}, "without accord.dev/restart-from"),
        ({"stop_attempt": "all"}, "'all' is not an attempt"),
        ({"stop_attempt": "2"}, "no attempt 2 yet"),
    ],
)
def test_annotations_that_cannot_be_followed_change_nothing_and_are_told(
    annotations: dict[str, str], words: str
) -> None:
    world = training()
    world.annotate(**annotations)
    world.settle()
    assert (world.attempt, world.status["phase"]) == (1, "Running")
    status, reason, message = condition(world.decide(), "RolledBack")
    assert (status, reason) == ("False", "Ignored")
    assert words in message
    assert len(message) < 400
    assert world.told() == ["AttemptStarted", "RollbackIgnored"]
    at_rest(world)
    world.annotate(restart_from=None, restart_attempt=None, stop_attempt=None)
    world.settle()
    assert condition(world.decide(), "RolledBack") == ("", "", "")


def test_annotations_of_a_former_attempt_mean_nothing() -> None:
    world = training()
    world.jobs.clear()
    world.settle()
    world.annotate(restart_from="500", restart_attempt="1", stop_attempt="1")
    world.settle()
    assert (world.attempt, world.status["phase"]) == (2, "Running")
    assert condition(world.decide(), "RolledBack") == ("", "", "")
    at_rest(world)


# --- Stop.


def test_a_run_that_is_stopped_rests_until_a_person_changes_the_annotation() -> None:
    world = training()
    world.annotate(stop_attempt="1")
    plan = world.step()
    assert condition(plan, "Reconciling")[1] == "Suspending"
    assert "stopped by a rollback" in condition(plan, "Ready")[2]
    world.settle()
    assert world.status["phase"] == "Suspended"
    assert not world.pods
    for type_ in ("Ready", "Suspended", "RolledBack"):
        assert condition(world.decide(), type_)[:2] == ("True", "StoppedByRollback")
    assert "remove annotation accord.dev/stop-attempt" in condition(world.decide(), "Ready")[2]
    at_rest(world)
    world.annotate(stop_attempt=None)
    world.settle()
    assert (world.status["phase"], world.attempt) == ("Running", 1)
    assert world.told() == ["AttemptStarted", "StoppedByRollback", "Resumed"]


def test_with_both_it_stops_and_goes_on_from_the_checkpoint_afterwards() -> None:
    world = training()
    world.annotate(stop_attempt="1", restart_from="500", restart_attempt="1")
    world.settle()
    assert (world.status["phase"], world.attempt) == ("Suspended", 1)
    assert "training resumes from step-00000500" in condition(world.decide(), "Ready")[2]
    at_rest(world)
    world.annotate(stop_attempt=None)
    world.settle()
    assert (world.attempt, origin(world, 2), world.status["phase"]) == (2, "step-00000500", "Running")


def test_a_stopped_run_stays_stopped_when_its_job_is_deleted_or_its_spec_changes() -> None:
    world = training()
    world.annotate(stop_attempt="1")
    world.settle()
    world.edit(ppo={"gamma": 0.5})
    world.settle()
    assert (world.jobs, world.status["phase"]) == ({}, "Suspended")
    assert condition(world.decide(), "Ready")[1] == "StoppedByRollback"
    at_rest(world)


def test_a_queued_run_that_is_stopped_has_no_job() -> None:
    world = World(queueName="team")
    world.settle()
    world.annotate(stop_attempt="1")
    world.settle()
    assert (world.jobs, world.status["phase"]) == ({}, "Suspended")
    assert condition(world.decide(), "Suspended")[1] == "StoppedByRollback"


def test_a_suspension_by_the_spec_goes_on_after_the_stop() -> None:
    world = training()
    world.edit(suspend=True)
    world.annotate(stop_attempt="1")
    world.settle()
    assert condition(world.decide(), "Ready")[1] == "StoppedByRollback"
    world.annotate(stop_attempt=None)
    world.settle()
    assert condition(world.decide(), "Ready")[1] == "Suspended"


# --- Killed between any two writes, and whatever else happens.

STORIES: dict[str, list[Callable[[World], Any]]] = {
    "restart": [rolled_back],
    "restart, and the Job is deleted": [rolled_back, lambda w: w.jobs.clear()],
    "restart twice": [rolled_back, lambda w: rolled_back(w, 0)],
    "stop": [lambda w: w.annotate(stop_attempt="1"), lambda w: w.annotate(stop_attempt=None)],
    "stop, then restart": [
        lambda w: w.annotate(stop_attempt="1", restart_from="500", restart_attempt="1"),
        lambda w: w.annotate(stop_attempt=None),
    ],
}


def end_state(world: World) -> tuple[Any, ...]:
    conditions = [(c["type"], c["status"], c["reason"]) for c in world.status["conditions"]]
    origins = {name: origin(world, int(name.removeprefix("r-"))) for name in world.jobs}
    return world.attempt, world.made, world.status["phase"], conditions, world.status.get("restart"), origins


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_killed_after_any_write_it_ends_the_same(story: str, writes: int) -> None:
    want, world = training(), training()
    killed_in_each(STORIES[story], want, world, writes)
    assert end_state(world) == end_state(want)
    at_rest(world)


ACCIDENTS: list[Callable[[World], Any]] = [
    lambda w: w.attempt and rolled_back(w, 100 * w.attempt),
    lambda w: w.annotate(restart_from="x"),
    lambda w: w.attempt and w.annotate(stop_attempt=str(w.attempt)),
    lambda w: w.annotate(stop_attempt=None),
    lambda w: w.attempt and w.saves(100 * w.attempt),
    lambda w: w.edit(ppo={"gamma": 0.5}),
    lambda w: w.edit(ppo={}),
    lambda w: w.jobs.clear(),
    lambda w: w.fail_pod(),
    lambda w: w.kubelet(),
    lambda w: w.controllers(),
    lambda w: w.step(0),
    lambda w: w.step(1),
    lambda w: w.step(2),
    lambda w: w.step(),
]


@settings(max_examples=120)
@given(st.lists(st.sampled_from(range(len(ACCIDENTS))), max_size=25))
def test_whatever_happens_never_two_jobs_at_work_and_never_from_behind_the_fault(order: list[int]) -> None:
    world = World()
    for number in order:
        # The world itself asserts that no second Job is made beside one at work.
        ACCIDENTS[number](world)
    world.annotate(stop_attempt=None)
    comes_to_rest(world)
    restart = world.status.get("restart")
    if restart is not None and "savedInAttempt" not in restart and world.jobs:
        assert origin(world, world.attempt) == f"step-{restart['fromStep']:08d}"
