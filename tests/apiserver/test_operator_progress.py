"""Progress through a real Prometheus, which scrapes a trainer that the test plays."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.apiserver.conftest import StartOperator
from tests.apiserver.rig import Namespace, OperatorProcess, wait_until
from tests.apiserver.test_operator_training import RUNS, create, end, jobs, kubelet, reasons, running, until_ready
from tests.prometheus.rig import Exporter, Request, answer, prometheus, serving

from accord.api.v1alpha1.trainingrun import EntropySchedule, LearningRateSchedule
from accord.domain.training.schedule import value_at


@dataclass
class Trainer(Exporter):
    """The metrics of a trainer that is at some step."""

    namespace: str = ""
    pod: str = ""
    step: int = 0
    learning_rate: float | None = None

    def show(self, request: Request) -> None:
        step = self.step  # once: the test sets it while a scrape is answered
        rate = value_at(LearningRateSchedule(), step) if self.learning_rate is None else self.learning_rate
        values = {
            "training_step": step,
            "entropy_coef": value_at(EntropySchedule(), step),
            "learning_rate": rate,
            "reward_sum": step * 3.5,
            "reward_count": step,
        }
        labels = f'namespace="{self.namespace}",pod="{self.pod}"'
        lines = [f"ppo_{name}{{{labels}}} {value}" for name, value in values.items()] if self.pod else []
        answer(request, "\n".join([*lines, ""]), kind="text/plain; version=0.0.4")


def operator(start_operator: StartOperator, url: str) -> OperatorProcess:
    return start_operator(prometheus={"endpoints": {"default": {"url": url, "timeout": "30s"}}}).ready()


def test_progress_milestones_and_schedule(namespace: Namespace, start_operator: StartOperator, tmp_path: Path) -> None:
    trainer = Trainer(namespace=namespace.name)
    with prometheus(tmp_path, trainer) as server:
        operator(start_operator, server.url)
        create(namespace, monitoring={"interval": "1s"})
        pod = running(namespace)
        trainer.pod, trainer.step = pod["metadata"]["name"], 500

        def at(step: int) -> bool:
            return bool(namespace.get(RUNS, "r")["status"].get("step") == step)

        wait_until(lambda: at(500), 20, "step 500 is not shown")
        trainer.step = 5_000
        began = time.monotonic()
        wait_until(lambda: at(5_000), 20, "step 5000 is not shown")
        print(f"a step is in the status after {time.monotonic() - began:.1f} s (scrape 1 s, interval 1 s)")
        status = namespace.get(RUNS, "r")["status"]
        assert (status["progress"], status["progressBar"]) == (50.0, "█████░░░░░ 50%")
        assert status["entropyCoef"] == pytest.approx(0.0125)
        assert status["learningRate"] == pytest.approx(2e-4)
        assert status["reward"] == pytest.approx(3.5)
        assert [m["percent"] for m in status["milestones"]] == [0, 25, 50]
        wait_until(lambda: namespace.condition("r", "MetricsAvailable", RUNS)["status"] == "True", 5, "not available")
        wait_until(lambda: namespace.condition("r", "OnSchedule", RUNS)["status"] == "True", 5, "not on schedule")
        trainer.learning_rate = 3e-4
        wait_until(
            lambda: namespace.condition("r", "OnSchedule", RUNS).get("reason") == "OffSchedule", 10, "not told on"
        )
        assert namespace.get(RUNS, "r")["status"]["estimatedCompletion"]
        trainer.step, trainer.learning_rate = 10_000, None
        server.wait_for("ppo_training_step == 10000")
        end(namespace, pod, 0)
        trainer.pod = ""
        until_ready(namespace, "True", "Succeeded")
        wait_until(lambda: at(10_000), 10, "the last step is not shown")
        status = namespace.get(RUNS, "r")["status"]
        assert status["progressBar"] == "██████████ 100%"
        assert "estimatedCompletion" not in status
        wait_until(lambda: {"Milestone", "OffSchedule"} <= set(reasons(namespace)), 5, "events are missing")


@dataclass
class Users(Exporter):
    """`user_ratings_total` of two pods of a service."""

    namespace: str = ""
    ratings: dict[int, int] = field(default_factory=dict)

    def show(self, request: Request) -> None:
        lines = [
            f'user_ratings_total{{namespace="{self.namespace}",pod="{pod}",rating="{rating}"}} {count}'
            for rating, count in self.ratings.items()
            for pod in ("a", "b")
        ]
        answer(request, "\n".join([*lines, ""]), kind="text/plain; version=0.0.4")


def test_poor_ratings_suggest_a_patch_that_the_api_server_takes(
    namespace: Namespace, start_operator: StartOperator, tmp_path: Path
) -> None:
    users = Users(namespace=namespace.name, ratings={1: 10, 2: 10, 3: 10, 4: 10, 5: 10})
    with prometheus(tmp_path, users) as server:
        operator(start_operator, server.url)
        create(namespace, monitoring={"interval": "1s"}, ppo={"clipRange": 0.16})
        running(namespace)
        wait_until(
            lambda: namespace.condition("r", "Retuning", RUNS).get("reason") == "Collecting", 20, "ratings are not read"
        )
        users.ratings[5] += 80
        wait_until(lambda: namespace.get(RUNS, "r")["status"].get("suggestions"), 20, "nothing is suggested")
        (found,) = namespace.get(RUNS, "r")["status"]["suggestions"]
        assert (found["rule"], found["suggested"], found["ratings"]) == ("HighMean", 0.12, 160)
        wait_until(lambda: "RetuningSuggested" in reasons(namespace), 5, "no event")
        namespace.patch(RUNS, "r", json.loads(found["patch"]))
        wait_until(lambda: not namespace.get(RUNS, "r")["status"].get("suggestions"), 20, "still suggested")


def test_mode_auto_retunes_by_itself_and_leaves_the_spec_alone(
    namespace: Namespace, start_operator: StartOperator, tmp_path: Path
) -> None:
    users = Users(namespace=namespace.name, ratings={1: 10, 2: 10, 3: 10, 4: 10, 5: 10})
    with prometheus(tmp_path, users) as server:
        operator(start_operator, server.url)
        create(namespace, monitoring={"interval": "1s"}, retuning={"mode": "Auto"})
        running(namespace)
        spec = namespace.get(RUNS, "r")["spec"]
        wait_until(
            lambda: namespace.condition("r", "Retuning", RUNS).get("reason") == "Collecting", 20, "ratings are not read"
        )
        users.ratings[5] += 80
        wait_until(lambda: kubelet(namespace) or list(jobs(namespace)) == ["r-2"], 60, "no attempt with it")
        running(namespace, 2)
        env = jobs(namespace)["r-2"]["spec"]["template"]["spec"]["containers"][0]["env"]
        assert {"name": "PPO_CLIP_RANGE", "value": "0.15"} in env
        assert namespace.get(RUNS, "r")["spec"] == spec
        told = lambda: namespace.condition("r", "Retuning", RUNS)["reason"]  # noqa: E731
        wait_until(lambda: told() == "Applied", 20, "that it was applied is not told")


def test_a_prometheus_that_is_away_stops_nothing(namespace: Namespace, start_operator: StartOperator) -> None:
    with serving(lambda request: answer(request, "boom", 500)) as url:
        operator(start_operator, url)
        create(namespace, monitoring={"interval": "1s"})
        running(namespace)
        wait_until(
            lambda: namespace.condition("r", "MetricsAvailable", RUNS).get("reason") == "QueryFailed", 10, "not said"
        )
        assert namespace.get(RUNS, "r")["status"]["phase"] == "Running"
