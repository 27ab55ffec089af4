"""Alerts and dashboard: on metrics that the operator has, each alert with a promtool test."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from tests.chart.conftest import Render
from tools.generate import CHART
from tools.programs import ROOT, debian_program, run

from accord.observability.metrics import OperatorMetrics
from accord_trainer.sdk.metrics_table import METRICS

RULES = CHART / "rules" / "accord.yaml"
TESTS = ROOT / "tests" / "chart" / "rules" / "accord_test.yaml"
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))


def exposed() -> set[str]:
    """Names of all time series of the operator."""
    names, metrics = set(), OperatorMetrics()
    metrics.show_statuses(tuple)
    for family in metrics.registry.collect():
        names.add(family.name)
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def reported() -> set[str]:
    """Names of all time series of a trainer."""
    return {metric.name for metric in METRICS}


def used(text: str) -> set[str]:
    return set(re.findall(r"\b(?:accord|checkpoint|ppo)_[a-z_]+", text))


def test_alerts_use_metrics_that_exist() -> None:
    expressions = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert used(" ".join(expressions)) <= exposed()


def test_every_alert_has_a_promtool_test() -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    assert alerts <= set(re.findall(r"Accord[A-Z]\w+", TESTS.read_text()))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_use_metrics_that_exist(dashboard: Path) -> None:
    shown = json.loads(dashboard.read_text())
    expressions = [target["expr"] for panel in shown["panels"] for target in panel["targets"]]
    expressions += [each["query"] for each in shown["templating"]["list"]]
    expressions += [each["expr"] for each in shown.get("annotations", {}).get("list", ())]
    named = used(" ".join(expressions))
    assert named
    assert named <= exposed() | reported()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_prometheus_can_read_the_expressions_of_dashboards(dashboard: Path, tmp_path: Path) -> None:
    panels = json.loads(dashboard.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [
        {"record": "x", "expr": expression.replace("$__rate_interval", "5m"), "labels": {"number": str(number)}}
        for number, expression in enumerate(asked)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run([debian_program("promtool", "prometheus"), "check", "rules", file])


def test_panels_do_not_lie_over_each_other() -> None:
    for dashboard in DASHBOARDS:
        places = [panel["gridPos"] for panel in json.loads(dashboard.read_text())["panels"]]
        cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


def test_rules_and_dashboards_reach_the_cluster_unchanged(render: Render) -> None:
    rendered = render("everything")
    assert rendered.one("PrometheusRule")["spec"] == yaml.safe_load(RULES.read_text())
    shown = rendered.one("ConfigMap", "traffic-dashboard")
    assert shown["data"].keys() == {path.name for path in DASHBOARDS}
    for path in DASHBOARDS:
        assert json.loads(shown["data"][path.name]) == json.loads(path.read_text())
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_nothing_of_prometheus_operator_by_default(render: Render) -> None:
    assert not render().kinds() & {"ServiceMonitor", "PrometheusRule"}
