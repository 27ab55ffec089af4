"""The question about ratings: written series for each case, and a real Prometheus while pods come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.prometheus.rig import Prometheus, Request, answer, serving
from tests.prometheus.test_progress_query import check

from accord.adapters.prometheus.endpoint import Endpoint
from accord.adapters.prometheus.metrics import PrometheusMetrics
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.conditions import timestamp
from accord.domain.training.ratings import interpret, query
from accord.observability.metrics import OperatorMetrics

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEN_MINUTES = timedelta(minutes=10)


def run(since: datetime | None) -> TrainingRun:
    template = {"spec": {"containers": [{"name": "trainer", "image": "x"}]}}
    status = {"attempt": 1, **({"ratings": {"since": timestamp(since)}} if since is not None else {})}
    meta = {"name": "r", "namespace": "ns"}
    return TrainingRun.model_validate({"metadata": meta, "spec": {"template": template}, "status": status})


def pod(name: str, values: str, rating: str = "5", namespace: str = "ns") -> dict[str, str]:
    labels = f'namespace="{namespace}",pod="{name}",rating="{rating}"'
    return {"series": f"user_ratings_total{{{labels}}}", "values": values}


# Every 15 s; the window lasts from minute 5 (the 20th sample) to minute 15 (the 60th).
WELL = pod("whole", "100x20 101+1x39")
CASES = {
    "a pod that was there and stays": ([WELL], 40),
    "a pod that was there and goes": ([pod("old", "1000x20 1001+1x19 stale _x19")], 20),
    "a pod that comes": ([WELL, pod("new", "_x30 2+2x30")], 40 + 62),
    "a pod that comes and goes": ([WELL, pod("new", "_x30 2+2x9 stale _x19")], 40 + 20),
    "a pod that was scraped once": ([WELL, pod("new", "_x30 7 stale _x29")], 40 + 7),
    "pods that are replaced every minute": (
        [WELL, *(pod(f"p-{n}", f"_x{20 + 4 * n + 1} 3+3x3 stale _x60") for n in range(9))],
        40 + 9 * 12,
    ),
    "a scrape that failed as the window began": ([WELL, pod("busy", "500x15 stale _x9 510+1x34")], 40 + 44),
    "a container that was restarted in its pod": ([pod("old", "500x20 501+1x9 2+2x29")], 10 + 60),
    "a container that was restarted as the window began": ([WELL, pod("old", "500x19 _ 3+1x39")], 40 + 40),
    "a pod that went before": ([WELL, pod("gone", "800+1x10 stale _x60")], 40),
    "a pod that nobody rates any more": ([WELL, pod("idle", "900x60")], 40),
    "another namespace": ([WELL, pod("new", "_x30 2+2x30", namespace="other")], 40),
    # Not 1,028: it had counted before, and nobody knows how much. The increase is extrapolated by half an interval.
    "a store that has lost its data": ([pod("whole", "_x32 1000+1x28")], 28.5),
}


@pytest.mark.parametrize("case", CASES)
def test_what_counts_as_new(case: str, tmp_path: Path) -> None:
    series, count = CASES[case]
    promql = query(run(EPOCH + timedelta(minutes=5)), EPOCH + timedelta(minutes=15))
    expected = [{"labels": '{rating="5"}', "value": count}]
    told = {"expr": promql, "eval_time": "15m", "exp_samples": expected}
    check(tmp_path, {"tests": [{"interval": "15s", "input_series": series, "promql_expr_test": [told]}]})


@dataclass
class Service:
    """Pods that count ratings, each in series of its own."""

    pods: dict[str, dict[int, int]] = field(default_factory=dict)

    def show(self, request: Request) -> None:
        lines = ["# TYPE user_ratings_total counter"]
        for name, ratings in self.pods.items():
            for rating, count in ratings.items():
                labels = f'namespace="ns",pod="{name}",rating="{rating}"'
                lines.append(f"user_ratings_total{{{labels}}} {count}")
        answer(request, "\n".join(lines) + "\n", kind="text/plain; version=0.0.4")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def prometheus(service: Service, tmp_path: Path) -> Iterator[Prometheus]:
    with serving(service.show) as url:
        started = Prometheus(tmp_path, url.removeprefix("http://"))
        try:
            yield started
        finally:
            started.stop()


def read(prometheus: Prometheus, since: datetime | None) -> dict[str, float]:
    """As the operator does."""
    metrics = PrometheusMetrics({"default": Endpoint(prometheus.url, 5)}, OperatorMetrics())
    now, subject = datetime.now(UTC), run(since)
    try:
        answered = asyncio.run(metrics.query("default", query(subject, now)))
    finally:
        metrics.close()
    found = interpret(subject, answered, now)
    assert found.outcome == "Measured", found.message
    return dict(found.counts)


def test_ratings_survive_the_pods_that_counted_them(service: Service, prometheus: Prometheus) -> None:
    # Given a pod with a past, and a window that begins
    service.pods["a"] = {1: 500, 5: 1000}
    prometheus.wait_for('count_over_time(user_ratings_total{pod="a",rating="5"}[1m]) >= 4')
    assert read(prometheus, None) == {"1": 500, "5": 1000}
    since = datetime.now(UTC)
    # When it counts some more and is replaced, and so is the next one
    changes: list[tuple[str, dict[int, int]]] = [("a", {1: 500, 5: 1040}), ("b", {5: 30}), ("c", {1: 2, 5: 30})]
    for name, counts in changes:
        service.pods = {name: counts}
        prometheus.wait_for(f'user_ratings_total{{pod="{name}",rating="5"}} == {counts[5]}')
    # Then each of the new ratings is there, and none of the old ones
    assert read(prometheus, since) == {"1": 2, "5": 100}
    # When nobody is left
    service.pods = {}
    prometheus.wait_for("absent(user_ratings_total)")
    assert read(prometheus, since) == {"1": 2, "5": 100}
