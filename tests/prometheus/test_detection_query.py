"""A check of a training against a real Prometheus that scrapes a trainer: one question, and what the answer says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.prometheus import rig

from accord.adapters.prometheus.endpoint import Endpoint, PrometheusEndpoint
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.domain.checkpoint.detection.live import interpret, query
from accord.domain.checkpoint.reading import Reading
from accord.domain.checkpoint.subject import Subject
from accord.domain.samples import Answer

POLICY = CheckpointPolicy.model_validate(
    {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"trainingRunRef": {"name": "r"}}}
)


class Trainer:
    """Goes on by 200 steps and four episodes with each scrape, as far as it may."""

    def __init__(self) -> None:
        self.step, self.episodes, self.total, self.reward = 0, 0, 0.0, 8.0
        self.hides_reward = False
        self.up_to = math.inf

    def show(self, request: rig.Request) -> None:
        if self.step + 200 <= self.up_to:
            self.step += 200
            for number in range(4):
                self.episodes += 1
                self.total += self.reward * (0.9 + 0.05 * number)
        values = {
            "ppo_training_step": self.step,
            "ppo_checkpoint_step": self.step - self.step % 1000,
            "ppo_reward_sum": self.total,
            "ppo_reward_count": self.episodes,
        }
        if self.hides_reward:
            values = {name: value for name, value in values.items() if "reward" not in name}
        labels = (
            'namespace="ns",pod="r-1-abcde"',
            'namespace="ns",pod="r-2-abcde"',
            'namespace="other",pod="r-1-abcde"',
        )
        lines = [f"{name}{{{labels[0]}}} {value}" for name, value in values.items()]
        lines += [f"ppo_training_step{{{other}}} 7" for other in labels[1:]]
        rig.answer(request, "\n".join(lines) + "\n", kind="text/plain; version=0.0.4")


class World:
    """The trainer, Prometheus, and a policy that watches."""

    def __init__(self, trainer: Trainer, prometheus: rig.Prometheus) -> None:
        self.trainer, self.prometheus = trainer, prometheus
        self.endpoint = PrometheusEndpoint(Endpoint(prometheus.url))
        self.about = Subject(POLICY, 1)

    def ask(self) -> Answer:
        return self.endpoint.query(query(self.about, datetime.now(UTC)), "matrix")

    def check(self) -> Reading:
        return interpret(self.about, self.ask(), datetime.now(UTC))

    def check_until(self, wanted: Callable[[Reading], bool]) -> Reading:
        deadline = time.monotonic() + 300
        while not wanted(reading := self.check()):
            assert time.monotonic() < deadline, reading
            time.sleep(0.2)
        return reading


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    trainer = Trainer()
    with rig.serving(trainer.show) as url:
        prometheus = rig.Prometheus(tmp_path, url.removeprefix("http://"))
        try:
            yield World(trainer, prometheus)
        finally:
            prometheus.stop()


def test_from_no_data_to_a_fault_a_restart_and_an_outage(world: World) -> None:
    # What is soon over waits until it was seen, however slow the machine is.
    world.trainer.up_to = 600
    assert world.check_until(lambda reading: reading.outcome != "QueryFailed").reason in (
        "NoMetrics",
        "InsufficientData",
    )
    # VictoriaMetrics shows what it scraped only seconds later, and then at once enough of it.
    if rig.STORE != "victoria-metrics":
        short = world.check_until(lambda reading: reading.reason != "NoMetrics")
        assert short.reason == "InsufficientData"
        assert " of 1100 steps" in short.message

    world.trainer.up_to = math.inf
    healthy = world.check_until(lambda reading: reading.outcome == "Pass")
    assert healthy.baseline == pytest.approx(7.8, rel=0.01)
    assert healthy.saved[-1].step >= 1000
    [target] = {(series.labels["namespace"], series.labels["pod"]) for series in world.ask().series}
    assert target == ("ns", "r-1-abcde")

    world.trainer.reward = 1.0
    before = world.trainer.step
    wrong = world.check_until(lambda reading: reading.outcome == "Fail")
    assert (wrong.signal, wrong.attempt) == ("RewardDrop", 1)
    assert wrong.onset is not None
    assert wrong.onset <= before

    world.trainer.up_to = 1400
    world.trainer.step, world.trainer.reward = 1000, 1.0
    again = world.check_until(lambda reading: reading.outcome != "Fail")
    assert (again.outcome, again.reason) == ("Inconclusive", "InsufficientData")

    world.trainer.up_to = math.inf
    world.trainer.total = float("nan")
    assert world.check_until(lambda reading: reading.outcome == "Fail").signal == "NonFinite"

    world.prometheus.stop()
    down = world.check()
    assert (down.outcome, down.reason) == ("QueryFailed", "QueryFailed")
    assert down.message


def test_a_reward_that_is_not_shown_for_a_while_is_not_one_that_is_not_a_number(world: World) -> None:
    """VictoriaMetrics returns the end of a series as a NaN in a raw range; of a sum and its count alike."""
    world.check_until(lambda reading: reading.outcome == "Pass")
    seen = []

    def until_steps(more: int) -> None:
        last = world.trainer.step + more
        while world.trainer.step < last:
            seen.append(world.check())
            time.sleep(0.2)

    world.trainer.hides_reward = True
    until_steps(2000)
    world.trainer.hides_reward = False
    until_steps(4000)
    assert all(reading.signal != "NonFinite" for reading in seen)
    points = [value for series in world.ask().series for _, value in series.points]
    assert any(math.isnan(value) for value in points) == (rig.STORE == "victoria-metrics")


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("", 200, "invalid JSON"),
        ('{"status":"error","error":"too many samples"}', 422, "too many samples"),
        ("<html>bad gateway</html>", 502, "HTTP 502"),
        (rig.vector(({}, "1")), 200, "must return a range of samples"),
        ('{"status":"success","data":{"resultType":"matrix","result":[{"metric":{}}]}}', 200, "invalid"),
        ('{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["half"]}', 200, "half"),
    ],
)
def test_every_wrong_answer_is_a_failure_with_words(body: str, status: int, told: str) -> None:
    with rig.serving(lambda request: rig.answer(request, body, status)) as url:
        answer = PrometheusEndpoint(Endpoint(url)).query(query(Subject(POLICY, 1), datetime.now(UTC)), "matrix")
    reading = interpret(Subject(POLICY, 1), answer, datetime.now(UTC))
    assert (reading.outcome, reading.signal) == ("QueryFailed", None)
    assert told in reading.message


def test_one_that_does_not_answer_is_not_waited_for() -> None:
    def hang(_: Any) -> None:
        time.sleep(3)

    with rig.serving(hang) as url:
        answer = PrometheusEndpoint(Endpoint(url, timeout=0.2)).query(
            query(Subject(POLICY, 1), datetime.now(UTC)), "matrix"
        )
    assert answer.failure == "Timeout"
