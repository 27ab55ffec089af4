"""What one check of a training costs: processor time of the reading, and what Prometheus has to answer.

    PYTHONPATH=.:operator:trainer .venv/bin/python tests/bench/bench_check.py

A trainer of the tests, scraped every 15 s for an hour; it saves every 45 s. Once with what its checkpoints remember,
and once without, as before the first snapshot. Sizes are of the JSON that Prometheus would send. And many such
policies, asked about one by one and together: bytes of query and answer, and processor time, for each of them.
"""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
import time

from tests.unit.checkpoint.detection.test_memory import Watched
from tests.unit.checkpoint.detection.trainer import Trainer, policy, subject

from accord.api.base import parse_duration
from accord.domain.checkpoint.detection import live
from accord.domain.checkpoint.detection.live import interpret, query
from accord.domain.checkpoint.subject import Subject
from accord.domain.samples import Answer, Series

CHECKS = 200
MANY = 90
"""Policies that are asked about together: about as many as the operator does, by the size of their answers."""
KEPT = 20
"""Checkpoints; as `spec.retention.max` has it by default."""


def asked(trainer: Trainer, about: Subject) -> Answer:
    """No more than the question reaches back to."""
    found = re.search(r"\[(\w+)\]$", query(about, trainer.at))
    assert found is not None
    begin = (trainer.at - parse_duration(found[1])).timestamp()
    series = (Series(each.labels, tuple(p for p in each.points if p[0] > begin)) for each in trainer.series())
    return Answer(series=tuple(each for each in series if each.points))


def size(answer: Answer) -> int:
    """Bytes of the answer in the API of Prometheus."""
    result = [
        {"metric": dict(each.labels), "values": [[at, str(value)] for at, value in each.points]}
        for each in answer.series
    ]
    return len(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))


def measure(name: str, trainer: Trainer, about: Subject) -> None:
    """Print one line."""
    answer, spent = asked(trainer, about), []
    for _ in range(CHECKS):
        begin = time.process_time()
        reading = interpret(about, answer, trainer.at)
        spent.append(1000 * (time.process_time() - begin))
    middle, most = statistics.median(spent), statistics.quantiles(spent, n=100)[98]
    print(f"{name}: {reading.outcome}, {size(answer):,} bytes, p50 {middle:.2f} ms, p99 {most:.2f} ms")


def many(trainer: Trainer, about: Subject) -> None:
    """Print two lines: the same policy so many times, each with a run of its own."""
    answer, asks, parts = asked(trainer, about), [], []
    for number in range(MANY):
        other = dataclasses.replace(about, policy=policy(trainingRunRef={"name": f"r{number:02}"}))
        ask = live.ask(other, trainer.at)
        asks.append(ask)
        labels = {"namespace": "ns", "pod": f"{ask.scope.job}-abcde"}
        parts += [Series({**each.labels, **labels}, each.points) for each in answer.series]
    whole, scopes = Answer(series=tuple(parts)), [ask.scope for ask in asks]
    begin = time.process_time()
    apart = asks[0].template.parts(whole, scopes)
    spent = 1000 * (time.process_time() - begin) / MANY
    assert all(len(part.series) == len(answer.series) for part in apart.values())
    alone = sum(len(ask.promql) for ask in asks)
    together = len(asks[0].template.promql(scopes))
    print(f"{MANY} policies one by one: {MANY} queries, each {alone / MANY:.0f} + {size(answer):,} bytes")
    answered = size(whole) / MANY
    print(
        f"{MANY} policies together: 1 query, {together / MANY:.0f} + {answered:,.0f} bytes and {spent:.2f} ms for each"
    )


def main() -> None:
    """Measure and print."""
    watched = Watched(Trainer())
    watched.check(240)
    kept = dataclasses.replace(watched.about, memory=watched.about.memory[-KEPT:])
    measure(f"what {KEPT} checkpoints remember, and what is newer", watched.trainer, kept)
    measure("an hour of samples", watched.trainer, subject())
    many(watched.trainer, kept)


if __name__ == "__main__":
    main()
