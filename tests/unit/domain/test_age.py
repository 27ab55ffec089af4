"""One rule of age: what is read of traffic, training, checkpoints and ratings is acted on for equally long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.checkpoint.checkpoint_world import POLICY
from tests.unit.checkpoint.checkpoint_world import World as CheckpointWorld
from tests.unit.checkpoint.detection import trainer
from tests.unit.domain import test_traffic_distribution as traffic
from tests.unit.training import test_run_progress as training
from tests.unit.training import test_run_retuning as ratings
from tests.unit.training.world import NOW, World

from accord.adapters.workloads.job import JobWorkload
from accord.domain import age
from accord.domain.checkpoint.detection import live
from accord.domain.traffic import distribution
from accord.domain.traffic.judgement import is_outdated
from accord.domain.traffic.observed import Measurement
from accord.domain.training import progress, schedule_compliance
from accord.domain.training.assessment import assess
from accord.domain.training.progress import Progress

# Interval → how old a look may be, and the newest sample that it rests on.
RULE = {
    "15s": (timedelta(seconds=150), timedelta(seconds=150)),
    "1m": (timedelta(minutes=4), timedelta(seconds=150)),
    "5m": (timedelta(minutes=20), timedelta(minutes=10)),
}
SECOND = timedelta(seconds=1)


def of_traffic(interval: str, old: timedelta) -> bool:
    return not is_outdated(traffic.policy(interval=interval), Measurement("Measured", NOW - old), NOW)


def of_training(interval: str, old: timedelta) -> bool:
    world = World(monitoring={"interval": interval})
    world.settle()
    world.progress = Progress("Measured", world.now - old, step=5, attempt=1)
    return schedule_compliance.current(assess(world.gather(), JobWorkload(), world.now)) is not None


def of_checkpoints(interval: str, old: timedelta) -> bool:
    """A check that failed is answered."""
    world = CheckpointWorld(detection={"interval": interval})
    world.save(500, 1000, 1500, 2000)
    world.fail(1600)
    world.book[POLICY] = replace(world.book[POLICY], at=world.now_ - old)
    world.pass_()
    return "rollback" in world.status


def of_ratings(interval: str, old: timedelta) -> bool:
    """Poor ones suggest something."""
    world = ratings.rated(monitoring={"interval": interval})
    world.total = {"1": 1_100.0}
    world.look()
    assert world.ratings is not None
    world.ratings = replace(world.ratings, at=world.now - old)
    world.step()
    return bool(world.status["suggestions"])


@pytest.mark.parametrize("interval", RULE)
@pytest.mark.parametrize("is_used", [of_traffic, of_training, of_checkpoints, of_ratings])
def test_an_old_look_is_acted_on_by_nobody(is_used: object, interval: str) -> None:
    assert callable(is_used)
    limit, _ = RULE[interval]
    assert is_used(interval, limit)
    assert not is_used(interval, limit + SECOND)


def samples_of_traffic(interval: str, old: timedelta) -> str:
    answer = traffic.answer({"fast": 60}, {"fast": old.total_seconds()})
    return distribution.interpret(traffic.policy(interval=interval), answer, NOW).outcome


def samples_of_training(interval: str, old: timedelta) -> str:
    run = World(monitoring={"interval": interval}, status={"attempt": 2}).gather().run
    answer = training.Answer(tuple(training.answer(age=old.total_seconds(), training_step=5)))
    return progress.interpret(run, answer, NOW).outcome


def samples_of_checkpoints(interval: str, old: timedelta) -> str:
    trained = trainer.Trainer().scrape(40)
    about = trainer.subject(detection={"interval": interval})
    return live.interpret(about, trained.answer(), trained.at + old).reason


@pytest.mark.parametrize("interval", RULE)
@pytest.mark.parametrize("outcome", [samples_of_traffic, samples_of_training, samples_of_checkpoints])
def test_old_samples_are_stale_for_everybody(outcome: object, interval: str) -> None:
    assert callable(outcome)
    _, limit = RULE[interval]
    assert outcome(interval, limit) != "Stale"
    assert outcome(interval, limit + SECOND) == "Stale"


def test_that_one_scrape_fails_makes_nothing_old() -> None:
    """Prometheus scrapes once a minute unless told otherwise."""
    assert 2 * timedelta(minutes=1) < age.LEAST
    assert not age.is_unscraped(0.0, 120.0, timedelta(seconds=1))
    assert age.is_unscraped(float("nan"), 120.0, timedelta(seconds=1))
