"""When there is a rollback, when there is none, and what becomes of the training."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.checkpoint.checkpoint_world import DEPLOYMENT, POLICY, RUN, SOURCE, World

from accord.domain.conditions import parse_timestamp


def trained(**spec: Any) -> World:
    """Four checkpoints, the newest served."""
    world = World(**spec)
    world.save(500, 1000, 1500, 2000)
    return world


def step(world: World) -> str | None:
    return world.serves[1]


def marks(world: World) -> dict[str, str]:
    return dict(world.objects[RUN]["metadata"].get("annotations") or {})


def test_inconclusive_checks_and_failed_queries_move_nothing() -> None:
    world = trained()
    for outcome, reason in (
        ("Inconclusive", "InsufficientData"),
        ("QueryFailed", "QueryFailed"),
        ("Inconclusive", "Stale"),
    ):
        world.check(outcome, reason=reason)
        world.settle()
        assert step(world) == "2000"
        assert world.condition("Healthy") == ("Unknown", reason)
        assert world.condition("Ready") == ("True", "Serving")
    assert world.status["rollbacks"] == 0


def test_a_check_of_another_attempt_is_not_looked_at() -> None:
    world = trained()
    world.fail(1600, attempt=7)
    world.settle()
    assert step(world) == "2000"


def test_figures_alone_are_no_reason_to_write() -> None:
    world = trained()
    writes = len(world.writes)
    for number in range(20):
        world.check("Pass", step=2000 + 25 * number, baseline=4.0 + number / 100, recent=4.1)
        world.advance(5)
    assert len(world.writes) == writes
    world.check("Pass", step=9000, baseline=5.0, recent=5.0)
    world.advance(301)
    world.check("Pass", step=9100, baseline=5.1, recent=5.0)
    world.settle()
    assert world.status["detection"]["step"] == 9100, "every few minutes they are renewed"


def test_without_rollback_enabled_it_only_says_so() -> None:
    world = trained(rollback={"enabled": False})
    world.fail(1600)
    world.save_while_failing(2500)
    assert step(world) == "2000", "nothing is promoted while the training looks wrong"
    assert world.condition("Healthy") == ("False", "RewardDrop")
    assert world.condition("Promoted") == ("False", "Held")
    assert "history" not in world.status or not world.status["history"]


def test_without_serving_the_training_is_only_watched() -> None:
    world = World(serving=None)
    world.save(500, 1000, 1500)
    world.fail(1100)
    world.settle()
    assert world.condition("Ready") == ("True", "Watching")
    assert world.condition("Healthy") == ("False", "RewardDrop")
    assert len(world.names("VolumeSnapshot")) == 3


def test_manual_approval_waits_and_then_goes_on() -> None:
    world = trained(rollback={"approval": "Manual"})
    world.fail(1600)
    world.settle()
    assert (step(world), world.quarantined()) == ("2000", set())
    assert world.condition("Ready") == ("False", "AwaitingApproval")
    assert world.condition("Stalled")[0] == "True"
    record = world.status["rollback"]
    assert "accord approve p -n ns" in world.message("Ready")
    world.save_while_failing(2500)
    assert step(world) == "2000"
    world.annotate(approved_rollback="another")
    world.settle()
    assert step(world) == "2000"
    world.annotate(approved_rollback=record["id"])
    world.settle()
    assert step(world) == "1500"
    assert {int(name.split("-")[1]) for name in world.quarantined()} == {2000, 2500}
    assert "RollbackApproved" in world.reasons()


def test_a_person_may_decide_against_it() -> None:
    world = trained(rollback={"approval": "Manual"})
    world.fail(1600)
    world.settle()
    world.annotate(rejected_rollback=world.status["rollback"]["id"])
    world.settle()
    world.advance(3600)
    assert step(world) == "2000"
    assert world.status["history"][0]["phase"] == "Rejected"
    assert world.condition("RolledBack") == ("False", "RollbackRejected")
    subject = world.kind.read(POLICY)
    assert subject is not None
    ended = parse_timestamp(world.status["history"][0]["completedAt"])
    assert subject.since == ended + timedelta(seconds=30), "from there on, by whichever clock"


def test_a_decision_to_stay_holds_for_the_attempts_that_follow() -> None:
    """A run in a queue that rested meanwhile goes on as another attempt: it is judged by the level of then."""
    world = trained(rollback={"approval": "Manual"})
    world.fail(1600)
    world.settle()
    world.annotate(rejected_rollback=world.status["rollback"]["id"])
    world.settle()
    world.put(RUN, {**world.objects[RUN], "status": {**world.objects[RUN]["status"], "attempt": 2}})
    world.settle()
    subject = world.kind.read(POLICY)
    assert subject is not None
    ended = parse_timestamp(world.status["history"][0]["completedAt"])
    assert (subject.attempt, subject.since) == (2, ended + timedelta(seconds=30))


def test_a_request_for_approval_lapses_with_the_training() -> None:
    """A run made anew begins with attempt 1, too: it is not what went wrong."""
    world = trained(rollback={"approval": "Manual"})
    world.fail(1600)
    world.settle()
    assert "the training is paused until then" in world.message("Stalled")
    world.delete_object(RUN)
    world.put(RUN, {"spec": {}, "status": {"attempt": 1, "phase": "Running", "claimName": SOURCE.name}})
    world.book.clear()
    world.settle()
    assert "rollback" not in world.status
    assert world.status["history"][0]["phase"] == "Rejected"
    assert world.condition("Stalled") == ("", "")


def test_a_request_for_approval_lapses_with_the_attempt() -> None:
    world = trained(rollback={"approval": "Manual"})
    world.fail(1600)
    world.settle()
    world.put(RUN, {**world.objects[RUN], "status": {**world.objects[RUN]["status"], "attempt": 2}})
    world.settle()
    assert world.status["history"][0]["phase"] == "Rejected"


def test_after_max_a_person_has_to_look() -> None:
    world = trained(rollback={"max": 1})
    world.fail(1600)
    world.settle()
    world.save(2000, 2500, 3000)
    world.advance(3600)
    world.fail(2600)
    world.settle()
    assert step(world) == "3000"
    assert world.condition("Stalled") == ("True", "AwaitingApproval")
    assert "rollbacks of this training so far: 1" in world.message("Stalled")
    world.annotate(approved_rollback=world.status["rollback"]["id"])
    world.settle()
    assert step(world) == "2500"
    assert world.status["rollbacks"] == 2


def test_no_other_rollback_within_the_cooldown() -> None:
    world = trained(rollback={"cooldown": "10m"})
    world.fail(1600)
    world.settle()
    world.save(2000, 2500, 3000)
    world.fail(2600)
    world.settle()
    assert step(world) == "3000"
    assert world.condition("Ready") == ("True", "CoolingDown")
    world.advance(601, checked=True)
    assert step(world) == "2500"
    assert [record["toStep"] for record in world.status["history"]] == [2500, 1500]


@pytest.mark.parametrize("training", ["Restart", "Stop"])
def test_one_rollback_for_an_attempt(training: str) -> None:
    """Whatever is still measured of an attempt that was given up."""
    world = trained(rollback={"training": training, "cooldown": "1s"})
    world.objects[RUN]["status"]["attempt"] = 2
    world.start()
    world.fail(1600, attempt=2)
    world.settle()
    assert step(world) == "1500"
    # The run has not followed yet.
    world.put(RUN, {**world.objects[RUN], "status": {**world.objects[RUN]["status"], "attempt": 2}})
    world.fail(3000, attempt=2)
    world.advance(3600)
    assert world.status["rollbacks"] == 1
    assert step(world) == "1500"


def test_stop_marks_the_run_and_ignore_leaves_it() -> None:
    world = trained(rollback={"training": "Stop"})
    world.fail(1600)
    world.settle()
    # Released, it goes on from the target and not from what went wrong
    assert marks(world) == {
        "accord.dev/stop-attempt": "1",
        "accord.dev/restart-attempt": "1",
        "accord.dev/restart-from": "1500",
    }
    world = trained(rollback={"training": "Ignore"})
    world.fail(1600)
    world.settle()
    assert marks(world) == {}
    assert step(world) == "1500"


def test_where_training_goes_on_promotion_waits_for_a_check_that_passes() -> None:
    world = trained(rollback={"training": "Ignore", "cooldown": "1s"})
    world.fail(1600)
    world.settle()
    world.check("Inconclusive", saved=(2500,), reason="InsufficientData")
    world.advance(60)
    assert step(world) == "1500"
    assert world.condition("Promoted") == ("False", "Held")
    world.check("Pass", saved=(2500,))
    world.settle()
    assert step(world) == "2500"


def test_where_training_goes_on_the_same_fault_is_not_answered_twice_but_a_new_one_is() -> None:
    world = trained(rollback={"training": "Ignore", "cooldown": "1s"})
    world.fail(1600)
    world.settle()
    world.fail(1600)
    world.advance(5)
    assert world.status["rollbacks"] == 1
    world.save(2500, 3000, 3500)
    world.fail(3100)
    world.advance(5)
    assert world.status["rollbacks"] == 2
    assert step(world) == "3000"


def test_a_run_that_has_finished_is_not_restarted() -> None:
    world = trained()
    world.put(RUN, {**world.objects[RUN], "status": {**world.objects[RUN]["status"], "phase": "Succeeded"}})
    world.fail(1600)
    world.settle()
    assert (step(world), marks(world)) == ("1500", {})
    assert "had finished" in world.status["history"][0]["message"]


def test_a_training_that_is_no_training_run() -> None:
    world = World(source={"claimName": "r-checkpoints", "selector": {"job": "trainer"}}, rollback={"cooldown": "1s"})
    del world.objects[RUN]
    world.start()
    world.save(500, 1000, 1500)
    assert step(world) == "1500"
    world.fail(1100)
    world.settle()
    assert step(world) == "1000"
    assert "training continues unchanged" in world.status["history"][0]["message"]


def test_nothing_to_go_back_to() -> None:
    world = World()
    world.save(500)
    world.fail(300)
    world.settle()
    assert step(world) == "500"
    assert world.condition("Stalled") == ("True", "NoTarget")
    assert "history" not in world.status or not world.status["history"]


def test_never_to_a_quarantined_one() -> None:
    world = trained()
    world.fail(1600)
    world.settle()
    world.save(2000)
    world.advance(3600)
    world.fail(1900)
    world.settle()
    assert step(world) == "1500"
    assert all(record["toStep"] == 1500 for record in world.status["history"])


def test_what_is_served_does_not_go_forward_by_a_rollback() -> None:
    world = trained(serving={"follow": "Manual", "step": 500})
    world.settle()
    assert step(world) == "500"
    world.fail(1600)
    world.settle()
    assert step(world) == "500"
    assert marks(world)["accord.dev/restart-from"] == "1500"
    assert world.status["history"][0]["phase"] == "Done"


def test_a_person_names_a_step_once() -> None:
    world = trained(rollback={"max": 1, "approval": "Manual"})
    world.edit(rollbackTo=1000)
    world.settle()
    assert step(world) == "1000"
    assert marks(world)["accord.dev/restart-from"] == "1000"
    world.save(1500, 2000)
    assert step(world) == "2000", "the field stays in the spec and means nothing any more"
    world.edit(rollbackTo=None)
    world.settle()
    world.edit(rollbackTo=1000)
    world.settle()
    assert step(world) == "1000"
    assert len({record["id"] for record in world.status["history"]}) == 2


def test_a_person_names_a_step_that_is_not_there() -> None:
    world = trained()
    world.edit(rollbackTo=700)
    world.settle()
    assert step(world) == "2000"
    assert world.condition("Stalled") == ("True", "NoSuchCheckpoint")


def test_the_target_goes_missing_on_the_way_and_the_one_before_is_gone_back_to() -> None:
    world = trained()
    world.fail(1600)
    world.pass_()
    world.delete_object(next(key for key in world.objects if key.name.startswith("p-1500-")))
    world.settle()
    assert step(world) == "1000"
    assert marks(world)["accord.dev/restart-from"] == "1000"
    assert world.status["history"][0]["toStep"] == 1000


def test_all_targets_go_missing_on_the_way() -> None:
    world = trained()
    world.fail(1600)
    world.pass_()
    for step_ in (500, 1000, 1500):
        world.delete_object(next(key for key in world.objects if key.name.startswith(f"p-{step_}-")))
    world.settle()
    assert step(world) == "2000"
    assert world.condition("Stalled") == ("True", "RollbackFailed")
    assert marks(world) == {}, "the training is restarted only from what is served"


@pytest.mark.parametrize("bound", [False, True], ids=["unbound", "bound"])
def test_pods_that_wait_for_a_claim_are_told_from_pods_that_crash(bound: bool) -> None:
    world = World(rollback={"steps": 3})
    world.save(500, 1000, 1500, 2000)
    world.unbound = not bound
    if bound:
        world.crashing.add(500)
    else:
        world.waiting = {"reason": "ContainerCreating"}
    world.fail(1600)
    world.settle()
    world.advance(1900)
    assert step(world) == "2000", "what was served comes back"
    assert world.condition("Stalled") == ("True", "RollbackFailed" if bound else "VolumePending")
    assert ("is not bound yet" in world.message("Stalled")) == (not bound)
    assert len(world.quarantined()) == (1 if bound else 0)
    assert marks(world) == {}


def test_a_suspended_policy_does_nothing() -> None:
    world = trained(suspend=True)
    assert (world.serves[0], world.names("VolumeSnapshot")) == ("untrained", set())
    assert world.condition("Ready") == ("True", "Suspended")


def test_another_training_of_the_same_name_starts_at_nothing() -> None:
    world = trained(serving={"newRun": "Immediately"})
    world.fail(1600)
    world.settle()
    world.delete_object(RUN)
    world.settle()
    assert step(world) == "1500"
    world.put(RUN, {"spec": {}, "status": {"attempt": 1, "phase": "Running", "claimName": "r-checkpoints"}})
    world.book.clear()
    world.save(0, 500)
    assert step(world) == "500", "its newest is served, whichever step it has"
    assert world.status["rollbacks"] == 0
    assert len([name for name in world.names("VolumeSnapshot") if name.startswith("p-500-")]) == 2
    world.save(1000, 1500)
    world.fail(1100)
    world.advance(3600, checked=True)
    assert step(world) == "1000"
    assert DEPLOYMENT in world.objects
