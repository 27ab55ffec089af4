"""Alerts and dashboard: on metrics that the operator has, each alert with a promtool test."""

from __future__ import annotations

import json
import re

import yaml
from tests.chart.conftest import Render
from tools.generate import CHART
from tools.programs import ROOT

from accord.observability.metrics import OperatorMetrics

RULES = CHART / "rules" / "accord.yaml"
TESTS = ROOT / "tests" / "chart" / "rules" / "accord_test.yaml"
DASHBOARD = CHART / "dashboards" / "accord.json"


def exposed() -> set[str]:
    """Names of all time series of the operator."""
    names = set()
    for family in OperatorMetrics().registry.collect():
        names.add(family.name)
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def used(text: str) -> set[str]:
    return set(re.findall(r"\b(?:accord|checkpoint)_[a-z_]+", text))


def test_alerts_use_metrics_that_exist() -> None:
    expressions = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert used(" ".join(expressions)) <= exposed()


def test_every_alert_has_a_promtool_test() -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    assert alerts <= set(re.findall(r"Accord[A-Z]\w+", TESTS.read_text()))


def test_dashboard_uses_metrics_that_exist() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert used(" ".join(target["expr"] for panel in panels for target in panel["targets"])) <= exposed()


def test_rules_and_dashboard_reach_the_cluster_unchanged(render: Render) -> None:
    rendered = render("everything")
    assert rendered.one("PrometheusRule")["spec"] == yaml.safe_load(RULES.read_text())
    shown = rendered.one("ConfigMap", "traffic-dashboard")
    assert json.loads(shown["data"]["accord.json"]) == json.loads(DASHBOARD.read_text())
    assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_nothing_of_prometheus_operator_by_default(render: Render) -> None:
    assert not render().kinds() & {"ServiceMonitor", "PrometheusRule"}
