"""Snapshots: which are made, which are given up, and which may go."""

from __future__ import annotations

import dataclasses
import json

import pytest
from tests.unit.checkpoint.checkpoint_world import DEPLOYMENT, POLICY, RUN, SOURCE, World

from accord.domain.checkpoint.reading import Saved
from accord.ports.cluster import ClusterError


def steps(world: World) -> list[int]:
    return sorted(int(name.split("-")[1]) for name in world.names("VolumeSnapshot"))


def test_a_snapshot_says_what_it_is_of() -> None:
    world = World(className="fast-snapshots")
    world.save(500)
    snapshot = next(m for k, m in world.objects.items() if k.kind == "VolumeSnapshot")
    labels = snapshot["metadata"]["labels"]
    assert labels["accord.dev/policy"] == "p"
    assert (labels["accord.dev/run"], labels["accord.dev/attempt"], labels["accord.dev/step"]) == ("r", "1", "500")
    annotations = snapshot["metadata"]["annotations"]
    assert (annotations["accord.dev/loss"], annotations["accord.dev/reward"]) == ("1", "0.5")
    assert json.loads(annotations["accord.dev/origin"]) == {
        "accessModes": ["ReadWriteOnce"],
        "storage": "10Gi",
        "storageClassName": "fast",
    }
    assert snapshot["spec"] == {
        "source": {"persistentVolumeClaimName": SOURCE.name},
        "volumeSnapshotClassName": "fast-snapshots",
    }
    assert world.status["checkpoints"][0]["reward"] == 0.5


def test_only_the_newest_of_several_can_be_told_apart() -> None:
    world = World()
    world.check(saved=(500, 1000, 1500))
    world.settle()
    assert steps(world) == [1500]


def test_what_a_trainer_went_on_from_is_no_new_checkpoint() -> None:
    world = World()
    world.save(500, 1000)
    world.put(RUN, {**world.objects[RUN], "status": {**world.objects[RUN]["status"], "attempt": 2}})
    world.check(saved=(1000,))
    world.settle()
    assert steps(world) == [500, 1000]
    world.check(saved=(1000, 1500))
    world.settle()
    assert steps(world) == [500, 1000, 1500]


def test_the_newest_are_kept_and_besides_them_what_is_needed() -> None:
    world = World(retention={"max": 3}, serving={"follow": "Manual", "step": 1000}, rollback={"steps": 1})
    world.save(500, 1000)
    assert world.serves[1] == "1000"
    world.save(*range(1500, 5001, 500))
    assert steps(world) == [1000, 4000, 4500, 5000]


def test_the_best_is_kept_and_those_that_a_rollback_may_need() -> None:
    world = World(retention={"max": 1}, bestModel={"metric": "Loss"}, rollback={"steps": 2})
    world.save(*range(500, 4001, 500))
    assert steps(world) == [500, 2500, 3000, 3500, 4000]
    assert world.status["bestStep"] == 500


def test_quarantined_ones_do_not_crowd_the_good_ones_out() -> None:
    world = World(retention={"max": 2}, rollback={"steps": 1, "cooldown": "1s"})
    world.save(*range(500, 3001, 500))
    world.fail(2100)
    world.settle()
    assert {int(name.split("-")[1]) for name in world.quarantined()} == {2500, 3000}
    assert world.serves[1] == "2000"
    world.save(2500)
    good = [c["step"] for c in world.status["checkpoints"] if not c.get("quarantined")]
    assert good == [2500, 2000]


def test_a_rollback_that_waits_keeps_its_target() -> None:
    world = World(retention={"max": 1}, rollback={"approval": "Manual"})
    world.save(*range(500, 3001, 500))
    world.fail(2100)
    world.settle()
    target = world.status["rollback"]["toStep"]
    assert target == 2000
    for step in range(3500, 6001, 500):
        world.save_while_failing(step)
    assert steps(world) == [2000, 3000, 5000, 5500, 6000], "the target, what is served, and what a rollback may need"


def test_a_snapshot_with_an_error_is_given_up_and_tried_again() -> None:
    world = World()
    world.save(500)
    world.bad_snapshots[1000] = "driver says no"
    world.check(saved=(500, 1000))
    world.settle()
    assert world.condition("Snapshotted") == ("False", "SnapshotError")
    assert world.condition("Ready") == ("False", "SnapshotError")
    assert world.serves[1] == "500"
    for _ in range(4):
        world.advance(120, checked=True)
    assert world.condition("Snapshotted") == ("False", "SnapshotFailed")
    failures = world.status["snapshotFailure"]
    assert failures["count"] >= 2
    assert failures["message"] == "driver says no"
    tries = sum(written.startswith("apply VolumeSnapshot") for written in world.writes)
    assert tries <= 6, "each try waits longer than the one before"
    world.bad_snapshots.clear()
    world.advance(1200, checked=True)
    world.advance(1200, checked=True)
    assert world.condition("Snapshotted") == ("True", "Ready")
    assert "snapshotFailure" not in world.status
    assert world.serves[1] == "1000"


