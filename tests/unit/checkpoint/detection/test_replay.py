"""A replay is what was judged live: at any cadence, and from what Prometheus recorded."""

from __future__ import annotations

import math
import random
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.unit.checkpoint.detection.trainer import Trainer, policy, subject

from accord.adapters.prometheus.endpoint import PrometheusEndpoint
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicySpec
from accord.cli.backtest import input as backtest_input
from accord.domain.checkpoint.detection.history import Judgement
from accord.domain.checkpoint.detection.live import interpret
from accord.domain.checkpoint.detection.replay import Pace, Replayed, replay
from accord.domain.checkpoint.detection.rows import Row, lives
from accord.domain.checkpoint.reading import Reading
from accord.domain.samples import Answer, Series

SPEED = 10
"""Steps a second."""


def episodes(level: Callable[[int], float], seed: int) -> list[Row]:
    """Episodes of 20 to 60 steps with noise of a fifth, and an update each 256."""
    chance = random.Random(seed)
    rows, step, update = [], 0, 256
    while step < 30_000:
        step += chance.randint(20, 60)
        while update < step:
            rows.append(Row(update, 1.0 + chance.gauss(0, 0.2), None))
            update += 256
        rows.append(Row(step, None, level(step) * (1 + chance.gauss(0, 0.2))))
    return rows


def growing(step: int) -> float:
    return 20 + min(step, 10_000) / 100


def broken(step: int) -> float:
    return growing(step) if step < 20_000 else 25


def dipping(step: int) -> float:
    return 30 if 15_000 < step < 15_600 else growing(step)


def looked_at(rows: list[Row], seconds: int, **rollback: object) -> Replayed:
    wanted = CheckpointPolicySpec.model_validate({"trainingRunRef": {"name": "r"}, "rollback": rollback})
    pace = Pace(seconds * SPEED, SPEED, range(500, 30_001, 500))
    return replay(wanted, lives(rows, each=False), pace, trace=True)


@pytest.mark.parametrize("level", [growing, broken, dipping])
@pytest.mark.parametrize("seed", range(3))
def test_looks_every_2_s_and_every_15_s_say_the_same_of_the_same_samples(
    level: Callable[[int], float], seed: int
) -> None:
    rows = episodes(level, seed)
    often, rarely = (looked_at(rows, seconds, enabled=False) for seconds in (2, 15))
    said = {look.step: look.judgement for look in often.looks}
    common = [look for look in rarely.looks if look.step in said]
    assert len(common) > 100
    assert [look.judgement for look in common] == [said[look.step] for look in common]


@pytest.mark.parametrize("seed", range(3))
def test_a_fault_is_answered_at_the_first_look_after_it_is_one(seed: int) -> None:
    rows = episodes(broken, seed)
    [often], [rarely] = (looked_at(rows, seconds).rollbacks for seconds in (2, 15))
    # The next look is at the first episode or update that is due.
    assert often.step <= rarely.step <= often.step + 15 * SPEED + 60
    assert often.target == rarely.target


def test_what_ends_at_one_step_is_seen_at_one_look() -> None:
    rows = [Row(step, None, 1.0 + number / 10) for step in range(100, 3000, 100) for number in range(16)]
    result = looked_at(rows, 10)
    assert [look.step for look in result.looks] == list(range(100, 3000, 100))
    assert result.looks[-1].judgement.outcome == "Pass"
    assert looked_at(rows[:33], 10).last == Judgement(
        "Inconclusive", "InsufficientData", "reward has 300 of 1100 steps; loss has 0 of 1100 steps", 300
    )


def test_a_pause_is_ended_by_a_pass_or_a_rollback_and_never_by_missing_data() -> None:
    quiet = looked_at(episodes(dipping, 0), 2, enabled=False)
    assert quiet.pauses
    assert all(pause.begin > 15_000 for pause in quiet.pauses)
    assert {pause.judgement.signal for pause in quiet.pauses} == {"RewardDrop"}
    assert all(pause.end is not None and not pause.rolled_back for pause in quiet.pauses)
    answered = looked_at(episodes(broken, 0), 2)
    assert answered.pauses[-1].rolled_back
    assert answered.pauses[-1].end == answered.rollbacks[0].step
    # A restart in the middle of a pause: nothing is known for a while.
    until = [row for row in episodes(broken, 0) if row.step < 20_800]
    anew = [Row(row.step, row.loss, row.reward) for row in episodes(growing, 1) if 20_000 < row.step < 20_500]
    result = looked_at([*until, *anew], 2, enabled=False)
    assert result.last is not None
    assert result.last.outcome == "Inconclusive"
    assert result.pauses[-1].end is None


def recorded() -> Trainer:
    """A training that is healthy, breaks, mends itself, and diverges."""
    trainer = Trainer().scrape(60)
    trainer.reward = 4
    trainer.scrape(60)
    trainer.reward = 20
    trainer.scrape(60)
    trainer.loss = math.nan
    return trainer.scrape(6)


def until(whole: tuple[Series, ...], at: float) -> Answer:
    """What Prometheus would have answered then."""
    shown = [Series(each.labels, tuple(point for point in each.points if point[0] <= at)) for each in whole]
    return Answer(series=tuple(each for each in shown if each.points))


@pytest.mark.parametrize("enabled", [True, False], ids=["rolled back", "only judged"])
def test_what_prometheus_recorded_of_a_training_gets_the_verdicts_that_were_given_live(
    enabled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollback = {"enabled": enabled, "cooldown": "1s"}
    whole = recorded().series()
    live: list[Reading] = []
    since = None
    for at in [at for at, _ in max(whole, key=lambda each: len(each.points)).points]:
        now = datetime.fromtimestamp(at, UTC)
        reading = interpret(subject(since=since, rollback=rollback), until(whole, at), now)
        if reading.outcome == "Fail" and enabled:
            since = now
        live.append(reading)

    monkeypatch.setattr(PrometheusEndpoint, "query", lambda *_: Answer(series=whole))
    replayed = _backtest(tmp_path, rollback)
    assert [_of(look.judgement) for look in replayed.looks] == [_of(reading) for reading in live]
    assert {reading.outcome for reading in live} == {"Inconclusive", "Pass", "Suspect", "Fail"}
    failed = [reading.step for reading in live if reading.outcome == "Fail"]
    assert [each.step for each in replayed.rollbacks] == (failed if enabled else [])


def _backtest(directory: Path, rollback: dict[str, object]) -> Replayed:
    file = directory / "policy.yaml"
    whole = policy(rollback=rollback).model_dump(by_alias=True, mode="json", exclude_none=True)
    file.write_text(yaml.safe_dump({"apiVersion": "accord.dev/v1alpha1", "kind": "CheckpointPolicy", **whole}))
    args = Namespace(
        filename=[file], name=None, csv=None, prometheus="http://x", range="2h", end=None, every=None, speed=None
    )
    args.save_frequency = None
    given = backtest_input.read(args)
    return replay(given.policy.spec, given.lives, given.pace, trace=True)


def _of(told: Judgement | Reading) -> tuple[object, ...]:
    """What a check says. After a rollback the words for too little data differ: live looks at nothing from before."""
    words = "" if told.outcome == "Inconclusive" else told.message
    figures = (told.baseline, told.recent, told.limit, told.share, told.samples)
    return told.step, told.outcome, told.reason, told.signal, told.rule, told.onset, words, *figures
