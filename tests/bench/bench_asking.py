"""What many TrainingRuns and CheckpointPolicies ask of Prometheus, one by one and together.

    .venv/bin/python -m tests.bench.bench_asking [--runs 500] [--policies 200] [--seconds 60]

Needs `prometheus`. Prometheus, the client, the questions and the samplers are real; there is no API server, and one
exporter speaks for all trainers. Each object is measured every 15 s, the default. Prints one line a figure; exit code 1
where a promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.bench_operator import say
from tests.prometheus.rig import Exporter, Prometheus, Request, answer, prometheus

from accord.adapters.prometheus.endpoint import Endpoint
from accord.adapters.prometheus.metrics import PrometheusMetrics
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.checkpoint.detection import live
from accord.domain.checkpoint.subject import Subject
from accord.domain.plan import ObjectKey
from accord.domain.questions import Custom, Question
from accord.domain.samples import Answer, Shape
from accord.domain.training import names, progress, ratings
from accord.observability.metrics import OperatorMetrics
from accord.ports.clock import SystemClock
from accord.runtime.book import Book, Inquiry
from accord.runtime.sampler import Sampler

NAMESPACES = 10
INTERVAL = 15.0
MOST_QUERIES = 2.0
"""A second, of all together."""


@dataclass
class Trainers(Exporter):
    """One for each run, further on with each scrape."""

    runs: int = 0
    turn: int = 0

    def show(self, request: Request) -> None:
        self.turn += 1
        step = 150 * self.turn
        values = {"training_step": step, "checkpoint_step": step - step % 450, "entropy_coef": 0.01}
        values |= {"learning_rate": 3e-4, "updates_total": step // 450}
        values |= {"loss_sum": step / 20, "loss_count": step // 10}
        values |= {"reward_sum": step * 0.6, "reward_count": step // 30, "reward_sumsq": step * 12.5}
        lines = []
        for number in range(self.runs):
            labels = f'namespace="ns{number % NAMESPACES}",pod="{names.job(f"r{number}", 1)}-abcde"'
            lines += [f"ppo_{name}{{{labels}}} {value}" for name, value in values.items()]
        for number in range(NAMESPACES):
            lines += [f'user_ratings_total{{namespace="ns{number}",rating="{r}"}} {10 * r}' for r in range(1, 6)]
        answer(request, "\n".join([*lines, ""]), kind="text/plain; version=0.0.4")


class Counting:
    """What is asked, and how much comes back. Implements `Metrics`."""

    def __init__(self, url: str) -> None:
        self._metrics = PrometheusMetrics({"default": Endpoint(url, timeout=14)}, OperatorMetrics())
        self.queries = self.sent = self.got = self.failed = 0

    async def query(self, endpoint: str, promql: str, shape: Shape = "vector", author: str | None = None) -> Answer:
        found = await self._metrics.query(endpoint, promql, shape, author)
        self.queries += 1
        self.sent += len(promql)
        self.got += found.size
        self.failed += found.failure is not None
        return found

    def close(self) -> None:
        self._metrics.close()


def run(number: int) -> TrainingRun:
    template = {"spec": {"containers": [{"name": "trainer", "image": "x"}]}}
    meta = {"name": f"r{number}", "namespace": f"ns{number % NAMESPACES}"}
    return TrainingRun.model_validate({"metadata": meta, "spec": {"template": template}, "status": {"attempt": 1}})


def subject(number: int) -> Subject:
    meta = {"name": f"p{number}", "namespace": f"ns{number % NAMESPACES}"}
    spec = {"trainingRunRef": {"name": f"r{number}"}}
    return Subject(CheckpointPolicy.model_validate({"metadata": meta, "spec": spec}), 1)


def one_by_one(question: Question[Any, Any]) -> Question[Any, Any]:
    """The same question, of which none may be asked with another."""

    def ask(about: Any, now: datetime) -> Custom:
        return Custom(question.ask(about, now).promql)

    return replace(question, ask=ask)


async def measure(what: str, url: str, asked: Mapping[Any, Mapping[ObjectKey, Any]], seconds: float) -> float:
    """Queries a second."""
    metrics, samplers, books = Counting(url), [], []
    for question, subjects in asked.items():
        book: Book[Any] = Book()
        books.append(book)
        samplers.append(Sampler(Inquiry(question, subjects.get, book), metrics, lambda _: None, SystemClock()))
        for key in subjects:
            book.want(key)
    tasks = [asyncio.create_task(sampler.run()) for sampler in samplers]
    # The first measurements come together, and the second ones find their places.
    await asyncio.sleep(3 * INTERVAL)
    before = metrics.queries, metrics.sent, metrics.got, metrics.failed
    used, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    queries, sent, got, failed = (
        now - then
        for now, then in zip((metrics.queries, metrics.sent, metrics.got, metrics.failed), before, strict=True)
    )
    cpu = time.process_time() - used
    looks = sum(map(len, asked.values())) * took / INTERVAL
    for task in tasks:
        task.cancel()
    known = sum(map(len, books))
    await asyncio.gather(*tasks, return_exceptions=True)
    metrics.close()
    say(f"{what}: queries a second", f"{queries / took:.2f} ({failed} failed, {known} objects measured)")
    say(f"{what}: bytes for each object measured", f"{sent / looks:.0f} asked, {got / looks:,.0f} answered")
    say(f"{what}: processor", f"{100 * cpu / took:.1f} % of a core, {1000 * cpu / looks:.2f} ms a measurement")
    return queries / took


def objects(kind: str, count: int, make: Any) -> dict[ObjectKey, Any]:
    return {ObjectKey("accord.dev/v1alpha1", kind, f"ns{n % NAMESPACES}", f"o{n}"): make(n) for n in range(count)}


async def compare(server: Prometheus, runs: int, policies: int, seconds: float) -> float:
    """Each kind by itself, one by one and together. Queries a second of all that are asked together."""
    total = 0.0
    made, subjects = objects("TrainingRun", runs, run), objects("CheckpointPolicy", policies, subject)
    for what, asked in (
        (f"{runs} runs", {progress.QUESTION: made, ratings.QUESTION: made}),
        (f"{policies} checkpoint policies", {live.QUESTION: subjects}),
    ):
        alone = {one_by_one(question): about for question, about in asked.items()}
        await measure(f"{what}, one by one", server.url, alone, seconds)
        total += await measure(f"{what}, together", server.url, asked, seconds)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    # What fails is counted.
    logging.getLogger("accord.runtime.sampler").setLevel(logging.ERROR)
    say("machine", f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}")
    trainers = Trainers(runs=max(chosen.runs, chosen.policies))
    with tempfile.TemporaryDirectory() as scratch, prometheus(Path(scratch), trainers, "5s") as server:
        total = asyncio.run(compare(server, chosen.runs, chosen.policies, chosen.seconds))
    return 0 if total <= MOST_QUERIES else 1


if __name__ == "__main__":
    raise SystemExit(main())
