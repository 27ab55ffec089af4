"""Whole runs through the judgement: what is a fault, what is not, and which checkpoint is gone back to."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicySpec
from accord.domain.checkpoint.detection.replay import Pace, Replayed, replay
from accord.domain.checkpoint.detection.rows import Row, lives

STEPS = 4000
FAULT = 3000
PACE = Pace(every=10, steps_a_second=10, saved=range(500, 20_001, 500))


def judged(rows: list[Row], **spec: Any) -> Replayed:
    wanted = CheckpointPolicySpec.model_validate({"trainingRunRef": {"name": "r"}, **spec})
    return replay(wanted, lives(rows, each=wanted.detection.method == "Ratio"), PACE)


def steps(level: float, after: float, noise: float, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [(level if step < FAULT else after) + chance.gauss(0, noise) for step in range(1, STEPS + 1)]


def rewards(values: list[float]) -> list[Row]:
    return [Row(step, None, value) for step, value in enumerate(values, start=1)]


def losses(values: list[float]) -> list[Row]:
    return [Row(step, value, None) for step, value in enumerate(values, start=1)]


def staircase(values: list[float], update: int) -> list[Row]:
    return losses([value for value in values for _ in range(update)])


@pytest.mark.parametrize(
    ("level", "after", "noise"),
    [(8, 3, 1), (-8, -12, 1), (0, -3, 1), (0.05, -1, 0.2), (100, 40, 5)],
    ids=["positive", "negative", "around zero", "near zero", "large"],
)
def test_a_drop_is_seen_within_a_window_whatever_the_sign(level: float, after: float, noise: float) -> None:
    result = judged(rewards(steps(level, after, noise)))
    [rollback] = result.rollbacks
    assert rollback.signal == "RewardDrop"
    assert FAULT < rollback.step <= FAULT + 100
    assert rollback.target == 2500
    assert rollback.judgement.baseline == pytest.approx(level, abs=noise / 2)
    assert judged(rewards(steps(level, level, noise))).rollbacks == []


def test_the_ratio_rule_takes_a_rise_below_zero_for_a_fault_and_adaptive_does_not() -> None:
    chance = random.Random(1)
    rising = rewards([-20 + 12 * step / STEPS + chance.gauss(0, 1) for step in range(STEPS)])
    assert judged(rising).rollbacks == []
    assert judged(rising, detection={"method": "Ratio"}).rollbacks


def test_less_than_the_threshold_is_no_fault_however_sure() -> None:
    assert judged(rewards(steps(8, 5, 0.1))).rollbacks == []
    assert judged(rewards(steps(8, 5, 0.1)), detection={"rewardDrop": {"threshold": 0.3}}).rollbacks


def test_one_outlier_is_no_fault() -> None:
    values = steps(1, 1, 0.1)
    values[3000] = 1e9
    assert judged(losses(values)).rollbacks == []
    chance = random.Random(1)
    stairs = [1 + chance.gauss(0, 0.1) for _ in range(20)]
    stairs[15] = 50
    assert judged(staircase(stairs, 500)).rollbacks == []


def stairs(*levels: tuple[float, int], noise: float = 0.2) -> list[Row]:
    """So many updates of 500 steps at each level."""
    chance = random.Random(1)
    found = [level * (1 + chance.gauss(0, noise)) for level, count in levels for _ in range(count)]
    return staircase(found, 500)


def test_a_staircase_is_suspect_after_two_updates_and_rolled_back_when_five_of_six_say_so() -> None:
    result = judged(stairs((1, 12), (6, 8)))
    assert (result.pauses[0].begin, result.pauses[0].judgement.samples) == (6510, 2)
    [rollback] = result.rollbacks
    assert (rollback.step, rollback.signal, rollback.judgement.samples) == (8010, "LossSpike", 6)
    # From before the update that first showed it, which had collected since step 5,500.
    assert rollback.target == 5000


@pytest.mark.parametrize(
    "levels",
    [
        [(1, 12), (30, 4), (1, 8)],
        [(20, 8), (1, 12), (18, 10)],
        [(-0.02, 16), (0.02, 10)],
    ],
    ids=["it is over after four updates", "it was as high before", "a value function learns, losses around zero"],
)
def test_a_loss_alone_that_may_be_that_of_a_healthy_training_is_no_more_than_suspect(
    levels: list[tuple[float, int]],
) -> None:
    result = judged(stairs(*levels))
    assert result.rollbacks == []
    assert {pause.judgement.signal for pause in result.pauses} == {"LossSpike"}


def test_a_loss_around_zero_that_explodes_is_rolled_back() -> None:
    [rollback] = judged(stairs((-0.02, 16), (5, 10))).rollbacks
    assert (rollback.signal, rollback.target) == ("LossSpike", 7000)


def test_how_far_a_loss_alone_must_be_beyond_its_highest_level_depends_on_the_sensitivity() -> None:
    rows = stairs((10, 8), (1, 12), (13.5, 10), noise=0.05)
    told = [bool(judged(rows, detection={"sensitivity": name}).rollbacks) for name in ("Low", "Medium", "High")]
    assert told == [False, True, True]


def test_a_rising_staircase_and_one_that_ends_its_fall_are_healthy() -> None:
    chance = random.Random(2)
    rising = [(1 + number / 10) * (1 + chance.gauss(0, 0.2)) for number in range(40)]
    settled = [max(10 - number, 2) * (1 + chance.gauss(0, 0.2)) for number in range(40)]
    assert judged(staircase(rising, 250)).rollbacks == []
    assert judged(staircase(settled, 250)).rollbacks == []


def test_a_slow_decline_is_seen_against_what_was_long_before() -> None:
    chance = random.Random(1)
    values = [8 * (1 - max(step - 3000, 0) / 3500) + chance.gauss(0, 0.5) for step in range(6000)]
    [rollback] = judged(rewards(values)).rollbacks
    assert 4300 < rollback.step < 5500


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_divergence_once(value: float) -> None:
    values = steps(1, 1, 0.1)
    values[FAULT:] = [value] * (STEPS - FAULT)
    [rollback] = judged(losses(values), rollback={"cooldown": "1s"}).rollbacks
    assert (rollback.signal, rollback.target) == ("NonFinite", 2500)
    assert FAULT < rollback.step <= FAULT + 10
    assert rollback.judgement.baseline is None
    assert judged(losses(values), detection={"nanPolicy": "Ignore"}).rollbacks == []


def test_signals_that_are_switched_off_are_not_looked_for() -> None:
    off = {"rewardDrop": {"enabled": False}, "lossSpike": {"enabled": False}}
    result = judged(rewards(steps(8, 2, 1)), detection=off)
    assert result.rollbacks == []
    assert result.last is not None
    assert result.last.message == "no signal is enabled"


def test_a_restart_begins_anew() -> None:
    rows = rewards(steps(8, 8, 1)) + [Row(step, None, 2.0 + step % 7 / 10) for step in range(3500, 4500)]
    result = judged(rows)
    assert result.rollbacks == []
    assert result.last is not None
    assert result.last.reason == "InsufficientData"


def test_where_nothing_is_saved_before_the_onset_there_is_no_target() -> None:
    values = steps(8, 8, 1)[:1500] + steps(2, 2, 0.5)[:1000]
    wanted = CheckpointPolicySpec.model_validate({"trainingRunRef": {"name": "r"}})
    result = replay(wanted, lives(rewards(values), each=False), Pace(10, 10, [1500]))
    assert [rollback.target for rollback in result.rollbacks] == [None]


def faults(count: int, apart: int = 3000) -> list[Row]:
    """Every so many steps a tenth of the reward, for half of them; a row each five steps."""
    chance = random.Random(5)
    found = []
    for step in range(5, count * apart, 5):
        level = 8.0 if step % apart < apart / 2 else 0.8
        found.append(Row(step, None, level + chance.gauss(0, level / 8)))
    return found


def test_cooldown_and_max_hold_in_a_backtest_too() -> None:
    short = {"cooldown": "1s", "max": 10}
    assert len(judged(faults(4), rollback=short).rollbacks) == 4
    # 500 s at ten steps a second are 5,000 steps; what mended itself meanwhile is no fault the next time either.
    assert len(judged(faults(4), rollback={"cooldown": "500s", "max": 10}).rollbacks) == 1
    assert len(judged(faults(4), rollback={"cooldown": "1s", "max": 2}).rollbacks) == 2
    assert judged(faults(4), rollback={"enabled": False}).rollbacks == []


def test_what_was_saved_between_onset_and_rollback_is_not_gone_back_to() -> None:
    targets = [rollback.target for rollback in judged(faults(3), rollback={"cooldown": "1s"}).rollbacks]
    assert targets == sorted(target for target in targets if target is not None)
    assert 1500 not in targets
