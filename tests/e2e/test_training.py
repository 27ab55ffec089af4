"""A TrainingRun on a whole cluster: real pods, real PyTorch, and Prometheus as the witness."""

from __future__ import annotations

from demo.steps import experiments
from demo.steps.training import Training
from demo.steps.world import World


def test_the_default_run_follows_its_schedules_and_learns(world: World) -> None:
    outcome = experiments.trained(world)
    assert outcome.holds, outcome.sentence


def test_a_killed_trainer_goes_on_from_its_newest_checkpoint(world: World) -> None:
    outcome = experiments.trainer_killed(world)
    assert outcome.holds, outcome.sentence


def test_conditions_and_milestones_tell_the_same(world: World) -> None:
    # Given a short run
    run = Training.example(
        world.cluster,
        world.prometheus,
        world.namespace,
        world.images.trainer,
        "trainingrun-cosine.yaml",
        ACCORD_STEPS_PER_SECOND=100,
    ).changed(name="ppo-short", totalSteps=2000)
    try:
        # When it trains to its end
        run.apply()
        run.watch(lambda status: status.get("phase") in ("Succeeded", "Failed"), 300, print)
        status = run.status()
    finally:
        run.delete()
    # Then its conditions say so, and each quarter is remembered with the values of its schedule
    said = {entry["type"]: entry["status"] for entry in status["conditions"]}
    assert (said["Complete"], said["Ready"], said["OnSchedule"]) == ("True", "True", "True"), run
    assert [entry["percent"] for entry in status["milestones"]] == [0, 25, 50, 75, 100]
    rates = [entry["entropyCoef"] for entry in status["milestones"]]
    assert rates == sorted(rates, reverse=True)
    assert (status["step"], status["progressBar"], status["checkpointStep"]) == (2000, "██████████ 100%", 2000)
