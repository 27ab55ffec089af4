"""One check: everything that Prometheus may say, and what follows."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta

import pytest
from tests.unit.checkpoint.detection.trainer import EVERY, START, Trainer, subject

from accord.domain.checkpoint.detection.live import ask, interpret, query, schedule
from accord.domain.checkpoint.reading import Reading
from accord.domain.checkpoint.subject import Subject
from accord.domain.samples import Answer

OWN = {"trainingRunRef": None, "source": {"claimName": "c", "selector": {"job": 'a"b\\', "namespace": "other"}}}


def check(trainer: Trainer, about: Subject | None = None) -> Reading:
    return interpret(about or subject(), trainer.answer(), trainer.at)


def test_a_healthy_training_passes_with_its_figures() -> None:
    reading = check(Trainer().scrape(40))
    assert (reading.outcome, reading.reason, reading.step) == ("Pass", "Healthy", 6000)
    assert reading.baseline == pytest.approx(20, rel=0.05)
    assert reading.recent == pytest.approx(20, rel=0.05)
    assert reading.rule == "Adaptive on reward by episodes"
    assert reading.message.startswith("reward 20")


def test_a_drop_is_seen_after_a_few_scrapes_with_an_onset_before_it() -> None:
    trainer = Trainer().scrape(40)
    trainer.reward = 4
    readings = [check(trainer.scrape()) for _ in range(9)]
    outcomes = [reading.outcome for reading in readings]
    assert outcomes == sorted(outcomes, key=["Pass", "Suspect", "Fail"].index)
    assert set(outcomes) == {"Pass", "Suspect", "Fail"}
    suspect, reading = readings[outcomes.index("Suspect")], readings[-1]
    assert (suspect.signal, suspect.reason, suspect.onset) == ("RewardDrop", "SuspectedRewardDrop", None)
    assert (reading.signal, reading.reason) == ("RewardDrop", "RewardDrop")
    assert reading.onset is not None
    assert 5000 <= reading.onset <= 6000
    assert reading.recent == pytest.approx(4, rel=0.1)
    assert reading.limit == pytest.approx(10, rel=0.1)
    assert (
        reading.message == "reward 4.114 over 35 episodes, 20.17 at best: 80% of what was learnt is lost (limit 10.09)"
    )


def test_a_spike_of_the_loss_is_a_suspicion_where_returns_are_reported() -> None:
    trainer = Trainer().scrape(60)
    trainer.loss = 6
    assert [check(trainer.scrape()).outcome for _ in range(6)] == ["Pass"] * 5 + ["Suspect"]
    assert (check(trainer).signal, check(trainer).reason) == ("LossSpike", "SuspectedLossSpike")
    assert check(trainer.scrape(60)).outcome != "Fail"


def test_a_spike_of_the_loss_is_proof_where_no_return_is_reported_and_it_lasts() -> None:
    alone = Trainer(reports=("loss",)).scrape(60)
    alone.loss = 6
    suspect = check(alone.scrape(6))
    assert (suspect.outcome, suspect.reason) == ("Suspect", "SuspectedLossSpike")
    assert (suspect.onset, suspect.limit) == (None, None)
    reading = check(alone.scrape(9))
    assert (reading.outcome, reading.reason, reading.samples) == ("Fail", "LossSpike", 6)
    assert reading.onset is not None
    assert 8000 <= reading.onset <= 9000
    assert reading.limit == pytest.approx(1.5, rel=0.05)
    assert reading.message.endswith(f"over 6 updates against 1 before (limit {reading.limit:.4g})")


def test_gauges_stand_in_where_there_are_no_sums() -> None:
    trainer = Trainer(sums=False).scrape(40)
    assert check(trainer).outcome == "Pass"
    trainer.reward = 2
    assert check(trainer.scrape(8)).signal == "RewardDrop"


def test_a_gauge_that_is_not_a_number_until_the_first_episode_has_ended_is_no_divergence() -> None:
    # Given a trainer that shows gauges alone, and the mean of no episodes at first
    trainer = Trainer(sums=False, reward=math.nan).scrape(5)
    assert check(trainer).outcome == "Inconclusive"
    trainer.reward = 20.0
    assert check(trainer.scrape(40)).outcome == "Pass"
    # When it is not a number afterwards, then that is one
    trainer.reward = math.nan
    assert (check(trainer.scrape()).outcome, check(trainer).signal) == ("Fail", "NonFinite")


def test_the_ratio_rule_says_so_at_once() -> None:
    trainer = Trainer().scrape(40)
    trainer.reward = 4
    reading = check(trainer.scrape(), subject(detection={"method": "Ratio"}))
    assert (reading.signal, reading.rule) == ("RewardDrop", "Ratio on reward by episodes")


@pytest.mark.parametrize("name", ["loss", "reward"])
def test_what_is_reported_as_not_finite_is_divergence_unless_it_is_to_be_ignored(name: str) -> None:
    trainer = Trainer().scrape(41)
    setattr(trainer, name, math.nan)
    reading = check(trainer.scrape(3))
    assert (reading.outcome, reading.signal) == ("Fail", "NonFinite")
    assert reading.onset is not None
    assert reading.onset <= 6150
    assert check(trainer, subject(detection={"nanPolicy": "Ignore"})).signal is None


def test_what_is_not_finite_since_before_a_rollback_is_no_second_fault() -> None:
    trainer = Trainer().scrape(41)
    trainer.loss = math.nan
    since = trainer.scrape(3).at
    assert check(trainer.scrape(20), subject(since=since)).outcome != "Fail"


def test_the_answers_that_are_none() -> None:
    failed = interpret(subject(), Answer(failure="Timeout", message="no answer in 5 s"), START)
    assert (failed.outcome, failed.message) == ("QueryFailed", "no answer in 5 s")
    empty = interpret(subject(), Answer(), START)
    assert (empty.outcome, empty.reason) == ("Inconclusive", "NoMetrics")
    assert "r-1-" in empty.message
    own = interpret(subject(attempt=None, **OWN), Answer(), START)
    assert "source.selector" in own.message


def test_too_little_data_says_how_much_of_what() -> None:
    reading = check(Trainer().scrape(4))
    assert (reading.outcome, reading.reason) == ("Inconclusive", "InsufficientData")
    assert reading.message == "reward has 450 of 1100 steps; loss has 300 of 1100 steps"
    assert check(Trainer().scrape(9)).message == "reward has 2 of 6 updates; loss has 3 of 8 updates"


def test_nothing_is_judged_across_a_restart() -> None:
    trainer = Trainer().scrape(40).restart(5850)
    trainer.reward = 4
    for _ in range(7):
        reading = check(trainer.scrape())
        assert (reading.outcome, reading.reason) == ("Inconclusive", "InsufficientData")
    assert check(trainer.scrape(20)).outcome == "Pass"


def test_another_pod_of_the_attempt_begins_anew() -> None:
    first = Trainer().scrape(40)
    second = Trainer(pod="r-1-fghij", at=first.at, reward=4).restart(5850).scrape(5)
    answer = Answer(series=first.series() + second.series())
    assert interpret(subject(), answer, second.at).reason == "InsufficientData"


def test_nothing_from_before_a_rollback_is_judged() -> None:
    trainer = Trainer().scrape(40)
    since = trainer.at
    assert check(trainer, subject(since=since)).message == "no metrics since the rollback yet"
    trainer.reward = 4
    assert check(trainer.scrape(5), subject(since=since)).outcome == "Inconclusive"
    assert check(trainer.scrape(20), subject(since=since)).outcome == "Pass"


def test_a_gap_in_the_scrapes_is_one_sample_and_no_fault() -> None:
    trainer = Trainer().scrape(40).quiet(20).scrape(3)
    assert check(trainer).outcome == "Pass"


def test_what_is_not_scraped_any_more_is_stale() -> None:
    trainer = Trainer().scrape(40)
    reading = interpret(subject(), trainer.answer(), trainer.at + timedelta(minutes=3))
    assert (reading.outcome, reading.reason) == ("Inconclusive", "Stale")
    # The clock of Prometheus may be half a minute off, either way.
    for skew in (-30, 30):
        assert interpret(subject(), trainer.answer(), trainer.at + timedelta(seconds=skew)).outcome == "Pass"


def test_two_trainers_at_once_are_not_judged_but_one_that_is_scraped_twice_is() -> None:
    one, other = Trainer().scrape(40), Trainer(pod="r-1-fghij").scrape(40)
    answer = Answer(series=one.series() + other.series())
    reading = interpret(subject(), answer, one.at)
    assert (reading.outcome, reading.reason) == ("Inconclusive", "InsufficientData")
    assert "two trainers" in reading.message
    twice = Trainer(labels={"job": "again"}).scrape(40)
    assert interpret(subject(), Answer(series=one.series() + twice.series()), one.at).outcome == "Pass"


def test_checkpoints_come_with_the_means_before_them() -> None:
    reading = check(Trainer().scrape(10))
    assert [(saved.step, saved.number) for saved in reading.saved] == [(450, 1), (900, 2), (1350, 3)]
    assert reading.saved[1].reward == pytest.approx(20, rel=0.1)
    assert reading.saved[1].loss == pytest.approx(1, rel=0.1)


def test_a_pod_of_an_earlier_run_that_ends_slowly_has_saved_nothing_of_this_one() -> None:
    former, began = Trainer(pod="r-1-aaaaa").scrape(10), START + 5 * EVERY + timedelta(minutes=2)
    about = dataclasses.replace(subject(since=began), began=began)
    trainer = Trainer(pod="r-1-bbbbb", at=began).scrape(4)
    former.scrape(6)
    both = Answer(series=(*former.series(), *trainer.series()))
    reading = interpret(about, both, trainer.at)
    assert [saved.step for saved in reading.saved] == [450]
    assert reading.step == 600
    alone = interpret(about, former.answer(), former.at)
    assert (alone.reason, alone.saved) == ("NoMetrics", ())


def test_the_question() -> None:
    assert query(subject(attempt=2), START).endswith('namespace="ns",pod=~"r-2-[a-z0-9]+(-head-[a-z0-9]+)?"}[1h]')
    assert query(subject(detection={"interval": "1m"}), START).endswith("[4h]")
    own = query(subject(attempt=None, **OWN), START)
    assert own.endswith(r'namespace="ns",job="a\"b\\"}[1h]')


def test_a_source_that_only_its_namespace_tells_is_in_no_query_with_runs() -> None:
    # Given one whose query is about all pods of a namespace: in one with those of Jobs nobody's series would be found.
    source = {"claimName": "c", "selector": {"namespace": "ns"}}
    of_source = ask(subject(attempt=None, trainingRunRef=None, source=source), START)
    of_run, of_another = ask(subject(), START), ask(subject(attempt=2), START)
    assert of_run.template == of_another.template
    assert of_source.template != of_run.template


def test_there_is_a_question_only_while_something_may_come() -> None:
    about = subject()
    assert schedule(about, START) == EVERY
    assert schedule(subject(attempt=None), START) is None
    assert schedule(subject(attempt=None, **OWN), START) == EVERY
    ended = Subject(about.policy, 1, None, ended=START)
    assert schedule(ended, START + timedelta(seconds=30)) == EVERY
    assert schedule(ended, START + timedelta(minutes=2)) is None
    unanswered = dataclasses.replace(ended, is_unknown=True)
    assert schedule(unanswered, START + timedelta(days=1)) == EVERY
    assert query(unanswered, START + timedelta(minutes=90)).endswith("[2h30m]")


def test_a_training_that_has_ended_is_judged_by_what_it_reported_last_whenever_that_can_be_had() -> None:
    trainer = Trainer().scrape(40)
    ended, later = dataclasses.replace(subject(), ended=trainer.at), trainer.at + timedelta(hours=1)
    assert interpret(subject(), trainer.answer(), later).reason == "Stale"
    assert interpret(ended, trainer.answer(), later).outcome == "Pass"
    trainer.reward = 4
    trainer.scrape(9)
    broken = dataclasses.replace(ended, ended=trainer.at)
    assert interpret(broken, trainer.answer(), later).outcome == "Fail"
    lost = dataclasses.replace(ended, ended=trainer.at + timedelta(minutes=10))
    assert interpret(lost, trainer.answer(), later).reason == "Stale", "it was not scraped for long before its end"
