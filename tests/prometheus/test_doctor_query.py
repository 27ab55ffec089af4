"""What `accord doctor` asks about a trainer, answered by the store that is tested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.prometheus import rig

from accord.cli.doctor.examining import ask_prometheus
from accord_trainer.sdk import Metrics

TRAINER = 'namespace="ns",pod="r-1-abcde"'


@dataclass
class Trainer:
    """It reports the divergence of its updates, but no explained variance."""

    updates: int = 0

    def show(self, request: rig.Request) -> None:
        self.updates += 1
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        metrics.step(500 * self.updates, entropy_coef=0.01, learning_rate=3e-4)
        for _ in range(self.updates):
            metrics.update(approx_kl=0.01)
        shown = generate_latest(registry).decode().splitlines()
        # As if its scrape target had told these labels.
        text = [
            f"{name}{{{TRAINER}}} {value}"
            for name, _, value in (line.partition(" ") for line in shown if "{" not in line and line[0] != "#")
        ]
        rig.answer(request, "\n".join(text) + "\n", kind="text/plain; version=0.0.4")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[rig.Prometheus]:
    with rig.serving(Trainer().show) as url:
        started = rig.Prometheus(tmp_path / "store", url.removeprefix("http://"))
        try:
            started.wait_for('count_over_time(ppo_approx_kl_count{namespace="ns"}[1m]) >= 2')
            yield started
        finally:
            started.stop()


def policy(name: str, run: str = "r", **detection: Any) -> dict[str, Any]:
    spec = {"trainingRunRef": {"name": run}, "detection": detection}
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": spec}


def test_a_signal_is_missed_where_a_policy_enables_it_and_its_trainer_reports_all_but_that(
    store: rig.Prometheus,
) -> None:
    both = {"klSpike": {"enabled": True}, "explainedVarianceDrop": {"enabled": True}}
    by_labels = policy("by-labels", **both)
    del by_labels["spec"]["trainingRunRef"]
    by_labels["spec"]["source"] = {"selector": {"pod": "r-1-abcde"}, "claimName": "c"}
    found = ask_prometheus(
        store.url,
        [],
        [],
        [
            policy("default"),
            policy("divergence", klSpike={"enabled": True}),
            policy("both", **both),
            policy("of-another", run="not-scraped", **both),
            by_labels,
        ],
    )
    said = "not reported: ppo_explained_variance"
    assert found.missing == {"CheckpointPolicy ns/both": said, "CheckpointPolicy ns/by-labels": said}
    assert (found.unread, found.asked) == ({}, 3)
