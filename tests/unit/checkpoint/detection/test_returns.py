"""The rule on returns: what counts, what is chance, what mends itself, and from where it began."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest

from accord.domain.checkpoint.detection.finding import Finding
from accord.domain.checkpoint.detection.returns import Returns, Sensitivity, doubt, luck
from accord.domain.checkpoint.detection.series import Segment

LENGTH = 50
"""Steps of an episode; an update is 500."""
NOISY, LUCKY = (1, 13, 23, 33), (0, 4, 11, 14)
"""Seeds of trainings in which some two windows of plain noise are far apart."""


def judged(returns: Iterable[float], sensitivity: Sensitivity = "Medium", per_look: int = 1) -> list[Finding]:
    """A finding for each look, `per_look` episodes apart."""
    rule = Returns("episodes", 0.5, 100, 1000, sensitivity)
    found, some = [], list(returns)
    for begin in range(0, len(some), per_look):
        part = some[begin : begin + per_look]
        end = begin + len(part)
        segment = Segment(begin * LENGTH, end * LENGTH, len(part), sum(part), sum(each**2 for each in part), len(part))
        rule.add(segment, end * LENGTH // 500)
        found.append(rule.judge())
    return found


def learnt(low: float, high: float, noise: float, seed: int = 1, after: Sequence[float] = ()) -> list[float]:
    """A hundred episodes on the way up, a hundred there, and levels for what follows."""
    chance = random.Random(seed)
    levels = [low + (high - low) * min(number / 100, 1) for number in range(200)] + list(after)
    return [level + chance.gauss(0, noise) for level in levels]


def outcomes(found: Iterable[Finding]) -> set[str]:
    return {finding.outcome for finding in found}


@pytest.mark.parametrize(
    ("low", "high"), [(20, 400), (-1600, -150), (-500, -80), (-1, 1), (0.0, 0.1)], ids=lambda value: f"{value:g}"
)
def test_a_share_means_the_same_wherever_zero_is(low: float, high: float) -> None:
    gain, noise = high - low, (high - low) / 8
    assert outcomes(judged(learnt(low, high, noise))) == {"Inconclusive", "Pass"}
    half = [high - 0.75 * gain] * 60
    found = judged(learnt(low, high, noise, after=half))
    assert found[-1].outcome == "Fail"
    assert found[-1].share == pytest.approx(0.75, abs=0.1)
    assert found[-1].limit == pytest.approx(high - gain / 2, abs=0.15 * gain)
    third = [high - 0.3 * gain] * 60
    assert "Fail" not in outcomes(judged(learnt(low, high, noise, after=third)))


@pytest.mark.parametrize("reward", [7.8, -7.8, 0.1, 1e6 + 0.1, 0.0])
def test_rounding_of_a_running_sum_is_no_loss(reward: float) -> None:
    """A mean is the difference of two sums; of equal rewards they differ in the last digits, and nothing else does."""
    rule, total = Returns("episodes", 0.5, 100, 1000, "Medium"), 0.0
    for number in range(400):
        before, total = total, total + 4 * reward
        rule.add(Segment(number * 200, (number + 1) * 200, 4, total - before, 0.0, 4), (number + 1) * 200 // 500)
        assert rule.judge().outcome in ("Inconclusive", "Pass")


def test_twenty_episodes_are_enough_where_all_is_lost() -> None:
    found = judged(learnt(20, 400, 60, after=[20.0] * 30))
    first = next(index for index, finding in enumerate(found) if finding.outcome == "Fail")
    assert 200 < first <= 230
    assert found[first].onset is not None
    # Rather too early than after it: what is lost by that is some training.
    assert 160 * LENGTH <= (found[first].onset or 0) <= 200 * LENGTH


@pytest.mark.parametrize("seed", range(5))
def test_where_nearly_all_is_lost_half_of_the_episodes_are_enough(seed: int) -> None:
    """The mean of a whole window has lost half after ten of its twenty at the earliest."""
    rule, chance = Returns("episodes", 0.5, 100, 1000, "Medium"), random.Random(seed)
    found = []
    for number in range(220):
        value = (min(number / 100, 1) * 400 if number < 200 else 0) + chance.gauss(0, 40)
        rule.add(Segment(number * LENGTH, (number + 1) * LENGTH, 1, value, value**2, 1), number // 5)
        found.append(rule.judge())
    assert outcomes(found[:200]) == {"Inconclusive", "Pass"}
    first = next(index for index, finding in enumerate(found) if finding.outcome == "Fail")
    assert first < 208
    assert 0 < (found[first].onset or 0) <= 200 * LENGTH
    # As soon as a whole window agrees, its figures are told, and from before when it began is not changed by that.
    assert found[-1].samples == 20
    assert found[-1].onset == found[first].onset


@pytest.mark.parametrize("seed", range(5))
def test_where_nothing_is_left_a_quarter_of_the_episodes_is_enough(seed: int) -> None:
    """Half of a window has lost three quarters with the seventh of its ten episodes at the earliest."""
    found = fallen_to_nothing(seed, episodes=20)
    first = next(index for index, finding in enumerate(found) if finding.outcome == "Fail")
    assert 203 <= first < 206
    assert 0 < (found[first].onset or 0) <= 200 * LENGTH
    # As soon as a whole window agrees, its figures are told, and from before when it began is not changed by that.
    assert (found[first].samples, found[-1].samples) == (5, 20)
    assert found[-1].onset == found[first].onset


@pytest.mark.parametrize("seed", range(5))
def test_a_few_bad_episodes_or_one_bad_update_are_no_fault(seed: int) -> None:
    assert "Fail" not in outcomes(fallen_to_nothing(seed, episodes=3, back=20))
    assert "Fail" not in outcomes(fallen_to_nothing(seed, episodes=6, per_update=6))


def fallen_to_nothing(seed: int, episodes: int, per_update: int = 2, back: int = 0) -> list[Finding]:
    """Two hundred episodes that learn, some at the level of the start, and some as good as before."""
    rule, chance = Returns("episodes", 0.5, 100, 1000, "Medium"), random.Random(seed)
    found = []
    for number in range(200 + episodes + back):
        level = 0 if 200 <= number < 200 + episodes else min(number / 100, 1) * 400
        value = level + chance.gauss(0, 20)
        updates = number // 2 if number < 200 else 100 + (number - 200) // per_update
        rule.add(Segment(number * LENGTH, (number + 1) * LENGTH, 1, value, value**2, 1), updates)
        found.append(rule.judge())
    return found


def test_of_harm_that_comes_by_and_by_the_target_is_from_its_first_part() -> None:
    slowly, fast = [400 - 60 * number / 100 for number in range(100)], [340 - 320 * number / 60 for number in range(60)]
    for seed in range(4):
        found = judged(learnt(20, 400, 15, seed, after=slowly + fast + [20.0] * 20))
        first = next(finding for finding in found if finding.outcome == "Fail")
        # After more than a tenth of the loss no window is at the level any more: the fast part begins at 300.
        assert 190 * LENGTH <= (first.onset or 0) <= 250 * LENGTH


def test_an_improvement_is_never_a_drop() -> None:
    chance = random.Random(2)
    steps = [-500.0] * 60 + [-220.0] * 60 + [-125.0] * 60 + [-80.0] * 60
    found = judged(level + chance.gauss(0, 25) for level in steps)
    assert outcomes(found) == {"Inconclusive", "Pass"}
    assert all((finding.share or 0) < 0.5 for finding in found)


def test_noise_alone_is_no_fault_however_long_one_looks() -> None:
    chance = random.Random(3)
    assert "Fail" not in outcomes(judged(chance.gauss(-100, 40) for _ in range(3000)))
    assert "Fail" not in outcomes(judged(float(chance.random() < 0.05) for _ in range(3000)))


@pytest.mark.parametrize("seed", NOISY)
def test_noise_as_large_as_what_was_learnt_is_no_fault(seed: int) -> None:
    chance = random.Random(seed)
    assert "Fail" not in outcomes(judged(min(number / 100, 1) + chance.gauss(0, 1) for number in range(700)))


@pytest.mark.parametrize("seed", LUCKY)
def test_a_game_that_is_won_by_chance_is_no_fault(seed: int) -> None:
    chance = random.Random(seed)
    won = (float(chance.random() < 0.02 + 0.4 * min(number / 100, 1)) for number in range(700))
    assert "Fail" not in outcomes(judged(won))


def test_where_there_is_a_value_a_step_a_share_of_the_level_counts_too() -> None:
    chance = random.Random(1)
    rule = Returns("steps", 0.5, 100, 1000, "Medium")
    for number in range(220):
        level = -1 + 1.65 * min(number / 200, 1) if number < 200 else 0.2
        values = [level + chance.gauss(0, 0.25) for _ in range(25)]
        rule.add(Segment(number * 25, (number + 1) * 25, 25, sum(values), sum(each**2 for each in values), 25), None)
        if number == 199:
            assert rule.judge().outcome == "Pass"
    # Less than half of what was learnt (1.65), but more than half of the level (0.65).
    assert rule.judge().outcome == "Fail"


def test_returns_that_are_all_alike_are_healthy() -> None:
    assert outcomes(judged([-200.0] * 200)) == {"Inconclusive", "Pass"}
    assert outcomes(judged([0.0] * 200)) == {"Inconclusive", "Pass"}


def test_a_dip_that_mends_itself_teaches_what_this_training_comes_through() -> None:
    once = [200.0] * 14 + [400.0] * 80
    found = judged(learnt(20, 400, 20, after=once))
    assert "Fail" not in outcomes(found)
    deep = [120.0] * 40
    assert judged(learnt(20, 400, 20, after=[*once, *deep]))[-1].outcome == "Fail", "deeper, or longer"


def test_how_the_samples_are_gathered_changes_little_and_how_often_one_looks_nothing() -> None:
    run = learnt(20, 400, 60, after=[60.0] * 60)
    single = judged(run)
    assert [finding.outcome for finding in judged(run)] == [finding.outcome for finding in single]
    rare = judged(run, per_look=10)
    assert rare[-1].outcome == single[-1].outcome == "Fail"
    assert "Fail" not in outcomes(rare[:20])


def test_suspicion_comes_before_proof_and_goes_by_itself() -> None:
    found = [finding.outcome for finding in judged(learnt(20, 400, 20, after=[60.0] * 40 + [400.0] * 40))]
    assert found.index("Suspect") < found.index("Fail")
    assert found[-1] == "Pass"


def test_less_sensitive_is_later() -> None:
    run = learnt(20, 400, 60, after=[60.0] * 80)
    levels: tuple[Sensitivity, ...] = ("High", "Medium", "Low")
    firsts = [[finding.outcome for finding in judged(run, level)].index("Fail") for level in levels]
    assert firsts == sorted(firsts)
    assert firsts[0] < firsts[-1]


def test_what_is_missing_is_named() -> None:
    found = judged([1.0] * 45)
    assert found[3].message == "has 200 of 1100 steps"
    assert found[30].message == "has 31 of 40 episodes"
    assert judged([1.0] * 30, per_look=30)[0].message == "has 30 of 40 episodes"


def test_luck_and_doubt_grow_with_the_looks() -> None:
    assert luck(1) == 0
    assert luck(10) < luck(1000) < 4
    assert doubt(1, 0.01) == pytest.approx(3.03, abs=0.01)
    assert doubt(100, 0.01) == pytest.approx(4.29, abs=0.01)
