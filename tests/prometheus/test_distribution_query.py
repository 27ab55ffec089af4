"""The operator's own query, evaluated by the real PromQL engine (promtool) over series that are written down here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml
from tools.programs import ROOT, debian_program

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic.distribution import query

POLICY: dict[str, Any] = {
    "metadata": {"name": "shop", "namespace": "demo"},
    "spec": {
        "modes": [
            {"name": name, "weight": weight, "deploymentRef": {"name": name}, "port": 8080}
            for name, weight in (("fast", 60), ("balanced", 40))
        ]
    },
}


def series(mode: str, pod: str, values: str, namespace: str = "demo") -> dict[str, str]:
    labels = f'namespace="{namespace}",mode="{mode}",pod="{pod}"'
    return {"series": f"http_requests_total{{{labels}}}", "values": values}


def samples(found: dict[tuple[str, str], float]) -> list[dict[str, object]]:
    return [{"labels": f'{{accord="{part}",mode="{mode}"}}', "value": value} for (part, mode), value in found.items()]


def test_counts_and_ages_come_in_one_answer(tmp_path: Path) -> None:
    promql = query(TrafficPolicy.model_validate(POLICY))
    at_five = {("requests", "fast"): 600, ("requests", "balanced"): 105} | {
        ("sampled", "fast"): 300,
        ("sampled", "balanced"): 150,
    }
    # Ten minutes on, balanced has not been scraped for longer than Prometheus looks back: neither count nor age.
    at_ten = {("requests", "fast"): 600, ("sampled", "fast"): 600}
    checks = [
        {"expr": promql, "eval_time": when, "exp_samples": samples(found)}
        for when, found in (("5m", at_five), ("10m", at_ten))
    ]
    story = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    series("fast", "a", "0+10x40"),
                    series("fast", "b", "0+20x40"),
                    series("balanced", "c", "0+10x10 _x30"),
                    series("other", "d", "0+1x40"),
                    series("fast", "e", "0+9x40", namespace="elsewhere"),
                    # A Prometheus that scrapes every port reads the metrics of one mode or another at the router.
                    series("fast", "shop-router-6fc77ffb97-p6cnk", "0+500x20 7+500x20"),
                ],
                "promql_expr_test": checks,
            }
        ],
    }
    file = tmp_path / "story.yaml"
    file.write_text(yaml.safe_dump(story), encoding="utf-8")
    promtool = debian_program("promtool", "prometheus")
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_probes_and_scrapes_are_left_out_as_the_docs_do_it(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/measure.md").read_text(encoding="utf-8")
    [documented] = [line.split("query: ", 1)[1] for line in page.splitlines() if "handler!~" in line]
    own = {**POLICY, "spec": {**POLICY["spec"], "monitoring": {"query": documented}}}
    handlers = {"/generate": "0+10x40", "/healthz": "0+500x40", "/metrics": "0+70x40", "/readyz": "0+90x40"}
    stories = [
        {
            "series": f'http_requests_total{{namespace="demo",mode="fast",handler="{handler}"}}',
            "values": values,
        }
        for handler, values in handlers.items()
    ]
    check = {
        "expr": query(TrafficPolicy.model_validate(own)),
        "eval_time": "5m",
        "exp_samples": [{"labels": '{mode="fast"}', "value": 200}],
    }
    file = tmp_path / "story.yaml"
    test = {"interval": "15s", "input_series": stories, "promql_expr_test": [check]}
    file.write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]}), encoding="utf-8")
    promtool = debian_program("promtool", "prometheus")
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