def test_a_slow_snapshot_is_waited_for_and_then_the_newest_checkpoint_is_next() -> None:
    """Drivers that copy need an hour for a large volume; given up each time, none is ever ready."""
    world = World(snapshotWarnAfter="15m")
    world.save(500)
    world.bad_snapshots[1000] = None
    world.check(saved=(500, 1000))
    world.settle()
    assert world.condition("Snapshotted") == ("True", "Pending")
    for step in range(1500, 4001, 500):
        world.save(step)
        world.advance(600, checked=True)
    assert steps(world) == [500, 1000], "at most one is pending for a volume"
    assert world.condition("Snapshotted") == ("False", "SnapshotSlow")
    assert world.condition("Ready") == ("True", "Serving"), "a warning is nothing that a person has to mend"
    assert "snapshotFailure" not in world.status
    assert world.reasons().count("SnapshotSlow") == 1
    assert world.came_and_went == [came for came in world.came_and_went if "VolumeSnapshot" not in came]
    world.bad_snapshots.clear()
    world.settle()
    assert steps(world) == [500, 1000, 4000], "the newest is next, those in between are passed over"
    assert world.serves[1] == "4000"
    assert (world.condition("Snapshotted"), world.status["passedOver"]) == (("True", "PassedOver"), 5)


def test_it_is_warned_of_when_the_policy_says() -> None:
    world = World(snapshotWarnAfter="5m")
    world.bad_snapshots[500] = None
    world.check(saved=(500,))
    world.settle()
    assert world.condition("Snapshotted") == ("True", "Pending")
    delay = world.pass_().requeue_after
    assert delay is not None
    assert 290 < delay <= 300
    world.advance(300)
    assert world.condition("Snapshotted") == ("False", "SnapshotSlow")


@pytest.mark.parametrize(
    "words",
    [
        "Failed to create snapshot: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        "rpc error: code = Aborted desc = an operation with the given volume already exists",
    ],
)
def test_a_driver_that_is_still_at_work_is_waited_for(words: str) -> None:
    world = World()
    world.bad_snapshots[500] = words
    world.check(saved=(500,))
    world.settle()
    world.advance(1200)
    assert world.came_and_went == []
    world.bad_snapshots.clear()
    world.settle()
    assert world.serves[1] == "500"


def test_failed_snapshots_do_not_count_as_kept() -> None:
    world = World(retention={"max": 1})
    world.save(500, 1000)
    for step in (1500, 2000, 2500):
        world.bad_snapshots[step] = None
        world.check(saved=(500, 1000, step))
        world.settle()
    assert {500, 1000} <= set(steps(world))


def test_a_refused_snapshot_does_not_hold_a_rollback_up() -> None:
    world = World()
    world.save(500, 1000, 1500)
    world.refuse["VolumeSnapshot"] = ClusterError(403, "Forbidden", "exceeded quota: snapshots")
    world.check(saved=(500, 1000, 1500, 2000))
    world.pass_()
    assert world.condition("Snapshotted") == ("False", "QuotaExceeded")
    world.fail(1400, saved=(500, 1000, 1500, 2000))
    world.settle()
    assert world.serves[1] == "1000"


def test_without_the_snapshot_api() -> None:
    world = World()
    world.snapshots_served = False
    world.check(saved=(500,))
    world.settle()
    assert world.condition("Accepted") == ("False", "SnapshotsUnavailable")
    assert world.condition("Stalled") == ("True", "SnapshotsUnavailable")
    assert "external-snapshotter" in world.message("Stalled")
    world.snapshots_served = True
    world.settle()
    assert world.serves[1] == "500"


def test_without_the_run_or_its_volume() -> None:
    world = World()
    world.delete_object(RUN)
    world.settle()
    assert world.condition("Reconciling") == ("True", "TrainingRunNotFound"), "it may arrive with the same apply"
    world.advance(58)
    assert world.condition("Reconciling") == ("True", "TrainingRunNotFound")
    world.advance(5)
    assert world.condition("Stalled") == ("True", "TrainingRunNotFound"), "said by itself: nothing has changed"
    world.put(RUN, {"spec": {}, "status": {}})
    world.settle()
    assert world.condition("Snapshotted") == ("Unknown", "NoVolume")
    assert world.condition("Healthy") == ("Unknown", "NotChecked")


def shared() -> World:
    world = World(method="SubPath", retention={"max": 3})
    world.put(SOURCE, {**world.objects[SOURCE], "spec": {"accessModes": ["ReadWriteMany"]}})
    world.deploy(SOURCE.name)
    return world


def sub_path(world: World) -> tuple[str | None, str | None]:
    template = world.objects[DEPLOYMENT]["spec"]["template"]
    mount = template["spec"]["containers"][0]["volumeMounts"][0]
    return mount.get("subPath"), (template["metadata"].get("annotations") or {}).get("accord.dev/checkpoint-step")


