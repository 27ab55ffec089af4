"""The table of signals, and those of it that are never proof: approximate KL and explained variance."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any, get_args

import pytest
from tests.unit.checkpoint.detection.test_memory import Watched
from tests.unit.checkpoint.detection.trainer import Trainer, policy, subject

from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicySpec, Detection
from accord.api.v1alpha1.checkpointpolicy import Signal as SignalName
from accord.domain.checkpoint import holds
from accord.domain.checkpoint.detection import memory
from accord.domain.checkpoint.detection.history import History, Judgement
from accord.domain.checkpoint.detection.live import ask, interpret, query
from accord.domain.checkpoint.detection.replay import Pace, Replayed, replay
from accord.domain.checkpoint.detection.rows import Row, lives
from accord.domain.checkpoint.detection.series import Moment, Name, Segment
from accord.domain.checkpoint.detection.signals import OF_SERIES, SIGNALS
from accord.domain.checkpoint.reading import Reading

NEW = {"klSpike": {"enabled": True}, "explainedVarianceDrop": {"enabled": True}}
OFF = {"rewardDrop": {"enabled": False}, "lossSpike": {"enabled": False}}
ALL: tuple[Name, ...] = get_args(Name)
UPDATE = 500


def check(trainer: Trainer, **detection: Any) -> Reading:
    return interpret(subject(detection=detection), trainer.answer(), trainer.at)


def updates(name: Name, values: list[float], returns: float | None = 20.0) -> list[Moment]:
    """One value an update of 500 steps, and ten episodes with it."""
    chance, found = random.Random(3), []
    for number, value in enumerate(values):
        step = UPDATE * (number + 1)
        told: Any = {
            name: Segment(step - UPDATE, step, 1, value, value * value) if math.isfinite(value) else "NotFinite"
        }
        if returns is not None:
            each = [returns * chance.uniform(0.9, 1.1) for _ in range(10)]
            told["reward"] = Segment(step - UPDATE, step, 10, sum(each), sum(x * x for x in each), 10)
        found.append(Moment.of(step, float(step), told))
    return found


def judged(moments: list[Moment], **detection: Any) -> list[Judgement]:
    history, found = History(Detection.model_validate(detection), {}), []
    for moment in moments:
        history.add(moment)
        found.append(history.judge())
    return found


def noisy(levels: list[float], noise: float = 0.1) -> list[float]:
    chance = random.Random(1)
    return [level * chance.uniform(1 - noise, 1 + noise) for level in levels]


def test_each_row_has_a_name_a_field_and_a_place_for_what_is_reported() -> None:
    assert set(OF_SERIES) == set(ALL)
    assert len(OF_SERIES) == len(SIGNALS)
    for signal in SIGNALS:
        assert signal.name in get_args(SignalName)
        assert signal.field in Detection.model_fields
        assert Moment.of(1, None, {signal.series: "NotFinite"}).report(signal.series) == "NotFinite"
        assert Row.of(1, None, {signal.series: 2.0}).value(signal.series) == 2.0


def test_those_that_are_no_proof_are_off_by_default_and_not_asked_for() -> None:
    about, on = subject(), subject(detection=NEW)
    assert [signal.series for signal in SIGNALS if signal.rule(Detection()).enabled] == ["reward", "loss"]
    assert not any(word in query(about, Trainer().at) for word in ("approx_kl", "explained_variance"))
    assert "ppo_approx_kl_sum|ppo_approx_kl_count" in query(on, Trainer().at)
    # Policies that ask for other series are not asked about together.
    assert ask(about, Trainer().at).template != ask(on, Trainer().at).template
    trainer = Trainer(reports=ALL).scrape(60)
    trainer.approx_kl, trainer.explained_variance = 3.0, -0.9
    assert check(trainer.scrape(18)).outcome == "Pass"


@pytest.mark.parametrize(
    ("name", "value", "signal", "words"),
    [
        ("approx_kl", 0.2, "KLSpike", "approximate KL 0."),
        ("explained_variance", -0.2, "ExplainedVarianceDrop", "explained variance -0."),
    ],
)
def test_one_that_gets_bad_is_suspect_and_never_more(name: str, value: float, signal: str, words: str) -> None:
    trainer = Trainer(reports=ALL).scrape(90)
    assert check(trainer, **NEW).outcome == "Pass"
    setattr(trainer, name, value)
    readings = [check(trainer.scrape(), **NEW) for _ in range(60)]
    assert {reading.outcome for reading in readings} == {"Pass", "Suspect"}
    suspect = next(reading for reading in readings if reading.outcome == "Suspect")
    assert (suspect.signal, suspect.reason, suspect.onset) == (signal, f"Suspected{signal}", None)
    assert suspect.message.startswith(words)
    assert " updates against 0." in suspect.message


@pytest.mark.parametrize("method", ["Adaptive", "Ratio"])
@pytest.mark.parametrize(("name", "good", "bad"), [("approx_kl", 0.01, 9.0), ("explained_variance", 0.9, -0.9)])
def test_it_fails_no_check_where_no_return_is_reported_and_none_of_method_ratio(
    name: Name, good: float, bad: float, method: str
) -> None:
    values = noisy([good] * 20 + [bad] * 10)
    found = judged(updates(name, values, returns=None), method=method, **OFF, **NEW)
    assert {each.outcome for each in found} == {"Inconclusive", "Pass", "Suspect"}
    assert all(each.onset is None for each in found)


def test_a_divergence_that_grows_and_stays_small_is_none() -> None:
    grown = noisy([0.002] * 20 + [0.04] * 10)
    assert {each.outcome for each in judged(updates("approx_kl", grown), **NEW)} == {"Inconclusive", "Pass"}
    lower = judged(updates("approx_kl", grown), klSpike={"enabled": True, "minimum": 0.01})
    assert lower[-1].outcome == "Suspect"
    # As much as ever is no spike, however much it is.
    much = noisy([0.5] * 30)
    assert {each.outcome for each in judged(updates("approx_kl", much), **NEW)} == {"Inconclusive", "Pass"}


def test_a_fall_of_the_explained_variance_counts_by_what_it_falls_and_one_outlier_is_none() -> None:
    assert judged(updates("explained_variance", noisy([0.95] * 20 + [0.6] * 10)), **NEW)[-1].outcome == "Pass"
    assert judged(updates("explained_variance", noisy([0.95] * 20 + [0.3] * 10)), **NEW)[-1].outcome == "Suspect"
    outlier = judged(updates("explained_variance", noisy([0.95] * 20 + [-40.0] + [0.95] * 10)), **NEW)
    assert {each.outcome for each in outlier} == {"Inconclusive", "Pass"}


@pytest.mark.parametrize("name", ["approx_kl", "explained_variance"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_that_is_not_finite_is_no_value_and_no_divergence(name: Name, value: float) -> None:
    found = judged(updates(name, [*noisy([0.5] * 20), value, *noisy([0.5] * 10)]), **NEW)
    assert {each.outcome for each in found} == {"Inconclusive", "Pass"}
    alone = judged(updates(name, [value] * 30), **NEW)
    assert alone[-1].outcome == "Pass"


def test_a_trainer_that_does_not_report_it_is_judged_by_the_rest_and_told_so() -> None:
    reading = check(Trainer().scrape(40), **NEW)
    assert reading.outcome == "Pass"
    assert reading.message.endswith("; approximate KL has 0 of 1100 steps; explained variance has 0 of 1100 steps")
    alone = check(Trainer().scrape(40), **OFF, **NEW)
    assert (alone.outcome, alone.signal) == ("Inconclusive", None)


def test_it_alone_is_something_to_look_for_so_that_a_pause_can_stand() -> None:
    nothing = Detection.model_validate({**OFF, "nanPolicy": "Ignore"})
    assert not holds.is_watched(nothing)
    assert holds.is_watched(Detection.model_validate({**OFF, "nanPolicy": "Ignore", "klSpike": {"enabled": True}}))


def test_checkpoints_remember_it_and_leave_out_what_is_not_finite() -> None:
    moments = updates("approx_kl", [0.01, 0.02, 0.03])
    found = memory.between(moments, 0.0, 1500.0, 1)
    assert found is not None
    assert memory.decode(found.encode(), 1) == found
    assert found.series["approx_kl"][:2] == (3, pytest.approx(0.06))
    back = found.moment().approx_kl
    assert isinstance(back, Segment)
    assert (back.first, back.last, back.units) == (0, 1500, 3)
    unknown = [*moments, Moment.of(2000, 2000.0, {"explained_variance": "NotFinite"})]
    assert memory.between(unknown, 0.0, 2000.0, 1) is not None


def test_a_check_that_reads_the_memory_sees_a_spike_after_it() -> None:
    watched = Watched(Trainer(reports=ALL))
    watched.about = dataclasses.replace(watched.about, policy=policy(detection=NEW))
    assert watched.check(120).outcome == "Pass"
    assert set(watched.about.memory[-1].series) == set(ALL)
    assert set(watched.reaches[10:]) <= {"6m]", "7m]"}
    watched.trainer.approx_kl = 0.5
    assert watched.check(18).signal == "KLSpike"


def replayed(rows: list[Row], trace: bool = False, **detection: Any) -> Replayed:
    spec = CheckpointPolicySpec.model_validate({"trainingRunRef": {"name": "r"}, "detection": detection})
    last = rows[-1].step
    return replay(spec, lives(rows, each=False, events=True), Pace(150, 10.0, range(500, last + 1, 500)), trace)


def test_a_backtest_pauses_for_it_and_rolls_nothing_back() -> None:
    rows = []
    for number, value in enumerate(noisy([0.01] * 20 + [0.3] * 10)):
        step = UPDATE * (number + 1)
        rows += [Row(step - 250, None, 20.0 + number % 3), Row(step, 1.0, None, None, value, 0.9)]
    result = replayed(rows, trace=True, **NEW)
    assert not result.rollbacks
    assert {pause.judgement.signal for pause in result.pauses} == {"KLSpike"}
    assert set(result.looks[-1].signals) == set(ALL)
    quiet = replayed(rows, trace=True)
    assert not quiet.pauses
    assert set(quiet.looks[-1].signals) == {"loss", "reward"}
