"""The methods that the detector is compared with, on streams whose changes are known; and how they are scored."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.bench.methods import accord_rules, change_points, cusum, looks, recorded, skip_step
from tests.bench.methods.picture import picture
from tests.bench.methods.recorded import Alarm, Row, Run, Sample
from tests.bench.methods.report import tables
from tests.bench.methods.score import Outcome, best, judged, score
from tests.bench.methods.settings import METHODS, first_alarms
from tests.bench.methods.standard import standardised


def of_returns(values: Sequence[float], label: str = "healthy", begun: int | None = None) -> Run:
    """An episode every ten steps."""
    rows = [Row(10 * (index + 1), None, value) for index, value in enumerate(values)]
    return Run("cartpole/x.csv.gz", "cartpole", "build", label, begun, rows)


def of_losses(values: Sequence[float]) -> Run:
    """An update every hundred steps."""
    rows = [Row(100 * (index + 1), value, None) for index, value in enumerate(values)]
    return Run("cartpole/x.csv.gz", "cartpole", "build", "healthy", None, rows)


def noise(count: int, level: float, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(level, 1.0) for _ in range(count)]


# A burn-in of mean 0 and variance 10 / 9.
BURN_IN = [1.0, -1.0] * 5


def test_cusum_adds_up_what_is_below_the_burn_in_less_the_slack() -> None:
    unit = (10 / 9) ** 0.5
    fall = [-2.0 * unit] * 10
    # Each takes 1.5 off: after the third, 4.5 is more than 4.
    found = list(cusum.alarms(of_returns([*BURN_IN, *fall]), burn_in=10, slack=0.5, limit=4.0, relearns=False))
    assert found == [Alarm(step=130, onset=100)]


def test_cusum_forgets_what_is_above() -> None:
    series = [*BURN_IN, -2.0, 9.0, -2.0, 9.0, -2.0, 9.0]
    assert not list(cusum.alarms(of_returns(series), burn_in=10, slack=0.5, limit=2.0, relearns=False))


def test_cusum_that_relearns_sees_a_fall_from_what_was_learnt() -> None:
    series = of_returns([*BURN_IN, *([30.0, 32.0] * 10), *([10.0] * 10)])
    setting = {"burn_in": 10, "slack": 0.5, "limit": 8.0}
    assert not list(cusum.alarms(series, **setting, relearns=False))
    alarm = next(cusum.alarms(series, **setting, relearns=True))
    assert 300 < alarm.step <= 350
    assert alarm.onset == 300


def test_a_burn_in_of_equal_values_goes_on_until_one_differs() -> None:
    samples = [Sample(step, value) for step, value in enumerate([5.0] * 6 + [6.0, 7.0])]
    [(step, value)] = standardised(samples, burn_in=3, reference="start")
    assert step == 7
    assert value > 1


def test_values_are_measured_by_the_start_or_by_all_that_was_before() -> None:
    samples = [Sample(step, value) for step, value in enumerate([0.0, 2.0, 100.0, 100.0])]
    start = [value for _, value in standardised(samples, 2, "start")]
    past = [value for _, value in standardised(samples, 2, "past")]
    assert start == pytest.approx([99 / 2**0.5] * 2)
    assert past[0] == start[0]
    assert past[1] < 2


def test_change_points_posterior_adds_up_and_finds_the_change() -> None:
    values = np.array([*noise(200, 0.0), *noise(60, -4.0, seed=2)])
    found = list(change_points.posterior(values, hazard=1e-3))
    assert all(chances.sum() == pytest.approx(1.0) for _, _, chances in found)
    at, lengths, chances = found[-1]
    assert at == 259
    assert lengths[chances.argmax()] == pytest.approx(60, abs=2)


def test_change_points_are_alarms_only_downwards() -> None:
    setting = {"hazard": 1e-3, "least": 10, "drop": 0.0, "mass": 0.99}
    assert not list(change_points.alarms(of_returns([*noise(200, 0.0), *noise(100, 4.0, seed=2)]), **setting))
    alarm = next(change_points.alarms(of_returns([*noise(200, 0.0), *noise(100, -4.0, seed=2)]), **setting))
    assert 2100 <= alarm.step <= 2150
    assert 1980 <= alarm.onset <= 2010


def test_change_points_say_nothing_of_noise_or_of_no_episodes() -> None:
    setting = {"hazard": 1e-3, "least": 10, "drop": 0.0, "mass": 0.9}
    assert not list(change_points.alarms(of_returns(noise(1000, 3.0)), **setting))
    assert not list(change_points.alarms(of_returns([]), **setting))


def test_change_points_tried_together_are_those_tried_alone() -> None:
    run = of_returns([*noise(300, 0.0), *noise(300, -2.0, seed=3)])
    settings = [
        {"hazard": hazard, "least": least, "drop": drop, "mass": mass}
        for hazard in (1e-2, 1e-4)
        for least in (5, 20)
        for drop in (0.0, 1.0)
        for mass in (0.5, 0.99)
    ]
    alone = [next(change_points.alarms(run, **setting), None) for setting in settings]
    assert change_points.firsts(run, settings) == alone
    assert any(alone)


def test_change_points_drop_unlikely_run_lengths_and_still_find_the_change() -> None:
    values = np.array([*noise(3000, 0.0), *noise(40, -3.0, seed=2)])
    found = list(change_points.posterior(values, hazard=1e-3))
    assert max(len(lengths) for _, lengths, _ in found) <= 80
    _, lengths, chances = found[-1]
    assert lengths[chances.argmax()] == pytest.approx(40, abs=2)


def test_a_loss_far_above_those_before_is_a_skipped_step() -> None:
    steady = [1.0, 1.2] * 40
    found = list(skip_step.alarms(of_losses([*steady, 9.0, 1.0]), sigmas=6.0, interval=128, row=1))
    assert found == [Alarm(step=8100, onset=8000)]
    assert not list(skip_step.alarms(of_losses([*steady, 9.0, 1.0]), sigmas=6.0, interval=128, row=2))


def test_no_step_is_skipped_before_half_of_the_interval_is_there() -> None:
    early = [1.0, 1.2] * 30
    assert not list(skip_step.alarms(of_losses([*early, 9.0]), sigmas=6.0, interval=128, row=1))


def test_the_operators_rules_see_sums_every_hundred_steps() -> None:
    rows = [Row(40, None, 3.0), Row(100, None, 5.0), Row(100, 0.5, None), Row(260, None, float("nan"))]
    first, second = accord_rules.moments(Run("a/x", "a", "build", "healthy", None, rows))
    assert (first.step, second.step) == (100, 260)
    assert first.reward == (0, 100, 2, 8.0, 34.0, 2)
    assert first.loss == (0, 100, 1, 0.5, 0.25, 1)
    assert (second.reward, second.loss) == ("NotFinite", None)


def test_the_operators_rule_finds_a_fall_of_returns() -> None:
    run = of_returns([*noise(100, 10.0), *noise(200, 50.0, seed=2), *noise(100, 10.0, seed=3)], "harmed", 3000)
    alarm = next(accord_rules.alarms(run, sensitivity="Medium"))
    assert 3000 < alarm.step <= 3400
    found = judged(run, alarm)
    assert found.caught
    assert found.restored


def test_what_is_not_finite_is_an_alarm_whatever_the_method() -> None:
    nan = float("nan")
    rows = [Row(10, nan, None), Row(20, 1.0, None), Row(30, nan, None)]
    run = Run("a/x", "a", "build", "harmed", 25, rows)
    chosen = next(method for method in METHODS if method.module is cusum)
    assert list(first_alarms(chosen, run, chosen.settings()[:2])) == [Alarm(step=30, onset=20)] * 2


def test_an_alarm_before_the_harm_is_false_and_one_after_it_has_a_lag() -> None:
    run = of_returns([1.0] * 1000, "harmed", 5000)
    assert judged(run, None) == Outcome("cartpole", "harmed", false=False)
    assert judged(run, Alarm(5000, 4000)).false
    found = judged(run, Alarm(5200, 4900))
    assert (found.caught, found.episodes, found.updates, found.restored) == (True, 20, 0, True)
    assert not judged(run, Alarm(9000, 8000)).restored


def test_harm_that_comes_later_than_its_fault_is_measured_from_both() -> None:
    rows = [Row(10 * (index + 1), None, 1.0) for index in range(1000)]
    rows += [Row(100 * (index + 1), 0.5, None) for index in range(100)]
    run = Run("a/x", "a", "build", "harmed", 5000, sorted(rows, key=lambda row: row.step), fell=7000, halved=8000)
    found = judged(run, Alarm(8300, 7900))
    assert (found.soon, found.soon_fallen, found.soon_halved) == (False, False, True)
    assert (found.restored, found.restored_fallen) == (False, False)
    found = judged(run, Alarm(7100, 6900))
    assert (found.soon, found.soon_fallen, found.soon_halved) == (False, True, True)
    assert (found.restored, found.restored_fallen) == (False, True)


def test_an_alarm_in_a_healthy_run_is_false() -> None:
    assert judged(of_returns([1.0]), Alarm(10, 0)).false
    assert not judged(of_returns([1.0]), None).false


def test_after_a_fault_without_lasting_harm_an_alarm_is_neither_true_nor_false() -> None:
    run = of_returns([1.0] * 1000, "harmless", 5000)
    assert judged(run, Alarm(4000, 0)).false
    assert judged(run, Alarm(6000, 0)) == Outcome("cartpole", "harmless", false=False)
    found = score([judged(run, Alarm(6000, 0))])
    assert (found.faulty, found.harmed, found.false_share) == (1, 0, 0.0)


def outcomes(false: int, caught: int, of: int = 100) -> list[Outcome]:
    healthy = [Outcome("a", "healthy", false=index < false) for index in range(of)]
    return healthy + [Outcome("a", "harmed", false=False, caught=index < caught) for index in range(of)]


def test_the_best_setting_catches_most_of_those_that_are_hardly_ever_wrong() -> None:
    assert best([score(outcomes(0, 40)), score(outcomes(2, 60)), score(outcomes(5, 100))]) == 1


def test_where_all_are_often_wrong_the_one_that_is_so_least_is_the_best() -> None:
    assert best([score(outcomes(50, 100)), score(outcomes(20, 10)), score(outcomes(30, 90))]) == 1


def test_tables_and_plot_say_what_was_found() -> None:
    found = score(outcomes(3, 50))
    text = tables("judge", {"`Adaptive`, Medium": found}, {"`Adaptive`, Medium": {}}, outcomes(3, 50))
    assert (
        "| `Adaptive`, Medium | – | 3 of 100 | 0 of 100 | 50 of 100 | 0; 0; 0 of 100 | 0, 0 | 0, 0 | 0; 0 of 50 |"
        in text
    )
    assert "| a | 3 of 100 | 0 of 100 | 50 of 100 |" in text
    assert "1.5% false, 50.0% caught" in picture({"A": found, "B": score(outcomes(0, 0))})


def test_only_the_half_that_is_asked_for_is_listed(tmp_path: Path) -> None:
    with (tmp_path / "index.csv").open("w", newline="") as file:
        index = csv.writer(file)
        index.writerow(["file", "label", "fault_step", "half"])
        index.writerow(["a/x.csv.gz", "collapsed", "20", "build"])
        index.writerow(["b/y.csv.gz", "healthy", "", "judge"])
    (tmp_path / "a").mkdir()
    with gzip.open(tmp_path / "a/x.csv.gz", "wt") as file:
        file.write("step,loss,reward,kl,explained_variance\n10,,1.5,,\n20,0.5,,0.1,0.2\n")
    [line] = recorded.listed("build", tmp_path)
    run = recorded.load(line, tmp_path)
    assert (run.environment, run.is_harmed, run.begun) == ("a", True, 20)
    assert run.rows == [Row(10, None, 1.5), Row(20, 0.5, None)]


def test_each_look_is_a_line_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "LOOKS.md"
    looks.note("a rule", "1 of 2", log)
    looks.note("another", "2 of 2", log)
    lines = log.read_text().splitlines()
    assert lines[-2].endswith("| a rule | 1 of 2 |")
    assert lines[-1].endswith("| another | 2 of 2 |")
