"""Three rules on ratings: what they say, on what evidence, and how rarely chance makes them speak."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from tests.unit.training.test_run_decisions import env
from tests.unit.training.world import NOW, World, condition, run

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.conditions import timestamp
from accord.domain.plan import Plan
from accord.domain.samples import Answer, Sample
from accord.domain.training.ratings import Ratings, interpret, knows_window, query, schedule
from accord.domain.training.retuning import HIGH_MEAN, LOW_MEAN, WIDE_SPREAD, weigh

BELL = (0.05, 0.15, 0.3, 0.35, 0.15)
POOR = (0.3, 0.4, 0.2, 0.1, 0.0)
SPLIT = (0.45, 0.0, 0.0, 0.0, 0.55)
FINE = (0.0, 0.0, 0.1, 0.3, 0.6)


class Rated(World):
    """A world in which users rate."""

    ratings: Ratings | None = None

    def __init__(self, **spec: Any) -> None:
        super().__init__(**spec)
        self.total: dict[str, float] = {}
        self.begun: dict[str, float] = {}
        """The counters when the window began."""

    def gather(self) -> Any:
        return replace(super().gather(), ratings=self.ratings)

    def counted(self, *counts: float) -> Plan:
        """These counters for ratings 1, 2, …"""
        self.total = {str(rating): count for rating, count in enumerate(counts, 1)}
        self.look()
        since = self.since
        plan = self.step()
        if self.since != since:
            self.begun = self.total
        return plan

    @property
    def since(self) -> str | None:
        window = self.status.get("ratings")
        return None if window is None else window["since"]

    def look(self) -> None:
        """Prometheus is asked, as the run is now."""
        self.wait(1)
        assert self.run is not None
        read = TrainingRun.model_validate(self.run)
        before = self.begun if self.since is not None and knows_window(read) else {}
        samples = [sample(rating, count - before.get(rating, 0)) for rating, count in self.total.items()]
        self.ratings = interpret(read, Answer(tuple(samples)), self.now)

    def rate(self, number: int, shares: tuple[float, ...]) -> Plan:
        """So many more ratings, of this distribution."""
        before = self.total
        return self.counted(*(before.get(str(i), 0) + number * share for i, share in enumerate(shares, 1)))

    def advice(self) -> list[tuple[str, str, float]]:
        return [(s["rule"], s["field"], s["suggested"]) for s in self.status["suggestions"]]


def rated(**spec: Any) -> Rated:
    world = Rated(**spec)
    world.settle()
    world.counted(1_000, 1_000, 1_000, 1_000, 1_000)
    assert world.run is not None
    # Half way, so that the schedules have come down.
    world.run["status"]["step"] = 5_000
    return world


def test_what_is_asked() -> None:
    assert query(run(), NOW) == 'sum by (rating) (user_ratings_total{namespace="ns"})'
    own = 'sum by (rating) (increase(stars{ns="$namespace",x="${namespace}"}[$window]))'
    assert query(run(retuning={"query": own}), NOW) == 'sum by (rating) (increase(stars{ns="ns",x="ns"}[5m]))'
    window = {"ratings": {"since": timestamp(NOW - timedelta(seconds=90))}}
    asked = query(run(retuning={"query": own}, status=window), NOW)
    assert asked == 'sum by (rating) (increase(stars{ns="ns",x="ns"}[90000ms]))'
    assert "[90000ms]" in query(run(status=window), NOW)
    old = {"ratings": {"since": timestamp(NOW - timedelta(days=30))}}
    assert "[604800000ms]" in query(run(status=old), NOW), "no more than Prometheus keeps"


def sample(rating: str | None, value: float) -> Sample:
    return Sample({} if rating is None else {"rating": rating}, value, NOW)


@pytest.mark.parametrize(
    ("samples", "outcome", "words"),
    [
        ([], "NoRatings", "namespace ns"),
        ([sample(None, 1)], "QueryFailed", "label rating"),
        ([sample("good", 1)], "QueryFailed", "label rating"),
        ([sample("inf", 1)], "QueryFailed", "label rating"),
        ([sample("1", 1), sample("1", 2)], "QueryFailed", "sum by (rating)"),
        ([sample("1", float("nan"))], "QueryFailed", "nan"),
        ([sample("1", -1)], "QueryFailed", "-1"),
        ([sample(str(n), 1) for n in range(101)], "QueryFailed", "more than 100"),
        ([sample("1", 2), sample("4.5", 3)], "Measured", ""),
    ],
)
def test_every_answer_is_something(samples: list[Sample], outcome: str, words: str) -> None:
    found = interpret(run(), Answer(tuple(samples)), NOW)
    assert found.outcome == outcome
    assert words in found.message


def test_a_failed_query_says_why() -> None:
    assert interpret(run(), Answer(failure="Timeout"), NOW).message == "the query failed: Timeout"


def test_when_ratings_are_read() -> None:
    def at(mode: str = "Suggest", **status: Any) -> timedelta | None:
        return schedule(run(status=status or None, retuning={"mode": mode}), NOW)

    assert at() is None
    assert at(attempt=1) == timedelta(seconds=15)
    assert at("Off", attempt=1) is None
    # A long window is read as a whole each time
    for hours, seconds in ((0.9, 15), (2, 60), (30, 300)):
        window = {"since": timestamp(NOW - timedelta(hours=hours))}
        assert at(attempt=1, ratings=window) == timedelta(seconds=seconds)
    assert at(attempt=1, completionTime=timestamp(NOW)) is None


def test_nothing_is_said_before_there_are_enough_new_ratings() -> None:
    world = rated()
    assert condition(world.decide(), "Retuning")[:2] == ("True", "Collecting")
    world.rate(99, POOR)
    assert (world.advice(), world.status["ratings"]["ratings"]) == ([], 99)
    world.rate(1, POOR)
    assert world.advice() == [("LowMean", "spec.schedules.entropyCoef", 0.02)]


@pytest.mark.parametrize(
    ("shares", "rule", "field", "suggested", "patch"),
    [
        (
            POOR,
            "LowMean",
            "spec.schedules.entropyCoef",
            0.02,
            {"schedules": {"entropyCoef": {"initial": 0.02, "decayStrategy": "Constant"}}},
        ),
        (
            SPLIT,
            "WideSpread",
            "spec.schedules.learningRate",
            1e-4,
            {"schedules": {"learningRate": {"initial": 1e-4, "decayStrategy": "Constant"}}},
        ),
        (FINE, "HighMean", "spec.ppo.clipRange", 0.15, {"ppo": {"clipRange": 0.15}}),
    ],
)
def test_each_rule_with_its_evidence(
    shares: tuple[float, ...], rule: str, field: str, suggested: float, patch: dict[str, Any]
) -> None:
    world = rated()
    plan = world.rate(200, shares)
    (found,) = world.status["suggestions"]
    assert (found["rule"], found["field"], found["suggested"], found["ratings"]) == (rule, field, suggested, 200)
    assert json.loads(found["patch"]) == {"spec": patch}
    judged = found["std"] if rule == "WideSpread" else found["mean"]
    assert found["low"] < judged < found["high"]
    assert condition(plan, "Retuning")[:2] == ("True", "Suggested")
    assert "200 ratings" in condition(plan, "Retuning")[2]
    assert [event.reason for event in plan.events] == ["RetuningSuggested"]
    assert found["patch"] in plan.events[0].note
    writes = world.status_writes
    world.step()
    assert world.status_writes == writes
    # Who applies it is not told again.
    world.edit(**patch)
    world.settle()
    assert world.advice() == []
    assert world.attempt == 2


def test_ordinary_ratings_suggest_nothing() -> None:
    world = rated()
    plan = world.rate(250, BELL)
    assert world.advice() == []
    assert condition(plan, "Retuning")[:2] == ("True", "NothingToSuggest")


def test_a_window_is_judged_twice_and_then_the_next_begins() -> None:
    world = rated()
    world.rate(100, POOR)
    assert world.status["ratings"]["judged"] == 100
    # What comes before the window is full changes nothing.
    world.rate(150, FINE)
    assert [rule for rule, _, _ in world.advice()] == ["LowMean"]
    world.rate(60, FINE)
    assert world.advice() == []
    assert (world.status["ratings"]["ratings"], world.status["ratings"]["judged"]) == (0, 310)
    world.rate(99, FINE)
    assert world.advice() == []
    world.rate(1, FINE)
    assert [rule for rule, _, _ in world.advice()] == ["HighMean"]


def test_bounds_end_every_series_of_suggestions() -> None:
    world = rated(ppo={"clipRange": 0.2})
    clips = []
    for _ in range(10):
        world.rate(300, FINE)
        for _, _, clip in world.advice():
            clips.append(clip)
            world.edit(ppo={"clipRange": clip})
        world.settle()
    assert clips == [0.15, 0.1125, 0.1]
    assert condition(world.decide(), "Retuning")[1] == "NothingToSuggest"


def test_counters_that_fall_begin_a_new_window() -> None:
    """Of a query that knows no window."""
    world = rated(retuning={"query": "sum by (rating) (stars)"})
    world.rate(90, POOR)
    assert world.status["ratings"]["ratings"] == 90
    world.counted(5, 5, 5, 5, 5)
    assert (world.status["ratings"]["ratings"], world.advice()) == (0, [])
    world.rate(100, POOR)
    assert len(world.advice()) == 1


def test_what_was_read_of_an_earlier_window_counts_for_nothing() -> None:
    world = rated()
    world.rate(90, POOR)
    late = world.ratings
    world.rate(210, POOR)
    assert (world.status["ratings"]["ratings"], world.status["ratings"]["judged"]) == (0, 300)
    world.ratings = late
    world.step()
    assert world.status["ratings"]["ratings"] == 0


def test_in_a_window_that_has_begun_no_ratings_are_none_yet() -> None:
    """Prometheus has not scraped since."""
    world = rated(retuning={"mode": "Auto"})
    world.total = {}
    world.look()
    assert condition(world.step(), "Retuning")[:2] == ("True", "Collecting")


def test_what_prometheus_loses_sight_of_is_not_judged_twice() -> None:
    world = rated()
    world.rate(101, POOR)
    told = len(world.events)
    for change in (-1, 1, -2, 2):
        world.rate(change, (0, 1, 0, 0, 0))
    assert (world.status["ratings"]["ratings"], len(world.events)) == (101, told)


@pytest.mark.parametrize("own", [{}, {"query": "sum by (rating) (increase(stars[$window]))"}])
def test_a_query_that_is_changed_within_a_window_makes_no_ratings_of_old_ones(own: dict[str, str]) -> None:
    world = rated(retuning=own)
    world.rate(50, POOR)
    world.edit(retuning={"query": "sum by (rating) (stars)"})
    world.counted(*world.total.values())
    assert world.status["ratings"]["ratings"] == 0
    world.rate(60, POOR)
    assert world.status["ratings"]["ratings"] == 60
    world.edit(retuning=own)
    world.begun = world.total
    world.counted(*world.total.values())
    assert world.advice() == []


@pytest.mark.parametrize("outcome", ["NoRatings", "QueryFailed"])
def test_without_an_answer_what_was_suggested_stands(outcome: Any) -> None:
    world = rated()
    world.rate(100, POOR)
    world.ratings = Ratings(outcome, world.now, "words")
    plan = world.step()
    assert condition(plan, "Retuning") == ("Unknown", outcome, "words")
    assert len(world.advice()) == 1
    world.ratings = None
    assert condition(world.step(), "Retuning") == ("Unknown", outcome, "words")


def test_mode_auto_starts_an_attempt_with_it_once_a_window() -> None:
    world = rated(retuning={"mode": "Auto"})
    plan = world.rate(100, POOR)
    assert condition(plan, "Retuning")[:2] == ("True", "Applied")
    assert [event.reason for event in plan.events] == ["RetuningApplied"]
    assert (world.advice()[0][0], world.status["suggestions"][0]["appliedInAttempt"]) == ("LowMean", 2)
    world.settle()
    assert (world.attempt, world.status["phase"]) == (2, "Running")
    told = env(world.jobs["r-2"])
    assert (told["PPO_ENTROPY_COEF_INITIAL"], told["PPO_ENTROPY_COEF_DECAY_STRATEGY"]) == ("0.02", "Constant")
    assert world.run is not None
    assert "schedules" not in world.run["spec"]
    # The same ratings again, and nothing left to change; what is in force stays.
    for _ in range(5):
        world.rate(300, POOR)
        world.settle()
    assert world.attempt == 2
    assert len(world.advice()) == 1


def test_a_person_who_changes_the_hyperparameters_ends_what_was_applied() -> None:
    world = rated(retuning={"mode": "Auto"})
    world.rate(100, POOR)
    world.settle()
    world.edit(ppo={"epochs": 8})
    world.settle()
    assert (world.attempt, world.advice()) == (3, [])
    assert env(world.jobs["r-3"])["PPO_ENTROPY_COEF_DECAY_STRATEGY"] == "Linear"


@pytest.mark.parametrize("mode", ["Suggest", "Off"])
def test_leaving_mode_auto_goes_back_to_the_spec(mode: str) -> None:
    world = rated(retuning={"mode": "Auto"})
    world.rate(100, POOR)
    world.settle()
    world.edit(retuning={"mode": mode})
    world.settle()
    assert (world.attempt, world.advice()) == (3, [])
    assert env(world.jobs["r-3"])["PPO_ENTROPY_COEF_DECAY_STRATEGY"] == "Linear"


def test_mode_auto_comes_to_an_end() -> None:
    world = rated(retuning={"mode": "Auto"})
    for shares in (POOR, SPLIT, FINE) * 10:
        world.rate(300, shares)
        world.settle()
    assert world.attempt == 6
    told = env(world.jobs["r-6"])
    assert (told["PPO_CLIP_RANGE"], told["PPO_LEARNING_RATE_INITIAL"], told["PPO_ENTROPY_COEF_INITIAL"]) == (
        "0.1",
        "0.0001",
        "0.02",
    )
    assert world.told().count("RetuningApplied") == 5


def test_mode_auto_waits_while_nothing_trains() -> None:
    world = rated(retuning={"mode": "Auto"})
    world.edit(suspend=True)
    world.settle()
    world.rate(300, POOR)
    assert world.advice() == []
    world.edit(suspend=False)
    world.settle()
    world.rate(1, POOR)
    world.settle()
    assert (len(world.advice()), world.attempt) == (1, 2)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_killed_while_it_retunes_it_ends_the_same(writes: int) -> None:
    world = rated(retuning={"mode": "Auto"})
    world.total = {str(i): world.total[str(i)] + 300 * share for i, share in enumerate(POOR, 1)}
    world.look()
    for _ in range(4):
        world.step(writes)
        world.controllers()
    world.settle()
    assert (world.attempt, len(world.advice()), world.made) == (2, 1, ["r-1", "r-2"])


def test_mode_off_says_nothing_and_keeps_nothing() -> None:
    world = rated()
    world.rate(100, POOR)
    world.edit(retuning={"mode": "Off"})
    plan = world.step()
    assert condition(plan, "Retuning") == ("", "", "")
    assert world.status["suggestions"] == []
    assert "ratings" not in world.status


def test_what_was_said_of_a_finished_run_stays() -> None:
    world = rated()
    world.rate(100, POOR)
    world.complete()
    world.settle()
    world.rate(500, FINE)
    assert [rule for rule, _, _ in world.advice()] == ["LowMean"]
    silent = World(retuning={"mode": "Auto"})
    silent.settle()
    silent.complete()
    silent.settle()
    assert condition(silent.decide(), "Retuning")[:2] == ("Unknown", "NotMeasured")


@pytest.mark.parametrize("outcome", ["NoRatings", "QueryFailed"])
def test_a_run_for_which_nobody_asked_for_retuning_says_nothing_about_it(outcome: Any) -> None:
    world = Rated()
    world.settle()
    assert condition(world.decide(), "Retuning") == ("", "", "")
    world.ratings = Ratings(outcome, world.now, "words")
    assert condition(world.step(), "Retuning") == ("", "", "")
    world.complete()
    world.settle()
    assert condition(world.decide(), "Retuning") == ("", "", "")


@pytest.mark.parametrize("asked", [{"mode": "Auto"}, {"query": "sum by (rating) (stars)"}])
def test_a_run_for_which_somebody_asked_says_that_there_are_no_ratings(asked: dict[str, str]) -> None:
    world = Rated(retuning=asked)
    world.settle()
    assert condition(world.decide(), "Retuning")[:2] == ("Unknown", "NotMeasured")
    world.ratings = Ratings("NoRatings", world.now, "words")
    assert condition(world.step(), "Retuning") == ("Unknown", "NoRatings", "words")


def test_a_few_equal_ratings_are_no_certainty() -> None:
    found = weigh({4.0: 10})
    assert (found.mean, found.std) == (4.0, 0.0)
    assert found.mean_interval[0] < 4.0 < found.mean_interval[1]
    assert found.std_interval[0] == 0.0


# --- Chance.

NOISE: dict[str, tuple[float, ...]] = {
    "ordinary": BELL,
    "mean exactly 3.0": (0.1, 0.2, 0.4, 0.2, 0.1),
    "mean exactly 3.0, flat": (0.2, 0.2, 0.2, 0.2, 0.2),
    "mean exactly 3.0, spread exactly 1.5": (0.25625, 0.1, 0.2875, 0.1, 0.25625),
    "mean exactly 3.0, skewed": (0.0, 0.6, 0.0, 0.2, 0.2),
    "mean just below 4.0, skewed": (0.06, 0.09, 0.15, 0.2, 0.5),
    "spread just below 1.5, skewed": (0.165, 0.0, 0.0, 0.0, 0.835),
    "few poor ones": (0.02, 0.03, 0.1, 0.7, 0.15),
}


def truth(shares: tuple[float, ...]) -> tuple[float, float]:
    values = np.arange(1, 6)
    mean = float(values @ shares)
    return mean, float(np.sqrt(((values - mean) ** 2) @ shares))


def speaks(ratings: Mapping[float, float], shares: tuple[float, ...]) -> bool:
    """Whether a rule speaks that has no reason to."""
    found, (mean, std) = weigh(ratings), truth(shares)
    return (
        (found.mean_interval[1] < LOW_MEAN and mean >= LOW_MEAN - 1e-9)
        or (found.mean_interval[0] >= HIGH_MEAN and mean < HIGH_MEAN)
        or (found.std_interval[0] > WIDE_SPREAD and std <= WIDE_SPREAD + 1e-9)
    )


@pytest.mark.parametrize("name", NOISE)
def test_chance_suggests_something_in_less_than_one_window_of_a_hundred(name: str) -> None:
    shares, windows = NOISE[name], 10_000
    chance = np.random.default_rng(20260301)
    first = chance.multinomial(100, shares, windows)
    both = first + chance.multinomial(200, shares, windows)
    false = sum(
        any(speaks({v: float(n) for v, n in enumerate(look, 1) if n}, shares) for look in looks)
        for looks in zip(first.tolist(), both.tolist(), strict=True)
    )
    print(f"{name}: {false / windows:.2%} of {windows} windows")
    assert false / windows < 0.01


@pytest.mark.parametrize(("shares", "least"), [(POOR, 0.99), (SPLIT, 0.99), (FINE, 0.95)])
def test_what_is_plain_is_found_with_the_first_hundred(shares: tuple[float, ...], least: float) -> None:
    chance = np.random.default_rng(7)
    found = 0
    for look in chance.multinomial(100, shares, 1_000).tolist():
        evidence = weigh({v: float(n) for v, n in enumerate(look, 1) if n})
        found += (
            evidence.mean_interval[1] < LOW_MEAN
            or evidence.mean_interval[0] >= HIGH_MEAN
            or evidence.std_interval[0] > WIDE_SPREAD
        )
    assert found / 1_000 >= least
