"""What checkpoints remember: baselines that neither a short reach nor a lost sample takes away."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.checkpoint.detection.trainer import Trainer, subject

from accord.api.base import parse_duration
from accord.domain.checkpoint.detection.live import interpret, query
from accord.domain.checkpoint.detection.memory import Interval, Sums, between, chain, decode
from accord.domain.checkpoint.detection.series import Moment, Segment
from accord.domain.checkpoint.reading import Reading
from accord.domain.checkpoint.subject import Subject
from accord.domain.samples import Answer, Series


def interval(after: int, until: int, since: float, at: float, attempt: int = 1) -> Interval:
    return Interval(after, until, at, since, attempt, {"reward": Sums(10, 80.0, 650.0, 10)})


def asked(trainer: Trainer, about: Subject) -> Reading:
    """A check whose answer holds no more than was asked for."""
    found = re.search(r"\[(\w+)\]$", query(about, trainer.at))
    assert found is not None
    begin = (trainer.at - parse_duration(found[1])).timestamp()
    series = tuple(
        Series(each.labels, tuple(point for point in each.points if point[0] > begin)) for each in trainer.series()
    )
    return interpret(about, Answer(series=tuple(each for each in series if each.points)), trainer.at)


class Watched:
    """A trainer whose checkpoints are kept as soon as a check shows them."""

    def __init__(self, trainer: Trainer, attempt: int = 1, memory: tuple[Interval, ...] = ()) -> None:
        self.trainer, self.about = trainer, dataclasses.replace(subject(attempt=attempt), memory=memory)
        self.kept: set[int] = set()
        self.reaches: list[str] = []

    def check(self, times: int = 1) -> Reading:
        for _ in range(times):
            reading = asked(self.trainer.scrape(), self.about)
            self.reaches.append(query(self.about, self.trainer.at).rpartition("[")[2])
            newest = reading.saved[-1] if reading.saved else None
            if newest is not None and newest.step not in self.kept:
                self.kept.add(newest.step)
                remembered = decode(newest.sums, self.about.attempt or 0)
                # A pod that goes on from a checkpoint shows it as its own at first.
                known = () if remembered is None else (remembered,)
                self.about = dataclasses.replace(self.about, memory=(*self.about.memory, *known))
        return reading


def test_a_short_question_judges_like_a_long_one() -> None:
    watched = Watched(Trainer())
    reading = watched.check(200)
    assert set(watched.reaches[10:]) <= {"6m]", "7m]"}
    assert (reading.outcome, reading.baseline) == ("Pass", pytest.approx(20, rel=0.05))
    watched.trainer.reward = 4
    outcomes = [watched.check().outcome for _ in range(12)]
    assert outcomes == sorted(outcomes, key=["Pass", "Suspect", "Fail"].index)
    assert outcomes[-1] == "Fail"


def test_nothing_is_counted_twice_and_nothing_is_left_out() -> None:
    watched = Watched(Trainer())
    watched.check(100)
    shown = {each.labels["__name__"]: each.points for each in watched.trainer.series()}
    remembered = chain(watched.about.memory, 10**9, -math.inf)
    assert [each.since for each in remembered[1:]] == [each.at for each in remembered[:-1]]
    for name in ("reward", "loss"):
        known = sum(each.series[name].values for each in remembered)
        ends = dict(shown[f"ppo_{name}_count"])
        assert known == ends[remembered[-1].at] - (ends[min(ends)] if name == "reward" else 0)


def test_another_attempt_is_judged_by_what_it_comes_from() -> None:
    first = Watched(Trainer())
    first.check(60)
    target = first.about.memory[-4]
    kept = tuple(each for each in first.about.memory if each.at <= target.at)
    trainer = Trainer(pod="r-2-fghij", at=first.trainer.at).restart(target.until)
    again = Watched(trainer, attempt=2, memory=kept)
    assert again.check(10).outcome == "Pass", "no baseline has to be collected anew"
    trainer.reward = 4
    assert again.check(10).outcome == "Fail"


def test_another_attempt_is_not_judged_by_what_came_after_its_beginning() -> None:
    first = Watched(Trainer(reward=100))
    first.check(60)
    trainer = Trainer(pod="r-2-fghij", at=first.trainer.at).restart(0)
    again = Watched(trainer, attempt=2, memory=first.about.memory)
    assert again.check(4).reason == "InsufficientData"


def test_a_restarted_pod_of_the_attempt_goes_on_from_what_it_had() -> None:
    watched = Watched(Trainer())
    watched.check(60)
    later = Trainer(pod="r-1-fghij", at=watched.trainer.at + timedelta(minutes=2)).restart(
        watched.about.memory[-1].until
    )
    again = Watched(later, memory=watched.about.memory)
    assert again.check(8).outcome == "Pass"


def test_two_that_began_together_are_not_both_counted() -> None:
    found = chain([interval(0, 500, 0, 10), interval(500, 1000, 10, 20), interval(500, 1500, 10, 30)], 9000, 0)
    assert [each.until for each in found] == [500, 1500]
    assert chain([interval(0, 500, 0, 10), interval(500, 1000, 10, 20)], 700, 0) == [interval(0, 500, 0, 10)]
    assert chain([interval(0, 500, 0, 10), interval(500, 1000, 10, 20)], 9000, 5) == [interval(500, 1000, 10, 20)]


def test_an_interval_that_is_not_finite_is_not_remembered() -> None:
    looks = [Moment(10, None, Segment(0, 10, 1, 5.0, 25.0), 1.0), Moment(20, "NotFinite", None, 2.0)]
    assert between(looks, 0.0, 2.0, 1) is None
    assert between(looks[:1], 0.0, 2.0, 1) == Interval(0, 10, 2.0, 0.0, 1, {"reward": Sums(1, 5.0, 25.0, 1)})
    assert between([], 0.0, 2.0, 1) is None


def test_what_is_written_is_read_again() -> None:
    whole = interval(500, 1000, 17e8, 17e8 + 60.5)
    assert decode(whole.encode(), 1) == whole
    assert len(whole.encode()) < 300


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[" * 500,
        '{"after":1,"until":0,"since":0,"at":1}',
        '{"after":0,"until":1,"since":0,"at":NaN}',
        '{"after":0,"until":1,"since":0,"at":1,"reward":[0,0,0,0]}',
        '{"after":0,"until":1,"since":0,"at":1,"reward":[1,Infinity,0,1]}',
        '{"after":0,"until":1,"since":0,"at":1,"reward":[1,2]}',
        '{"after":true,"until":1,"since":0,"at":1}',
        '{"after":0,"until":' + "9" * 1500 + ',"since":0,"at":1}',
        "x" * 5000,
    ],
)
def test_what_somebody_has_written_there_is_not_believed(text: str) -> None:
    assert decode(text, 1) is None


@given(st.recursive(st.none() | st.floats() | st.integers() | st.text(), lambda each: st.lists(each, max_size=4)))
def test_whatever_stands_there_nothing_breaks(found: object) -> None:
    for key in ("after", "until", "since", "at", "reward", "loss"):
        whole = {"after": 0, "until": 1, "since": 0, "at": 1, key: found}
        decode(json.dumps(whole), 1)


def test_without_any_memory_the_question_reaches_far() -> None:
    now = datetime.fromisoformat("2026-05-01T12:00:00Z")
    assert query(subject(), now).endswith("[1h]")
    about = dataclasses.replace(subject(), memory=(interval(0, 1, 0, now.timestamp() - 600),))
    assert query(about, now).endswith("[15m]")
    ratio = dataclasses.replace(subject(detection={"method": "Ratio"}), memory=about.memory)
    assert query(ratio, now).endswith("[1h]")
