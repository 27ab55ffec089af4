"""The end of a rollback is told by the operator's clock, a sample's time by that of Prometheus: half a minute apart."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.checkpoint.checkpoint_world import POLICY, World
from tests.unit.checkpoint.detection.trainer import EVERY, Trainer

from accord.domain.checkpoint.detection.live import interpret
from accord.domain.checkpoint.reading import Reading
from accord.domain.conditions import parse_timestamp

APART = pytest.mark.parametrize("ahead", [-30, 0, 30], ids=lambda ahead: f"Prometheus {ahead:+d} s")


def rolled_back(**rollback: Any) -> World:
    world = World(rollback=rollback)
    world.advance(600)
    world.save(500, 1000, 1500, 2000)
    world.fail(1600)
    world.settle()
    return world


def ended(world: World, ahead: int) -> Any:
    """When the rollback ended, by the clock of Prometheus."""
    return parse_timestamp(world.status["history"][0]["completedAt"]) + timedelta(seconds=ahead)


def check(world: World, trainer: Trainer) -> Reading:
    subject = world.kind.read(POLICY)
    assert subject is not None
    return interpret(subject, trainer.answer(), trainer.at)


@APART
def test_a_fault_of_an_attempt_that_a_rollback_began_is_seen_from_its_first_sample_on(ahead: int) -> None:
    # Given a rollback that made the training go on as attempt 2
    world = rolled_back()
    # When what that one reports at once is not a number
    trainer = Trainer(pod="r-2-abcde", at=ended(world, ahead), loss=math.nan).restart(1500).scrape(5)
    # Then it is a fault, however the clocks are apart
    assert check(world, trainer).signal == "NonFinite"


@APART
def test_where_the_training_goes_on_a_fault_from_before_the_rollback_is_no_other(ahead: int) -> None:
    # Given a training that reported what is not a number five seconds before the rollback ended, and goes on
    world = rolled_back(training="Ignore")
    trainer = Trainer(at=ended(world, ahead) - 39 * EVERY - timedelta(seconds=5)).scrape(38)
    trainer.loss = math.nan
    trainer.scrape()
    # When it goes on to report that
    outcomes = {check(world, trainer.scrape()).outcome for _ in range(60)}
    # Then no check calls it a fault again
    assert "Fail" not in outcomes


@APART
def test_where_the_training_goes_on_a_fault_that_begins_later_is_another(ahead: int) -> None:
    # Given a training that goes on, and was well when the rollback ended
    world = rolled_back(training="Ignore")
    trainer = Trainer(at=ended(world, ahead) - 20 * EVERY).scrape(30)
    # When it is not a number a while later
    trainer.loss = math.nan
    # Then that is a fault
    assert check(world, trainer.scrape(5)).signal == "NonFinite"