def test_directories_of_the_trainers_own_volume() -> None:
    world = shared()
    world.save(500, 1000, 1500)
    assert sub_path(world) == ("step-00001500", "1500")
    assert world.names("VolumeSnapshot") == set()
    world.fail(1100)
    world.settle()
    assert sub_path(world) == ("step-00001000", "1000")
    quarantined = [c["step"] for c in world.status["checkpoints"] if c.get("quarantined")]
    assert quarantined == [1500]
    world.start()
    world.settle()
    assert sub_path(world) == ("step-00001000", "1000")
    world.save(1500, 2000)
    assert sub_path(world) == ("step-00002000", "2000")
    assert world.status["serving"]["subPath"] == "step-00002000"


def test_a_directory_that_pods_do_not_start_with() -> None:
    world = shared()
    world.save(500)
    world.crashing.add(1000)
    world.check(saved=(500, 1000))
    world.settle()
    world.advance(100)
    assert sub_path(world) == ("step-00000500", "500")
    assert [c["step"] for c in world.status["checkpoints"] if c.get("quarantined")] == [1000]


def test_a_volume_that_cannot_be_shared() -> None:
    world = World(method="SubPath")
    world.save(500)
    assert world.condition("Accepted") == ("False", "VolumeNotShared")
    assert POLICY in world.objects


def test_a_deployment_with_another_volume() -> None:
    world = shared()
    world.deploy("another")
    world.save(500)
    assert world.condition("Stalled") == ("True", "NotTheTrainersVolume")


def committed(world: World, *saves: tuple[int, int]) -> None:
    """The trainer reports (step, how many it has committed), each as the newest, and the operator sees the last."""
    former = world.book.get(POLICY)
    before = former.saved if former is not None else ()
    world.check(saved=(0,))
    found = (*before, *(Saved(step, reward=1.0, number=number) for step, number in saves))
    world.book[POLICY] = dataclasses.replace(world.book[POLICY], saved=found, step=found[-1].step)
    world.settle()


def annotated(world: World, step: int, name: str) -> str | None:
    (found,) = (
        manifest["metadata"]["annotations"].get(f"accord.dev/{name}")
        for key, manifest in world.objects.items()
        if key.kind == "VolumeSnapshot" and f"-{step}-" in key.name
    )
    return str(found) if found is not None else None


def test_checkpoints_that_were_passed_over_are_counted_and_told() -> None:
    """Saves every 6 s, looked at every 15 s: most have no snapshot, and nobody says that all have."""
    world = World()
    committed(world, (100, 1))
    assert world.condition("Snapshotted") == ("True", "Ready")
    assert "passedOver" not in world.status
    committed(world, (300, 3))
    committed(world, (500, 5))
    assert (world.status["passedOver"], world.condition("Snapshotted")) == (2, ("True", "PassedOver"))
    assert "newest snapshot is of step 500; 2 checkpoints of this training have none" in world.message("Snapshotted")
    assert "spec.detection.interval" in world.message("Snapshotted")
    # The count is that of the trainer: what Prometheus never saw is in it.
    assert steps(world) == [100, 300, 500]
    writes = len(world.writes)
    world.start()
    world.settle()
    assert len(world.writes) == writes
    # A trainer that was started anew counts from 0, and one that does not count is counted by what was seen.
    committed(world, (700, 2))
    assert world.status["passedOver"] == 3
    world.check(saved=(500, 700, 800, 900))
    world.settle()
    assert world.status["passedOver"] == 4


def test_a_snapshot_that_failed_is_passed_over_by_the_next() -> None:
    world = World()
    committed(world, (100, 1))
    world.bad_snapshots[200] = "driver says no"
    committed(world, (200, 2))
    world.bad_snapshots.clear()
    world.book[POLICY] = dataclasses.replace(world.book[POLICY], at=world.now_)
    for _ in range(3):
        committed(world, (300, 3))
        world.advance(120, checked=True)
    assert world.condition("Snapshotted")[0] == "True"
    assert int(annotated(world, 300, "passed-over") or 0) == world.status.get("passedOver", 0)


def test_a_slow_driver_passes_over_what_is_saved_meanwhile() -> None:
    world = World()
    world.bad_snapshots[100] = None
    committed(world, (100, 1))
    committed(world, (200, 2), (300, 3))
    committed(world, (400, 4))
    world.bad_snapshots.clear()
    world.settle()
    assert steps(world) == [100, 400]
    assert (annotated(world, 400, "passed-over"), annotated(world, 400, "saves")) == ("2", "4")
    world.fail(350, saved=(100, 200, 300, 400))
    world.settle()
    assert {name.split("-")[1] for name in world.quarantined()} == {"400"}
    assert annotated(world, 400, "passed-over") == "2", "a quarantine takes nothing away"


def test_a_first_checkpoint_is_its_own_by_the_trainers_count_and_one_that_it_went_on_from_is_not() -> None:
    world = World()
    world.save(500, 1000)
    world.delete_object(RUN)
    world.put(RUN, {"spec": {}, "status": {"attempt": 1, "phase": "Running", "claimName": SOURCE.name}})
    world.book.clear()
    committed(world, (1000, 0))
    assert len(world.names("VolumeSnapshot")) == 2
    assert world.condition("Snapshotted") == ("Unknown", "NoCheckpoint")
    world.book.clear()
    committed(world, (500, 1))
    assert world.status["latestStep"] == 500
    assert len(world.names("VolumeSnapshot")) == 3
