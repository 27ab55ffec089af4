"""A hold: what a check has said stands until a check that passes, a rollback or a person answers it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from tests.unit.checkpoint.checkpoint_world import POLICY, RUN, World

from accord.domain.checkpoint.detection.live import schedule
from accord.ports.cluster import ClusterError


def trained(**spec: object) -> World:
    """Steps 500 to 2000 are kept, the newest is served."""
    world = World(**spec)
    world.save(500, 1000, 1500, 2000)
    assert world.serves[1] == "2000"
    return world


def saw_wrong(outcome: str, **spec: object) -> World:
    """A check found something, nothing was rolled back, and there is a newer checkpoint."""
    world = trained(rollback={"enabled": False}, **spec)
    if outcome == "Fail":
        world.fail(1600)
    else:
        world.check("Suspect", signal="RewardDrop", reason="SuspectedRewardDrop", step=2100)
    world.save_while_failing(2500)
    assert world.serves[1] == "2000"
    return world


@pytest.mark.parametrize("found", ["Fail", "Suspect"])
@pytest.mark.parametrize("answer", ["QueryFailed", "Inconclusive"])
def test_what_cannot_be_known_ends_no_hold(found: str, answer: str) -> None:
    world = saw_wrong(found)
    for _ in range(5):
        world.check(answer, reason="NoMetrics")
        world.advance(60)
        assert world.serves[1] == "2000"
        assert world.condition("Promoted") == ("False", "Held")
    world.book.clear()
    world.advance(3600)
    assert world.serves[1] == "2000", "an operator that has only just begun to check knows no more"
    assert world.status["hold"]["outcome"] == found


@pytest.mark.parametrize("found", ["Fail", "Suspect"])
def test_a_check_that_passes_ends_it(found: str) -> None:
    world = saw_wrong(found)
    world.check("Pass")
    world.settle()
    assert world.serves[1] == "2500"
    assert "hold" not in world.status


def test_a_hold_is_still_there_after_the_newest_was_served_when_it_began() -> None:
    world = trained(rollback={"enabled": False})
    world.fail(1600)
    world.settle()
    assert world.condition("Promoted") == ("True", "Served")
    world.check("QueryFailed")
    world.settle()
    world.book[POLICY] = dataclasses.replace(world.book[POLICY], saved=(*world.book[POLICY].saved,))
    world.save_while_failing(2500)
    assert world.serves[1] == "2000"


def test_a_suspicion_moves_nothing_and_is_written_once() -> None:
    world = trained()
    world.check("Suspect", signal="LossSpike", reason="SuspectedLossSpike", step=2100)
    world.settle()
    writes = len(world.writes)
    for number in range(10):
        world.check("Suspect", signal="LossSpike", reason="SuspectedLossSpike", step=2100 + number, recent=5.0 + number)
        world.advance(5)
    assert len(world.writes) == writes
    assert (world.serves[1], world.quarantined()) == ("2000", set())
    assert world.condition("Healthy") == ("Unknown", "SuspectedLossSpike")
    assert [event.reason for event in world.events].count("SuspectedLossSpike") == 1


def test_a_suspicion_that_becomes_a_fault_is_answered() -> None:
    world = trained()
    world.check("Suspect", signal="RewardDrop", reason="SuspectedRewardDrop", step=2100)
    world.settle()
    world.fail(1600)
    world.settle()
    assert world.serves[1] == "1500"
    assert "hold" not in world.status, "the rollback has answered it"


def test_a_step_that_a_person_names_waits_for_nothing() -> None:
    world = saw_wrong("Fail")
    world.edit(serving={**world.objects[POLICY]["spec"]["serving"], "follow": "Manual", "step": 2500})
    world.settle()
    assert world.serves[1] == "2500"


def test_a_rollback_that_a_person_rejects_ends_it() -> None:
    world = trained(rollback={"approval": "Manual"})
    world.fail(1600)
    world.save_while_failing(2500)
    assert world.serves[1] == "2000"
    world.annotate(rejected_rollback=world.status["rollback"]["id"])
    world.settle()
    assert "hold" not in world.status


def test_another_training_is_not_held_for_the_one_before() -> None:
    world = saw_wrong("Suspect")
    world.delete_object(RUN)
    world.settle()
    assert "hold" in world.status
    world.put(RUN, {"spec": {}, "status": {"attempt": 1, "phase": "Running", "claimName": "r-checkpoints"}})
    world.book.clear()
    world.settle()
    assert "hold" not in world.status


def test_a_fault_that_was_measured_long_ago_moves_nothing() -> None:
    """As after a replica has lost the Lease and won it again."""
    world = trained()
    world.fail(1600)
    world.now_ += timedelta(hours=2)
    world.settle()
    assert (world.serves[1], world.quarantined()) == ("2000", set())
    world.fail(1600)
    world.settle()
    assert world.serves[1] == "1500"


def passes(world: World) -> None:
    """Where something is refused again and again, there is no rest to wait for."""
    for _ in range(20):
        world.pass_()
        world.controllers()
        world.now_ += timedelta(seconds=1)


FULL = "0/3 nodes are available: 3 Insufficient example.com/gpu."


@pytest.mark.parametrize("found", ["Fail", "Suspect"])
def test_a_promotion_that_waits_for_room_is_withdrawn_when_a_check_finds_something(found: str) -> None:
    # Given a promotion whose pod no node takes
    world = trained(rollback={"enabled": False})
    world.no_room = FULL
    world.save(2500)
    assert world.condition("Promoted") == ("False", "Unschedulable")
    # When a check finds something, and there is room afterwards
    if found == "Fail":
        world.fail(1600)
    else:
        world.check("Suspect", signal="RewardDrop", reason="SuspectedRewardDrop", step=2600)
    world.settle()
    world.no_room = ""
    world.advance(600)
    world.settle()
    # Then what was served is served, nothing is blamed, and a check that passes promotes it
    assert world.serves[1] == "2000"
    assert world.condition("Promoted") == ("False", "Held")
    assert world.quarantined() == set()
    world.check("Pass")
    world.settle()
    assert world.serves[1] == "2500"


def test_a_promotion_that_a_quota_holds_up_is_not_made_while_a_rollback_waits_for_approval() -> None:
    world = trained(rollback={"approval": "Manual"})
    world.refuse["PersistentVolumeClaim"] = ClusterError(403, "Forbidden", "exceeded quota: volumes")
    saved = world.book[POLICY].saved
    world.check("Pass", saved=(*(each.step for each in saved), 2500))
    passes(world)
    # When a check fails, and the quota is raised afterwards
    world.fail(1600)
    passes(world)
    assert world.condition("Stalled") == ("True", "AwaitingApproval")
    world.refuse.clear()
    world.advance(600)
    world.settle()
    assert world.serves[1] == "2000"


@pytest.mark.parametrize("before", [(), (500, 1000)], ids=["the first one", "a later one"])
def test_a_hold_that_comes_right_after_the_deployment_was_changed_takes_it_back(before: tuple[int, ...]) -> None:
    # Given a promotion that has just written the Deployment, and has not recorded that yet
    world = World(rollback={"enabled": False})
    world.settle()
    world.save(*before)
    claim, step = world.serves
    world.no_room = FULL
    writes = len(world.writes)
    world.check("Pass", saved=(*before, 1500))
    while "apply Deployment serve" not in world.writes[writes:]:
        world.pass_()
        world.controllers()
    # When a check finds something, and there is room afterwards
    world.check("Suspect", signal="RewardDrop", reason="SuspectedRewardDrop", step=1600)
    passes(world)
    world.no_room = ""
    world.advance(600)
    # Then what was served is, and nobody is said to have changed it
    assert (world.serves[0], int(world.serves[1] or 0)) == (claim, int(step or 0))
    assert world.condition("Promoted") == ("False", "Held")
    assert not world.status.get("putBack")
    assert "PutBack" not in world.reasons()
    assert "PromotionWithdrawn" in world.reasons()
    assert "PromotionFailed" not in world.reasons()


def without_an_answer(reason: str = "QueryFailed", **spec: object) -> World:
    """The snapshot of the newest checkpoint takes long; meanwhile Prometheus stops answering; then it is ready."""
    world = trained(**spec)
    world.bad_snapshots[2500] = None
    world.save(2500)
    world.check("QueryFailed", reason=reason)
    world.settle()
    world.bad_snapshots.clear()
    world.settle()
    assert world.status["latestStep"] == 2500
    return world


def unanswered(world: World, seconds: float) -> None:
    """Checks go on, and none has an answer."""
    world.check("QueryFailed", reason="QueryFailed")
    world.advance(seconds)


@pytest.mark.parametrize("answer", ["Pass", "Inconclusive"])
def test_nothing_is_promoted_while_prometheus_cannot_be_asked(answer: str) -> None:
    world = without_an_answer()
    for _ in range(5):
        unanswered(world, 60)
        assert world.serves[1] == "2000"
        assert world.condition("Promoted") == ("False", "QueryFailed")
        assert world.condition("Ready") == ("True", "QueryFailed")
        assert "spec.serving.follow Manual, step 2500" in world.message("Promoted")
    writes = len(world.writes)
    unanswered(world, 60)
    assert len(world.writes) == writes
    # A check that knows nothing yet, in an operator that was restarted, is none either.
    world.book.clear()
    world.start()
    world.advance(600)
    assert (world.serves[1], world.condition("Promoted")) == ("2000", ("False", "QueryFailed"))
    # A training without metrics is no outage.
    world.check(answer, reason={"Pass": "", "Inconclusive": "NoMetrics"}[answer])
    world.settle()
    assert world.serves[1] == "2500"


def test_nothing_is_promoted_where_the_endpoint_was_taken_away() -> None:
    world = without_an_answer("NoEndpoint")
    assert (world.serves[1], world.condition("Promoted")) == ("2000", ("False", "NoEndpoint"))
    world.book.clear()
    world.start()
    world.settle()
    assert (world.serves[1], world.condition("Promoted")) == ("2000", ("False", "NoEndpoint"))


def test_an_operator_that_was_away_checks_before_it_promotes() -> None:
    world = trained()
    world.bad_snapshots[2500] = None
    world.save(2500)
    world.bad_snapshots.clear()
    world.controllers()
    world.book.clear()
    world.now_ += timedelta(hours=1)
    world.start()
    world.settle()
    assert (world.serves[1], world.condition("Promoted")) == ("2000", ("False", "NotChecked"))
    assert world.pass_().requeue_after == 15, "and looks again"
    world.fail(2100)
    world.settle()
    assert (world.serves[1], world.quarantined() != set()) == ("2000", True)


def test_what_knows_of_no_check_or_waits_for_none_is_promoted() -> None:
    nothing = {"lossSpike": {"enabled": False}, "rewardDrop": {"enabled": False}, "nanPolicy": "Ignore"}
    assert without_an_answer(detection=nothing).serves[1] == "2500", "nothing is looked for"
    world = without_an_answer()
    serving = world.objects[POLICY]["spec"]["serving"]
    world.edit(serving={**serving, "follow": "Manual", "step": 2500})
    world.settle()
    assert world.serves[1] == "2500", "a person has named it"
    world = World()
    world.bad_snapshots[500] = None
    world.save(500)
    world.check("QueryFailed", reason="QueryFailed")
    world.bad_snapshots.clear()
    world.settle()
    assert world.serves[1] == "500", "the first of all"


def test_an_outage_ends_no_promotion_that_has_begun() -> None:
    world = trained()
    world.no_room = "0/1 nodes are available"
    world.save(2500)
    unanswered(world, 60)
    assert world.condition("Reconciling") == ("True", "Unschedulable")
    world.no_room = ""
    world.settle()
    assert world.serves[1] == "2500"


@pytest.mark.parametrize("last", ["Pass", "QueryFailed"])
def test_a_run_that_ended_in_an_outage_is_checked_until_there_is_an_answer(last: str) -> None:
    world = trained()
    world.bad_snapshots[2500] = None
    world.save(2500)
    world.check(last, reason="" if last == "Pass" else "QueryFailed")
    world.settle()
    run = world.objects[RUN]
    ended = {"phase": "Succeeded", "completionTime": "2026-01-01T00:10:00Z"}
    world.put(RUN, {**run, "status": {**run["status"], **ended}})
    world.advance(3600)
    world.bad_snapshots.clear()
    world.settle()
    subject = world.kind.read(POLICY)
    assert subject is not None
    assert (schedule(subject, world.now_) is not None) == (last == "QueryFailed")
    assert world.serves[1] == ("2500" if last == "Pass" else "2000")
    world.check("Pass")
    world.settle()
    assert world.serves[1] == "2500"
    subject = world.kind.read(POLICY)
    assert subject is not None
    assert schedule(subject, world.now_) is None
