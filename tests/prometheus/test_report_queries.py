"""What `accord report` asks, answered by the store that is tested and by the real PromQL engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.prometheus import rig
from tests.prometheus.test_progress_query import check

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli.report import questions
from accord.cli.report.facts import Facts, Limits, Line, Queries
from accord.cli.report.lines import lines
from accord.cli.report.reporting import ask, wanted
from accord_trainer.sdk import Metrics, RewardNormalizer

RANGE = timedelta(minutes=10)
MODES = [{"name": name, "weight": 50, "deploymentRef": {"name": name}, "port": 8000} for name in ("fast", "creative")]
POLICY = TrafficPolicy.model_validate({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"modes": MODES}})
TEMPLATE = {"spec": {"containers": [{"name": "trainer", "image": "x"}]}}
RUN = TrainingRun.model_validate(
    {"metadata": {"name": "r", "namespace": "ns"}, "spec": {"template": TEMPLATE}, "status": {"attempt": 2}}
)


@dataclass
class Service:
    """One request in a hundred fails, three of four are in the cache, all take less than half a second."""

    lines: list[str] = field(default_factory=list)
    turn: int = 0

    def show(self, request: rig.Request) -> None:
        self.turn += 1
        labels = 'namespace="ns",mode="fast",pod="fast-1"'
        grown = {
            f'http_requests_total{{{labels},code="200"}}': 99,
            f'http_requests_total{{{labels},code="503"}}': 1,
            # A second count of the same at the router, and another namespace's.
            'http_requests_total{namespace="ns",mode="fast",pod="p-router-5d4-x",code="500"}': 1000,
            'http_requests_total{namespace="other",mode="fast",pod="fast-1",code="500"}': 1000,
            f'http_request_duration_seconds_bucket{{{labels},le="0.1"}}': 0,
            f'http_request_duration_seconds_bucket{{{labels},le="0.5"}}': 100,
            f'http_request_duration_seconds_bucket{{{labels},le="+Inf"}}': 100,
            f"cache_hits_total{{{labels}}}": 75,
            f"cache_misses_total{{{labels}}}": 25,
        }
        trainer = '{namespace="ns",pod="r-2-abcde"}'
        text = [f"{series} {self.turn * step}" for series, step in grown.items()]
        text += [f"reward_normalizer_mean{trainer} 3.5", f"reward_normalizer_std{trainer} 0.8"]
        text += [*rewards(1200), 'reward_normalizer_mean{namespace="ns",pod="r-1-abcde"} 9']
        rig.answer(request, "\n".join(text) + "\n", kind="text/plain; version=0.0.4")


@cache
def rewards(count: int) -> list[str]:
    """Series of so many rewards, as the SDK shows them."""
    registry = CollectorRegistry()
    metrics, normalizer = Metrics(registry), RewardNormalizer()
    for _ in range(count):
        metrics.reward(1.0, normalizer(1.0), normalizer)
    shown = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in shown for sample in family.samples if sample.name.startswith("reward_raw")]
    return [f'{s.name}{{namespace="ns",pod="r-2-abcde",le="{s.labels["le"]}"}} {s.value:g}' for s in samples]


def report(url: str, policies: list[TrafficPolicy], queries: Queries) -> dict[str, Line]:
    """The lines that need Prometheus, by what they are about."""
    answers = ask(url, wanted(policies, [RUN], RANGE, queries))
    facts = Facts("ns", datetime.now(UTC), policies, [RUN], answers=answers, range=RANGE, queries=queries)
    return {line.check: line for line in lines(facts, Limits()) if line.source.startswith("Prometheus")}


@pytest.fixture
def store(tmp_path: Path) -> object:
    service = Service()
    with rig.serving(service.show) as url:
        started = rig.Prometheus(tmp_path / "store", url.removeprefix("http://"))
        try:
            started.wait_for('count_over_time(cache_hits_total{namespace="ns"}[1m]) >= 3')
            yield started
        finally:
            started.stop()


def test_figures_of_a_real_store(store: rig.Prometheus) -> None:
    found = report(store.url, [POLICY], Queries())
    assert (found["error rate"].outcome, found["error rate"].figure) == ("fail", "1.00 %")
    assert (found["latency, 95th percentile"].outcome, found["latency, 95th percentile"].figure) == ("pass", "0.48 s")
    assert (found["cache hit rate"].outcome, found["cache hit rate"].figure) == ("pass", "75.00 %")
    assert (found["normalizer mean"].outcome, found["normalizer mean"].figure) == ("pass", "3.500")
    assert found["normalizer std"].figure == "0.800"
    assert found["normalizer window"].figure == "1000/1000"
    # The operator is not scraped here.
    assert found["uptime"].outcome == "unknown"

    other = POLICY.model_copy(update={"metadata": POLICY.metadata.model_copy(update={"namespace": "silent"})})
    silent = report(store.url, [other], Queries())
    assert {silent[check].outcome for check in ("error rate", "latency, 95th percentile", "cache hit rate")} == {
        "unknown"
    }
    assert "give --cache-query" in silent["cache hit rate"].note

    own = Queries(errors='100 * sum(up{job="app"}) / 400', latency="up", cache='no_such{ns="$namespace",m=~"$modes"}')
    asked = report(store.url, [POLICY], own)
    assert (asked["error rate"].outcome, asked["error rate"].figure) == ("pass", "0.25 %")
    assert asked["latency, 95th percentile"].figure == "1.00 s"
    assert asked["cache hit rate"].note == "the query returned no series"
    broken = report(store.url, [POLICY], Queries(errors="sum("))["error rate"]
    assert (broken.outcome, "parse error" in broken.note) == ("unknown", True)


def test_a_store_that_is_not_there_is_asked_once_and_nothing_is_known() -> None:
    found = report(f"http://127.0.0.1:{rig.free_port()}", [POLICY], Queries())
    assert {line.outcome for line in found.values()} == {"unknown"}
    assert all("refused" in line.note for line in found.values())


def test_uptime_is_that_of_the_time_in_which_the_operator_was_scraped(tmp_path: Path) -> None:
    def condition(reason: str, values: str, status: str = "True") -> dict[str, str]:
        labels = f'kind="TrafficPolicy",namespace="ns",name="p",type="ModesAvailable",status="{status}"'
        return {"series": f'accord_condition{{{labels},reason="{reason}"}}', "values": values}

    query = dict(questions.of_policy(POLICY, RANGE, Queries()))["uptime"]
    story = {
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                # Without ready pods for two minutes, and two minutes of no operator.
                "input_series": [
                    condition("ModesAvailable", "_ 1x8 stale _x3 stale _x3 1x20"),
                    condition("NoModeAvailable", "_x9 1x3 stale", status="False"),
                ],
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": "10m",
                        "exp_samples": [
                            {"labels": '{accord="known"}', "value": 15},
                            {"labels": '{accord="down"}', "value": 4},
                        ],
                    }
                ],
            }
        ],
    }
    check(tmp_path, story)
