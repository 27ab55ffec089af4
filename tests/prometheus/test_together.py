"""Objects that are asked about together are told what each would be told alone, by the store that is tested."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.prometheus import rig

from accord.adapters.prometheus.endpoint import Endpoint, PrometheusEndpoint
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.checkpoint.detection import live
from accord.domain.checkpoint.subject import Subject
from accord.domain.plan import ObjectKey
from accord.domain.questions import Question, Shared
from accord.domain.samples import Answer, Shape
from accord.domain.traffic import distribution
from accord.domain.training import progress, ratings
from accord.runtime.asking import Asker, Member

TEMPLATE = {"spec": {"containers": [{"name": "trainer", "image": "x"}]}}
NAMESPACES = ("a", "b", "c")
RUNS = ("r", "r-1", "q.x", "silent")
# A label value with all that means something in a regular expression or a string.
TRAINERS = ("t0", "t.0", 't"|\\\\0', "it's", "→", "absent")
MODES = ("fast", "slow")


@dataclass
class Everything:
    """Trainers, raters and services, all a little different; each scrape finds them further on."""

    turn: int = 0
    lines: list[str] = field(default_factory=list)

    def show(self, request: rig.Request) -> None:
        self.turn += 1
        self.lines = []
        for number, namespace in enumerate(NAMESPACES, start=1):
            for run in RUNS[:-1]:
                job = progress.names.job(run, number)
                for pod in (f"{job}-abcde", f"{job}-9-abcde"):
                    self.trainer({"namespace": namespace, "pod": pod}, number * len(pod))
            for rating in range(1, 6):
                self.line("user_ratings_total", {"namespace": namespace, "rating": str(rating)}, self.turn * rating)
            for mode in (*MODES, "other"):
                for pod in (f"{mode}-1-a", "shop-router-6f-abcde", "shop2-router-6f-abcde", "shopxrouter-6f-abcde"):
                    labels = {"namespace": namespace, "mode": mode, "pod": pod}
                    self.line("http_requests_total", labels, self.turn * number * len(pod))
        for number, trainer in enumerate(TRAINERS[:-1]):
            self.trainer({"namespace": "a", "trainer": trainer}, number + 1)
        rig.answer(request, "\n".join([*self.lines, ""]), kind="text/plain; version=0.0.4")

    def trainer(self, labels: dict[str, str], pace: int) -> None:
        step = self.turn * 100 * pace
        self.line("ppo_training_step", labels, step)
        self.line("ppo_checkpoint_step", labels, step - step % 500)
        self.line("ppo_entropy_coef", labels, 1 / step)
        for name in ("loss", "reward"):
            self.line(f"ppo_{name}_count", labels, step // 10)
            self.line(f"ppo_{name}_sum", labels, step / 10 * pace)

    def line(self, name: str, labels: dict[str, str], value: float) -> None:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        self.lines.append(f"{name}{{{told}}} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"")


@pytest.fixture(scope="module")
def then(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Then]:
    with rig.serving(Everything().show) as url:
        store = rig.Prometheus(tmp_path_factory.mktemp("store"), url.removeprefix("http://"))
        try:
            store.wait_for("count_over_time(http_requests_total[1m]) >= 8", 60)
            now = time.time()
            # VictoriaMetrics shows what it scraped only seconds later.
            store.wait_for(f"min(timestamp(http_requests_total) or timestamp(ppo_training_step)) > {now + 3}", 60)
            yield Then(store.url, datetime.fromtimestamp(now, UTC))
        finally:
            store.stop()


class Then:
    """The store as of one moment. Implements `Metrics`."""

    def __init__(self, url: str, at: datetime, most_mib: int = 8) -> None:
        self.endpoint, self.at = PrometheusEndpoint(Endpoint(url, timeout=30, most_mib=most_mib)), at
        self.asked: list[str] = []

    async def query(self, endpoint: str, promql: str, shape: Shape = "vector", author: str | None = None) -> Answer:
        self.asked.append(promql)
        return self.endpoint.query(promql, shape, self.at)

    async def together(self, question: Question[Any, Any], subjects: Sequence[Any]) -> list[Any]:
        """What is read of each; all are asked about in one query."""
        keys = [ObjectKey("v1", "K", "ns", f"{number:03}") for number in range(len(subjects))]
        found: dict[ObjectKey, Any] = {}

        async def deliver(key: ObjectKey, answer: Answer) -> None:
            found[key] = question.interpret(subjects[keys.index(key)], answer, self.at)

        asks = [question.ask(subject, self.at) for subject in subjects]
        assert len({ask.template for ask in asks if isinstance(ask, Shared)}) == 1
        members = [Member(key, ask.scope) for key, ask in zip(keys, asks, strict=True) if isinstance(ask, Shared)]
        self.asked.clear()
        await Asker(self, question.shape).ask("default", asks[0].template, members, deliver)
        assert len(self.asked) == 1
        return [found[key] for key in keys]

    async def alone(self, question: Question[Any, Any], subjects: Sequence[Any]) -> list[Any]:
        """The same with a query for each."""
        answers = [await self.query("", question.ask(each, self.at).promql, question.shape) for each in subjects]
        return [question.interpret(each, got, self.at) for each, got in zip(subjects, answers, strict=True)]


def runs() -> list[TrainingRun]:
    return [
        TrainingRun.model_validate(
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"template": TEMPLATE},
                "status": {"attempt": number},
            }
        )
        for number, namespace in enumerate((*NAMESPACES, "empty"), start=1)
        for name in RUNS
    ]


async def test_progress(then: Then) -> None:
    found = await then.together(progress.QUESTION, runs())
    assert found == await then.alone(progress.QUESTION, runs())
    assert [each.outcome for each in found].count("Measured") == len(NAMESPACES) * (len(RUNS) - 1)
    assert len({each.step for each in found}) > 4


async def test_ratings(then: Then) -> None:
    found = await then.together(ratings.QUESTION, runs())
    assert found == await then.alone(ratings.QUESTION, runs())
    assert {each.outcome for each in found} == {"Measured", "NoRatings"}


async def test_checks_of_runs(then: Then) -> None:
    subjects = [
        Subject(
            CheckpointPolicy.model_validate(
                {"metadata": {"name": "p", **_in(run)}, "spec": {"trainingRunRef": {"name": run.metadata.name}}}
            ),
            run.status.attempt,
        )
        for run in runs()
    ]
    found = await then.together(live.QUESTION, subjects)
    assert found == await then.alone(live.QUESTION, subjects)
    assert len({each.step for each in found}) > 4


async def test_checks_of_other_trainings(then: Then) -> None:
    subjects = [
        Subject(
            CheckpointPolicy.model_validate(
                {
                    "metadata": {"name": "p", "namespace": namespace},
                    "spec": {"source": {"claimName": "c", "selector": {"trainer": trainer}}},
                }
            )
        )
        for namespace in NAMESPACES
        for trainer in TRAINERS
    ]
    found = await then.together(live.QUESTION, subjects)
    assert found == await then.alone(live.QUESTION, subjects)
    assert [each.step is not None for each in found] == [True] * 5 + [False] * 13


async def test_traffic(then: Then) -> None:
    policies = [
        TrafficPolicy.model_validate(
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "modes": [
                        {"name": mode, "weight": 100 // len(modes), "deploymentRef": {"name": mode}, "port": 80}
                        for mode in modes
                    ]
                },
            }
        )
        for namespace in (*NAMESPACES, "empty")
        for name, modes in (("shop", MODES), ("shop2", ("fast",)), ("third", ("slow", "new")))
    ]
    found, alone = (
        await then.together(distribution.QUESTION, policies),
        await then.alone(distribution.QUESTION, policies),
    )
    for one, other in zip(found, alone, strict=True):
        assert one.requests == pytest.approx(other.requests)
        assert replace(one, requests={}) == replace(other, requests={})
    assert {each.outcome for each in found} == {"Measured", "NoMetric"}


def _in(run: TrainingRun) -> dict[str, str]:
    return {"namespace": run.metadata.namespace}


class Hog(Everything):
    """Healthy trainers, and one whose pod shows thousands of series of its steps."""

    def show(self, request: rig.Request) -> None:
        self.turn += 1
        self.lines = []
        for run in ("r", "q.x", "r-1", "hog"):
            pod = f"{progress.names.job(run, 1)}-abcde"
            for number in range(4000 if run == "hog" else 1):
                labels = {"namespace": "a", "pod": pod, "shard": str(number)}
                self.line("ppo_training_step", labels, self.turn * 100)
        rig.answer(request, "\n".join([*self.lines, ""]), kind="text/plain; version=0.0.4")


async def test_the_huge_series_of_one_blind_nobody_else(tmp_path: Path) -> None:
    subjects = [each for each in runs() if each.metadata.namespace == "a"][:-1]
    hog = subjects[0].model_copy(update={"metadata": subjects[0].metadata.model_copy(update={"name": "hog"})})
    with rig.serving(Hog().show) as url:
        store = rig.Prometheus(tmp_path, url.removeprefix("http://"))
        try:
            store.wait_for('count_over_time(ppo_training_step{pod="r-1-abcde"}[1m]) >= 2', 60)
            then = Then(store.url, datetime.now(UTC), most_mib=1)
            asker = Asker(then, "vector")
            found: dict[str, progress.Progress] = {}

            async def deliver(key: ObjectKey, answer: Answer) -> None:
                about = next(each for each in (*subjects, hog) if each.metadata.name == key.name)
                found[key.name] = progress.interpret(about, answer, then.at)

            for queries in (5, 2):
                then.asked.clear()
                then.at = datetime.now(UTC)
                asks = {each.metadata.name: progress.ask(each, then.at) for each in (*subjects, hog)}
                members = [Member(ObjectKey("v1", "K", "a", name), ask.scope) for name, ask in asks.items()]
                await asker.ask("default", asks["hog"].template, members, deliver)
                told = {name: each.outcome for name, each in found.items()}
                assert told == {"r": "Measured", "q.x": "Measured", "r-1": "Measured", "hog": "QueryFailed"}
                assert "larger than 1 MiB" in found["hog"].message
                # Then it is asked by itself, and the others are asked together
                assert len(then.asked) <= queries
        finally:
            store.stop()
