"""The parts: the tail of t, running sums, blocks, held values, the ratio."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from accord.api.v1alpha1.checkpointpolicy import Detection
from accord.domain.checkpoint.detection import adaptive
from accord.domain.checkpoint.detection.adaptive import Question
from accord.domain.checkpoint.detection.held import is_held, kind, reports
from accord.domain.checkpoint.detection.history import History
from accord.domain.checkpoint.detection.ratio import Means, judge
from accord.domain.checkpoint.detection.scrapes import Target, lives, saved, targets
from accord.domain.checkpoint.detection.series import Blocks, Moment, Segment, Sums
from accord.domain.checkpoint.detection.t_distribution import tail
from accord.domain.samples import Series


@pytest.mark.parametrize(
    ("t", "freedom", "expected"),
    # From tables: 2.228 is the 97.5 % point of 10 degrees of freedom, and so on.
    [(0, 5, 0.5), (2.228, 10, 0.025), (4.144, 10, 0.001), (12.706, 1, 0.025), (3.291, 1e6, 0.0005), (6.869, 5, 0.0005)],
)
def test_the_tail_of_t_is_that_of_the_tables(t: float, freedom: float, expected: float) -> None:
    assert tail(t, freedom) == pytest.approx(expected, rel=2e-3)


def test_the_tail_falls_and_stays_a_probability() -> None:
    values = [tail(t / 4, 7) for t in range(400)]
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < 1e-9


@pytest.mark.parametrize("offset", [0, 1e6, -1e9])
def test_means_and_lines_are_those_of_numpy_also_far_from_zero(offset: float) -> None:
    chance = random.Random(3)
    values = [offset + chance.gauss(0, 1) for _ in range(100)]
    sums = Sums()
    for value in values:
        sums.add(value)
    for begin, end in ((0, 100), (13, 40), (97, 99)):
        part = np.array(values[begin:end])
        slope, intercept = np.polyfit(np.arange(begin, end), part - offset, 1)
        left = float(np.sum((part - offset - slope * np.arange(begin, end) - intercept) ** 2))
        assert sums.mean(begin, end) == pytest.approx(float(part.mean()), rel=1e-12, abs=1e-9)
        found = sums.line(begin, end)
        assert found[0] == pytest.approx(slope, abs=1e-6)
        assert found[1] == pytest.approx(left, abs=1e-5)


def test_blocks_hold_so_many_steps_and_no_outlier() -> None:
    blocks = Blocks.of(window=100)
    closed = [blocks.add(Segment(step - 1, step, 1, 1e9 if step == 7 else 2.0, 0)) for step in range(1, 51)]
    assert [step for step, done in enumerate(closed, start=1) if done] == [25, 50]
    assert [(block.first, block.last, block.units, block.value) for block in blocks.closed] == [
        (0, 25, 25, 2.0),
        (25, 50, 25, 2.0),
    ]
    episodes = Blocks.of(window=100)
    assert not episodes.add(Segment(0, 20, 2, 10, 50, 2))
    assert episodes.add(Segment(20, 90, 1, 8, 64, 1))
    [block] = episodes.closed
    assert (block.value, block.units, episodes.units) == (6, 3, [0, 3])
    # Variance of the mean of 5, 5 and 8, as far as the sums tell: (114 / 3 - 36) / 2.
    assert block.spread == pytest.approx(1)


def test_a_minibatch_is_no_sample() -> None:
    blocks = Blocks.of(window=100)
    assert blocks.add(Segment(0, 500, 32, 64, 200, 1))
    assert (blocks.closed[0].value, blocks.closed[0].units, blocks.closed[0].spread) == (2, 1, 0)


def test_values_are_held_unless_rows_hardly_ever_repeat() -> None:
    chance = random.Random(1)
    ratings = [(step, float(chance.randint(1, 5))) for step in range(1000)]
    assert not is_held(ratings)
    assert is_held([(step, float(step // 20)) for step in range(1000)])
    found_kind, found = reports("reward", [(step, float(step // 20)) for step in range(1000)], each=False)
    assert found_kind == "updates"
    assert sum(report is not None for report in found) == 50
    assert sum(report is not None for report in reports("reward", ratings, each=True)[1]) == 1000


def test_the_kind_follows_from_the_distances() -> None:
    assert kind("loss", [(step, 0.0) for step in range(100)]) == "steps"
    assert kind("loss", [(step, 0.0) for step in (0, 500, 1000, 1500, 2000)]) == "updates"
    assert kind("reward", [(step, 0.0) for step in (0, 500, 1000, 1500, 2000)]) == "updates"
    assert kind("reward", [(step, 0.0) for step in (0, 20, 70, 83, 160, 190)]) == "episodes"
    assert kind("reward", []) == "episodes"


def test_empty_is_no_value_and_nan_is_one() -> None:
    rows = [(1, None), (2, 3.0), (3, None), (4, math.nan), (5, math.inf), (6, 3.0)]
    _, found = reports("loss", rows, each=True)
    assert [report if not isinstance(report, Segment) else (report.first, report.last) for report in found] == [
        None,
        (1, 2),
        None,
        "NotFinite",
        "NotFinite",
        (5, 6),
    ]


def test_the_ratio_is_that_of_the_means_of_two_windows() -> None:
    means = Means()
    for step in range(1, 1201):
        means.add(Segment(step - 1, step, 1, 1.0 if step <= 1100 else 2.1, 0))
    assert judge(means, 1099, 1, 2.0, 100, 1000).outcome == "Inconclusive"
    assert judge(means, 1190, 1, 2.0, 100, 1000).outcome == "Pass"
    found = judge(means, 1200, 1, 2.0, 100, 1000)
    assert (found.outcome, found.baseline, found.samples, found.onset) == ("Fail", pytest.approx(1.0), 100, 1000)
    assert found.recent == pytest.approx(2.1)
    # To the letter, also where it makes no sense: -1 is less than half of -1.
    assert judge(means, 1200, -1, 2.2, 100, 1000).outcome == "Fail"


def test_where_a_window_holds_no_value_the_last_one_is_held() -> None:
    means = Means()
    for step, value in ((500, 1.0), (1000, 1.0), (1500, 5.0)):
        means.add(Segment(step - 500, step, 32, 32 * value, 0))
    assert judge(means, 1700, 1, 2.0, 100, 1000).recent == 5.0
    assert judge(means, 1090, 1, 2.0, 100, 1000).message == "has 1090 of 1100 steps"
    late = Means(begin=0)
    late.add(Segment(1500, 1600, 1, 1.0, 0))
    assert judge(late, 1600, 1, 2.0, 100, 1000).message == "has no value in the baseline's steps"


@pytest.mark.parametrize(
    ("level", "after", "outcome"),
    # A return that is at its most each time has no spread, and one that is always 0 no scale either.
    [(500.0, 200.0, "Suspect"), (500.0, 400.0, "Pass"), (0.0, 0.0, "Pass"), (-10.0, -10.0, "Pass")],
)
def test_returns_that_are_all_alike(level: float, after: float, outcome: str) -> None:
    blocks = Blocks.of(window=100)
    for number in range(60):
        value = level if number < 50 else after
        blocks.add(Segment(500 * number, 500 * (number + 1), 1, value, value * value, 1))
    assert adaptive.judge(blocks, Question("episodes", -1, 0.5, 100, 1000)).outcome == outcome


def test_a_target_without_a_step_is_none_and_a_first_value_counts_from_zero() -> None:
    labels = {"pod": "p"}
    found = targets(
        [
            Series({"__name__": "ppo_training_step", **labels}, ((1.0, 100.0), (2.0, 200.0))),
            Series({"__name__": "ppo_reward_sum", **labels}, ((2.0, 12.0),)),
            Series({"__name__": "ppo_reward_count", **labels}, ((2.0, 4.0),)),
            Series({"__name__": "ppo_loss", "pod": "q"}, ((1.0, 1.0),)),
        ]
    )
    [target] = found
    [life] = lives(target, each=False)
    assert [moment.reward for moment in life.moments] == [None, Segment(100, 200, 4, 12.0, 0.0, 4)]
    assert saved(found) == []


def test_a_sum_that_is_not_a_number_counts_only_where_its_count_is_one() -> None:
    """Some stores return the end of a series as a NaN: of a sum that ended so did the count."""
    nan = math.nan
    reported = [(8.0, 1.0), (16.0, 2.0), (nan, nan), (24.0, 3.0), (nan, 4.0)]
    told = [
        (float(at), {"ppo_training_step": 100.0 * at, "ppo_reward_sum": total, "ppo_reward_count": count})
        for at, (total, count) in enumerate(reported, start=1)
    ]
    [life] = lives(Target({}, told), each=False)
    found = [moment.reward if isinstance(moment.reward, str) else moment.reward is not None for moment in life.moments]
    assert found == [False, True, False, True, "NotFinite"]


def test_harm_that_the_losses_show_first_is_from_before_its_first_spike() -> None:
    def onset(spike: float) -> int | None:
        chance = random.Random(1)
        history = History(Detection(), {"loss": "updates", "reward": "episodes"})
        found = None
        for number in range(60):
            # The policy is harmed in update 40, and its returns fall from update 46 on.
            level = 20 + 10 * min(number, 36) if number < 46 else 20
            values = [level + chance.gauss(0, 20) for _ in range(10)]
            reward = Segment(500 * number, 500 * (number + 1), 10, sum(values), sum(each**2 for each in values), 10)
            loss = (spike if number >= 40 else 1.0) * chance.uniform(0.9, 1.1)
            history.add(Moment(500 * (number + 1), Segment(500 * number, 500 * (number + 1), 1, loss, loss**2), reward))
            judgement = history.judge()
            if judgement.outcome == "Fail" and found is None:
                found = judgement.onset
        return found

    assert 18_000 <= (onset(spike=12.0) or 0) <= 20_000
    assert 20_000 < (onset(spike=1.0) or 0) <= 23_000
