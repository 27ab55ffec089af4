"""The question about a run's progress, evaluated by the real PromQL engine over series that are written down here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml
from tools.programs import debian_program

from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.domain.training.progress import query

TEMPLATE = {"spec": {"containers": [{"name": "trainer", "image": "x"}]}}
RUN = {"metadata": {"name": "r", "namespace": "ns"}, "spec": {"template": TEMPLATE}, "status": {"attempt": 2}}


def series(name: str, values: str, pod: str = "r-2-abcde", namespace: str = "ns") -> dict[str, str]:
    return {"series": f'{name}{{namespace="{namespace}",pod="{pod}"}}', "values": values}


def expected(found: dict[str, float]) -> list[dict[str, object]]:
    def labels(part: str) -> str:
        name = part if part.startswith("ppo") else ""
        return f'{name}{{accord="{part}",namespace="ns",pod="r-2-abcde"}}'

    return [{"labels": labels(part), "value": value} for part, value in found.items()]


def test_everything_comes_in_one_answer_and_outlives_the_pod(tmp_path: Path) -> None:
    promql = query(TrainingRun.model_validate(RUN))
    gauges = {
        "ppo_training_step": 3000,
        "ppo_entropy_coef": 0.0155,
        "ppo_reward_sum": 640,
        "ppo_reward_count": 160,
        "ppo_loss_sum": 10,
        "ppo_loss_count": 100,
    }
    # While it runs; and two minutes after the pod is gone and Prometheus has marked its series stale: what was seen
    # last is known, and when.
    running = gauges | {"reward": 4, "speed": 10, "sampled": 300}
    checks = [{"expr": promql, "eval_time": "5m", "exp_samples": expected(running)}]
    checks.append({"expr": promql, "eval_time": "7m", "exp_samples": expected(running)})
    story = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    series("ppo_training_step", "0+150x20 stale _x10"),
                    series("ppo_entropy_coef", "0.0155x20 stale _x10"),
                    series("ppo_reward_sum", "0+32x20 stale _x10"),
                    series("ppo_reward_count", "0+8x20 stale _x10"),
                    # No update within the window: no mean, rather than 0/0.
                    series("ppo_loss_sum", "10x20 stale _x10"),
                    series("ppo_loss_count", "100x20 stale _x10"),
                    series("ppo_training_step", "7x40", pod="r-1-abcde"),
                    series("ppo_training_step", "8x40", pod="r-2-1-abcde"),
                    series("ppo_training_step", "9x40", namespace="elsewhere"),
                ],
                "promql_expr_test": checks,
            }
        ],
    }
    check(tmp_path, story)


def test_the_first_sample_of_a_pod_has_a_time(tmp_path: Path) -> None:
    found = {"ppo_training_step": 150, "sampled": 2}
    story = {
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [series("ppo_training_step", "_x2 150")],
                "promql_expr_test": [
                    {
                        "expr": query(TrainingRun.model_validate(RUN)),
                        "eval_time": "4s",
                        "exp_samples": expected(found),
                    }
                ],
            }
        ],
    }
    check(tmp_path, story)


def check(directory: Path, story: object) -> None:
    file = directory / "story.yaml"
    file.write_text(yaml.safe_dump(story), encoding="utf-8")
    promtool = debian_program("promtool", "prometheus")
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
