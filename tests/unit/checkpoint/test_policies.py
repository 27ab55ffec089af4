"""The life of a CheckpointPolicy, with the real decision and reconciler on a cluster in memory."""

from __future__ import annotations

from tests.unit.checkpoint.checkpoint_world import DEPLOYMENT, POLICY, UNTRAINED, World


def step_of(name: str) -> int:
    """`p-4000-a1-abcde` → 4000."""
    return int(name.split("-")[1])


def test_every_checkpoint_becomes_a_snapshot_and_the_latest_is_served() -> None:
    world = World()
    world.settle()
    assert world.serves == (UNTRAINED, None)
    world.save(500, 1000, 1500)
    assert sorted(map(step_of, world.names("VolumeSnapshot"))) == [500, 1000, 1500]
    claim, step = world.serves
    assert (step_of(claim), step) == (1500, "1500")
    assert world.names("PersistentVolumeClaim") == {claim}, "claims that nothing mounts are gone"
    assert (world.status["latestStep"], world.status["bestStep"]) == (1500, 1500)
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Promoted") == ("True", "Served")
    writes = len(world.writes)
    world.start()
    world.settle()
    assert len(world.writes) == writes, "nothing is written at rest"


def test_a_fault_takes_serving_and_training_back() -> None:
    world = World()
    world.save(500, 1000, 1500, 2000)
    world.fail(1600)
    world.settle()
    claim, step = world.serves
    assert (step_of(claim), step) == (1500, "1500")
    assert {step_of(name) for name in world.quarantined()} == {2000}
    record = world.status["history"][0]
    assert (record["phase"], record["fromStep"], record["toStep"], record["attempt"]) == ("Done", 2000, 1500, 1)
    assert world.status["rollbacks"] == 1
    run = next(m for k, m in world.objects.items() if k.kind == "TrainingRun")
    assert run["metadata"]["annotations"] == {
        "accord.dev/restart-from": "1500",
        "accord.dev/restart-attempt": "1",
    }
    assert world.condition("RolledBack") == ("True", "RollbackDone")
    world.save(2000, 2500)
    assert step_of(world.serves[0]) == 2500
    assert world.status["rollbacks"] == 1
    assert DEPLOYMENT in world.objects
    assert POLICY in world.objects
