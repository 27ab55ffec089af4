"""A run that is made anew under the same name is another training: its checkpoints are told from those before."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from tests.unit.checkpoint.checkpoint_world import POLICY, RUN, SOURCE, World

from accord.domain.checkpoint.names import training
from accord.domain.checkpoint.reading import Saved
from accord.domain.plan import ObjectKey


def trained(*steps: int, **spec: Any) -> World:
    """A finished training; `save` gives step N a reward of N/1000."""
    world = World(**spec)
    world.save(*steps)
    return world


def made_anew(world: World) -> World:
    """The same run once more, from nothing."""
    world.delete_object(RUN)
    world.settle()
    world.put(RUN, {"spec": {}, "status": {"attempt": 1, "phase": "Running", "claimName": SOURCE.name}})
    world.book.clear()
    world.check(saved=(0,))
    world.settle()
    return world


def saved(world: World, step: int, reward: float | None = None, loss: float | None = None) -> None:
    """The new run commits a checkpoint of that mean reward."""
    former = world.book[POLICY]
    world.book[POLICY] = dataclasses.replace(
        former, saved=(*former.saved, Saved(step, loss=loss, reward=reward)), at=world.now_, step=step
    )
    world.settle()


def test_nothing_is_said_of_a_run_that_has_saved_nothing() -> None:
    world = made_anew(trained(500, 1000, 9500))
    assert world.serves[1] == "9500", "what is served stays"
    assert {"latestStep", "bestStep", "bestValue"}.isdisjoint(world.status)
    assert world.condition("Promoted") == ("False", "NoCheckpoint")
    assert "step 9500 of an earlier training is served" in world.message("Promoted")
    assert "step 9500 of an earlier training is served" in world.message("Ready")
    writes = len(world.writes)
    world.start()
    world.settle()
    assert len(world.writes) == writes


@pytest.mark.parametrize("outcome", ["Pass", "Fail"])
def test_a_check_of_the_run_before_says_nothing_about_this_one(outcome: str) -> None:
    """It is seconds old, and of attempt 1 as well."""
    world = trained(500, 1000, 1500)
    world.check(outcome, run=world.objects[RUN]["metadata"]["uid"], signal="RewardDrop", onset=1100)
    snapshots = world.names("VolumeSnapshot")
    world.delete_object(RUN)
    world.put(RUN, {"spec": {}, "status": {"attempt": 1, "phase": "Running", "claimName": SOURCE.name}})
    world.settle()
    assert world.names("VolumeSnapshot") == snapshots
    assert world.serves[1] == "1500"
    assert (world.condition("Healthy"), "detection" in world.status) == (("Unknown", "NotChecked"), False)
    assert "rollback" not in world.status


def test_its_first_checkpoint_waits_until_it_is_as_good_as_what_is_served() -> None:
    world = made_anew(trained(500, 1000, 2000))
    saved(world, 500, reward=0.2)
    assert world.serves[1] == "2000"
    assert (world.status["latestStep"], world.status["bestStep"]) == (500, 500)
    assert world.condition("Promoted") == ("False", "EarlierTraining")
    assert world.condition("Ready") == ("True", "EarlierTraining")
    assert "reward 2, compared with 0.2 of step 500" in world.message("Ready")
    assert "spec.serving.newRun Immediately" in world.message("Ready")
    saved(world, 1000, reward=2.0)
    assert world.serves[1] == "1000"
    assert world.condition("Promoted") == ("True", "Served")
    # From then on it is its own affair.
    saved(world, 1500, reward=0.1)
    assert world.serves[1] == "1500"


def test_a_loss_is_as_good_when_it_is_no_higher() -> None:
    world = made_anew(trained(500, 1000, bestModel={"metric": "Loss"}))
    saved(world, 500, loss=1.1)
    assert world.serves[1] == "1000"
    saved(world, 1000, loss=1.0)
    assert world.status["serving"]["training"] == training(world.objects[RUN]["metadata"]["uid"])


@pytest.mark.parametrize("known", [True, False])
def test_without_figures_it_takes_over_at_the_step_that_is_served(known: bool) -> None:
    world = trained(500, 1000)
    if known:
        for key, manifest in list(world.objects.items()):
            if key.kind == "VolumeSnapshot":
                bare = copy.deepcopy(manifest)
                bare["metadata"]["annotations"] = {}
                world.put(key, bare)
    made_anew(world)
    saved(world, 500, reward=5.0 if known else None)
    assert world.serves[1] == "1000"
    assert "until this training reaches that step" in world.message("Promoted")
    saved(world, 1000, reward=0.1 if known else None)
    assert world.status["serving"]["training"] == training(world.objects[RUN]["metadata"]["uid"])


@pytest.mark.parametrize("follow", ["Latest", "Best"])
def test_immediately_and_never(follow: str) -> None:
    world = made_anew(trained(500, 1000, serving={"follow": follow, "newRun": "Immediately"}))
    saved(world, 500, reward=0.1)
    assert world.serves[1] == "500"
    world = made_anew(trained(500, 1000, serving={"follow": follow, "newRun": "Never"}))
    saved(world, 500, reward=9.0)
    assert world.serves[1] == "1000"
    assert "spec.serving.newRun is Never" in world.message("Promoted")
    serving = world.objects[POLICY]["spec"]["serving"]
    world.edit(serving={**serving, "follow": "Manual", "step": 500})
    world.settle()
    assert world.status["serving"]["training"] == training(world.objects[RUN]["metadata"]["uid"]), "named by a person"


def test_a_step_that_a_person_named_is_not_exchanged_for_the_same_step_of_another_run() -> None:
    world = made_anew(trained(500, 1000, serving={"follow": "Manual", "step": 1000}))
    served = world.serves
    saved(world, 1000, reward=9.0)
    assert world.serves == served
    assert world.condition("Promoted") == ("True", "Served")


def test_a_run_that_goes_on_from_a_checkpoint_of_an_earlier_one_has_not_saved_it() -> None:
    """It finds the volume of before, and reports its newest checkpoint as its own."""
    world = trained(500, 1000)
    snapshots = world.names("VolumeSnapshot")
    world.delete_object(RUN)
    world.put(RUN, {"spec": {}, "status": {"attempt": 1, "phase": "Running", "claimName": SOURCE.name}})
    world.book.clear()
    world.check(saved=(1000,))
    world.settle()
    assert world.names("VolumeSnapshot") == snapshots
    assert "latestStep" not in world.status
    world.save(1500)
    assert world.serves[1] == "1500", "better than what is served"
    assert world.status["latestStep"] == 1500


def test_snapshots_and_claims_carry_the_uid_of_their_run() -> None:
    world = trained(500)
    uid = world.objects[RUN]["metadata"]["uid"]
    for key in (next(k for k in world.objects if k.kind == "VolumeSnapshot"), ObjectKey(*SOURCE[:3], world.serves[0])):
        assert world.objects[key]["metadata"]["labels"]["accord.dev/run-uid"] == uid
    assert [c["training"] for c in world.status["checkpoints"]] == [training(uid)]
    assert world.status["serving"]["training"] == training(uid)


def test_two_trainings_with_the_same_step_are_both_shown() -> None:
    world = made_anew(trained(500, 1000))
    saved(world, 1000, reward=0.5)
    shown = [(c["step"], c["training"]) for c in world.status["checkpoints"]]
    assert len(shown) == len(set(shown)) == 3


def test_what_is_served_is_known_for_another_training_by_an_operator_that_recorded_none() -> None:
    world = trained(500, 1000)
    status = copy.deepcopy(world.status)
    del status["serving"]["training"]
    for each in status["checkpoints"]:
        del each["training"]
    world.put(POLICY, {**world.objects[POLICY], "status": status})
    made_anew(world)
    saved(world, 500, reward=0.2)
    assert world.serves[1] == "1000"
    assert world.condition("Promoted") == ("False", "EarlierTraining")


def test_a_rollback_by_hand_to_an_earlier_training_leaves_this_one_alone() -> None:
    world = made_anew(trained(500, 1000, serving={"newRun": "Immediately"}))
    saved(world, 700, reward=0.2)
    assert world.serves[1] == "700"
    world.edit(rollbackTo=1000)
    world.settle()
    assert world.serves[1] == "1000"
    assert world.status["serving"]["training"] != training(world.objects[RUN]["metadata"]["uid"])
    assert not world.objects[RUN]["metadata"].get("annotations")
    assert "of an earlier training, so this one is not changed" in world.status["history"][0]["message"]


def test_a_rollback_of_a_training_that_is_replaced_meanwhile_does_not_restart_the_next() -> None:
    world = trained(500, 1000, 1500, 2000)
    world.no_room = "0/1 nodes are available"
    world.fail(1600)
    world.settle()
    assert world.status["rollback"]["phase"] == "RollingOut"
    made_anew(world)
    world.no_room = ""
    world.advance(5)
    assert world.serves[1] == "1500"
    assert {int(name.split("-")[1]) for name in world.quarantined()} == {2000}
    assert not world.objects[RUN]["metadata"].get("annotations")


def quarantined_trainings(world: World) -> set[str]:
    return {key.name.rsplit("-", 1)[1] for key in world.objects if key.name in world.quarantined()}


@pytest.mark.parametrize("how", ["serving", "rollbackTo"])
def test_of_two_checkpoints_with_one_step_and_attempt_the_one_that_crashed_is_quarantined(how: str) -> None:
    world = made_anew(trained(500, 1000, serving={"newRun": "Immediately"}))
    first = {key.name.rsplit("-", 1)[1] for key in world.objects if key.kind == "VolumeSnapshot"}
    world.crashing.add(500)
    saved(world, 500, reward=9.0)
    world.advance(120)
    second = quarantined_trainings(world)
    assert second == {training(world.objects[RUN]["metadata"]["uid"])}
    assert world.serves[1] == "1000"
    # When a person asks for that of the run before, which crashes as well
    serving = world.objects[POLICY]["spec"]["serving"]
    world.edit(
        **({"rollbackTo": 500} if how == "rollbackTo" else {"serving": {**serving, "follow": "Manual", "step": 500}})
    )
    world.settle()
    world.advance(120)
    # Then that one is quarantined, too, and what served before is served, once and for all
    assert quarantined_trainings(world) == first | second
    assert world.serves[1] == "1000"
    writes = len(world.writes)
    world.advance(600)
    assert (world.serves[1], len(world.writes)) == ("1000", writes)


def test_what_pods_were_not_ready_with_is_not_held_against_the_same_step_of_another_run() -> None:
    world = trained(400, serving={"newRun": "Immediately"})
    world.unready.add(500)
    world.save(500)
    world.advance(120)
    assert world.status["setback"]["unready"] == 1
    made_anew(world)
    saved(world, 500, reward=9.0)
    assert world.serves[1] == "500", "its own first try does not wait"
    world.advance(120)
    assert world.quarantined() == set(), "one pod that is not ready may be chance"
    assert world.status["setback"]["unready"] == 1
    assert world.status["setback"]["training"] == training(world.objects[RUN]["metadata"]["uid"])


def test_a_snapshot_of_the_run_before_that_failed_is_not_said_to_be_retried() -> None:
    world = trained(500)
    world.bad_snapshots[1000] = "driver says no"
    world.save(1000)
    world.advance(61, checked=True)
    assert world.status["snapshotFailure"]["step"] == 1000
    made_anew(world)
    world.advance(120, checked=True)
    assert "snapshotFailure" not in world.status
    assert world.condition("Snapshotted") == ("Unknown", "NoCheckpoint")
    assert world.condition("Ready")[0] == "True"


def test_records_of_an_older_version_do_not_name_the_training_and_are_followed() -> None:
    world = trained(400)
    world.unready.add(500)
    world.save(500)
    world.advance(120)
    status = copy.deepcopy(world.status)
    del status["setback"]["training"]
    world.put(POLICY, {**world.objects[POLICY], "status": status})
    world.advance(120, checked=True)
    world.advance(120, checked=True)
    assert {int(name.split("-")[1]) for name in world.quarantined()} == {500}, "the second pod says the same"
