"""Runs of the corpus go through a real store; checked live there, and read back by `accord backtest`, they come to the
same.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from tests.prometheus import rig
from tools.programs import ROOT, debian_program

from accord.adapters.prometheus.endpoint import Endpoint, PrometheusEndpoint
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.domain.checkpoint.detection import live
from accord.domain.checkpoint.reading import Reading
from accord.domain.checkpoint.subject import Subject
from accord.domain.plan import ObjectKey
from accord.domain.samples import Answer, Shape
from accord.runtime.asking import Asker, Member

CORPUS = ROOT / "tests/bench/corpus"
RUNS = {
    "healthy": "cartpole/numpy-healthy-2024",
    "weights": "cartpole/sb3-weights-1003",
    "diverged": "invertedpendulum/numpy-nan-1028",
}
"""By the name of the TrainingRun."""
EVERY = timedelta(seconds=15)
CHECKS = 120
"""In all of a run: fewer than the question reaches back, so that live and read back the same is known."""
SAVES = 5
"""Checks between two checkpoints."""


def events(run: str) -> list[dict[str, str]]:
    with gzip.open(CORPUS / f"{RUNS[run]}.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def scrapes(run: str) -> Iterator[dict[str, float]]:
    """What the SDK would have shown at each check."""
    rows = events(run)
    last = int(rows[-1]["step"])
    values: dict[str, float] = {}
    position = 0
    for number in range(1, CHECKS + 1):
        step = last * number // CHECKS
        while position < len(rows) and int(rows[position]["step"]) <= step:
            for name in ("loss", "reward"):
                if rows[position][name]:
                    value = float(rows[position][name])
                    for part, more in (("sum", value), ("count", 1), ("sumsq", value * value)):
                        key = f"ppo_{name}_{part}"
                        values[key] = values.get(key, 0.0) + more
                    if name == "loss":
                        values["ppo_updates_total"] = values.get("ppo_updates_total", 0.0) + 1
            position += 1
        saved = last * (number - number % SAVES) // CHECKS
        yield values | {"ppo_training_step": step, "ppo_checkpoint_step": saved}


def exposition(begin: datetime, *, milliseconds: bool) -> str:
    """All runs, each sample with its time: OpenMetrics, or with times as VictoriaMetrics imports them."""
    found: dict[str, list[str]] = {}
    for run in RUNS:
        for number, values in enumerate(scrapes(run)):
            at = (begin + number * EVERY).timestamp()
            told = f"{at * 1000:.0f}" if milliseconds else f"{at:.3f}"
            for name, value in values.items():
                line = f'{name}{{namespace="ns",pod="{run}-1-abcde"}} {value} {told}'
                found.setdefault(name, []).append(line.replace(" nan ", " NaN ").replace(" inf ", " +Inf "))
    return "\n".join(line for lines in found.values() for line in lines) + "\n"


class Then:
    """A store that holds all runs, and the time that it is asked for. Implements `Metrics`."""

    def __init__(self, url: str, begin: datetime) -> None:
        self.url, self.begin, self.at = url, begin, begin
        self._endpoint = PrometheusEndpoint(Endpoint(url, timeout=30))

    async def query(self, endpoint: str, promql: str, shape: Shape = "vector", author: str | None = None) -> Answer:
        return self._endpoint.query(promql, shape, self.at)


@pytest.fixture(scope="module")
def then(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Then]:
    directory = tmp_path_factory.mktemp("store")
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    begin = end - (CHECKS - 1) * EVERY
    if rig.STORE != "victoria-metrics":
        file = directory / "runs.txt"
        file.write_text(exposition(begin, milliseconds=False) + "# EOF\n")
        promtool = debian_program("promtool", "prometheus")
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", file, directory / "data"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    with rig.serving(rig.Exporter().show) as url:
        store = rig.Prometheus(directory, url.removeprefix("http://"))
        try:
            store.wait_for("up", 60)
            if rig.STORE == "victoria-metrics":
                body = exposition(begin, milliseconds=True)
                with requests.Session() as session:
                    session.trust_env = False
                    session.post(f"{store.url}/api/v1/import/prometheus", body.encode(), timeout=60).raise_for_status()
            whole = f"count_over_time(ppo_training_step[2h] @ {end.timestamp():.0f}) == {CHECKS}"
            store.wait_for(f"count({whole}) == {len(RUNS)}", 60)
            yield Then(store.url, begin)
        finally:
            store.stop()


def policy(run: str, rollback: bool) -> dict[str, Any]:
    return {
        "apiVersion": "accord.dev/v1alpha1",
        "kind": "CheckpointPolicy",
        "metadata": {"name": run, "namespace": "ns"},
        "spec": {
            "trainingRunRef": {"name": run},
            "detection": {"interval": f"{EVERY.seconds}s"},
            "rollback": {"enabled": rollback, "max": 10, "cooldown": "1s"},
        },
    }


async def checked_live(then: Then, rollback: bool) -> dict[str, list[Reading]]:
    """All runs, check by check, each in one query about all of them. After a fault, nothing before it is judged."""
    subjects = {run: Subject(CheckpointPolicy.model_validate(policy(run, rollback)), 1) for run in RUNS}
    told: dict[str, list[Reading]] = {run: [] for run in RUNS}
    asker = Asker(then, live.QUESTION.shape)

    async def deliver(key: ObjectKey, answer: Answer) -> None:
        assert answer.failure is None, answer
        reading = live.QUESTION.interpret(subjects[key.name], answer, then.at)
        told[key.name].append(reading)
        if rollback and reading.outcome == "Fail":
            subjects[key.name] = replace(subjects[key.name], since=then.at)

    for number in range(CHECKS):
        then.at = then.begin + number * EVERY
        asks = {run: live.ask(subject, then.at) for run, subject in subjects.items()}
        [template] = {ask.template for ask in asks.values()}
        members = [Member(ObjectKey("v1", "K", "ns", run), ask.scope) for run, ask in asks.items()]
        await asker.ask("default", template, members, deliver)
    return told


@dataclass
class Told:
    """What came of a run, as `accord backtest --json` says it."""

    checks: int
    rollbacks: list[dict[str, Any]]
    pauses: list[tuple[int, int | None]]


def read_back(then: Then, run: str, rollback: bool, directory: Path) -> Told:
    file = directory / f"{run}.yaml"
    file.write_text(yaml.safe_dump(policy(run, rollback)))
    end = (then.begin + (CHECKS - 1) * EVERY).isoformat()
    command = [sys.executable, "-m", "accord", "backtest", "-f", file, "--prometheus", then.url, "--range", "2h"]
    done = subprocess.run(
        [*command, "--end", end, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout)
    pauses = [(each["from"], each["until"]) for each in whole["pauses"]]
    figures = ("step", "signal", "baseline", "recent", "limit", "share", "message")
    return Told(whole["checks"], [{name: each[name] for name in figures} for each in whole["rollbacks"]], pauses)


def told_live(readings: Sequence[Reading], rollback: bool) -> Told:
    """The same of the checks that were made live."""
    rollbacks: list[dict[str, Any]] = []
    pauses: list[tuple[int, int | None]] = []
    for reading in readings:
        assert reading.step is not None
        fails = rollback and reading.outcome == "Fail"
        is_paused = bool(pauses) and pauses[-1][1] is None
        if fails:
            figures = ("step", "signal", "baseline", "recent", "limit", "share", "message")
            rollbacks.append({name: getattr(reading, name) for name in figures})
        if is_paused and (fails or reading.outcome == "Pass"):
            pauses[-1] = pauses[-1][0], reading.step
        elif not is_paused and not fails and reading.signal is not None:
            pauses.append((reading.step, None))
    return Told(len(readings), rollbacks, pauses)


@pytest.mark.parametrize("rollback", [True, False], ids=["rolled back", "only judged"])
async def test_read_back_a_run_comes_to_what_was_said_live(then: Then, rollback: bool, tmp_path: Path) -> None:
    readings = await checked_live(then, rollback)
    for run, told in readings.items():
        assert read_back(then, run, rollback, tmp_path) == told_live(told, rollback), run
    failed = {run: {each.signal for each in told if each.outcome == "Fail"} for run, told in readings.items()}
    assert not failed["healthy"]
    assert failed["weights"] == {"RewardDrop"}
    assert "NonFinite" in failed["diverged"]
    assert {each.outcome for told in readings.values() for each in told} == {"Inconclusive", "Pass", "Suspect", "Fail"}
