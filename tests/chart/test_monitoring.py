"""Alerts and dashboards: on metrics that exist, each alert with promtool tests and a runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.conftest import Render
from tools.generate import CHART
from tools.programs import ROOT, debian_program, run

from accord.adapters.routers.envoy import looking
from accord.observability.metrics import OperatorMetrics
from accord_trainer.sdk.metrics_table import METRICS
from tools import dashboards

RULES = CHART / "rules" / "accord.yaml"
TESTS = ROOT / "tests" / "chart" / "rules" / "accord_test.yaml"
RUNBOOKS = ROOT / "docs" / "how-to" / "runbooks.md"
RUNBOOKS_URL = yaml.safe_load((CHART / "values.yaml").read_text())["prometheusRule"]["runbooks"]
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


def used(expression: str) -> set[str]:
    """Names of the time series in an expression: what is no label, function, keyword or text."""
    bare = re.sub(r"\"[^\"]*\"", "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without|ignoring)\s*\([^)]*\)", "", bare)
    names = set(re.findall(r"(?<![\w:$])[a-z][a-z0-9_:]*\b(?!\s*\()", bare))
    return names - {"and", "or", "unless", "by", "on", "offset", "bool"} - recorded()


def recorded() -> set[str]:
    """Names of the series that our rules make."""
    return {rule["record"] for rule in all_rules() if "record" in rule}


def read_from_proxies() -> set[str]:
    """Names of Envoy's series that the operator reads, too, from a real one in tests/envoy."""
    return {f"envoy_cluster_{figure}" for figure in looking._FIGURES} | set(looking._COUNTERS)


def known() -> set[str]:
    return exposed() | reported() | read_from_proxies()


def all_rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in all_rules() if "alert" in rule}


def cases(text: str) -> dict[str, set[str]]:
    """Alert → which of `fires` and `silent` promtool is asked about it alone, in tests that have series."""
    found: dict[str, set[str]] = {}
    for test in yaml.safe_load(text)["tests"]:
        asked = [
            (f'alertname="{each["alertname"]}"', each.get("exp_alerts")) for each in test.get("alert_rule_test", ())
        ]
        asked += [(each["expr"], each["exp_samples"]) for each in test.get("promql_expr_test", ())]
        for expression, expected in asked:
            for name in re.findall(r'alertname="(\w+)"', expression):
                if test["input_series"]:
                    found.setdefault(name, set()).add("fires" if expected else "silent")
    return found


def test_alerts_use_metrics_that_exist() -> None:
    named = set().union(*(used(rule["expr"]) for rule in all_rules()))
    assert {"accord_leader", "accord_condition", "checkpoint_bytes"} <= named <= exposed() | reported()
    mentioned = re.findall(r"\baccord:[a-z:_]+", " ".join(rule["expr"] for rule in all_rules()))
    assert set(mentioned) == recorded()


@pytest.mark.parametrize("alert", ALERTS)
def test_promtool_shows_each_alert_firing_and_silent(alert: str) -> None:
    assert cases(TESTS.read_text()).get(alert) == {"fires", "silent"}


def test_promtool_asks_about_no_alert_that_is_gone() -> None:
    assert cases(TESTS.read_text()).keys() <= ALERTS.keys()


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_how_bad_what_and_about_which_object(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    whole = alert in ("AccordOperatorDown", "AccordReconcileErrors")  # about the operator, not about an object
    assert whole or "{{ $labels.namespace }}" in rule["annotations"]["summary"]
    assert len(rule["annotations"]["summary"]) < 130


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_runbook(alert: str) -> None:
    page, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    assert (page, anchor) == (RUNBOOKS_URL, alert.lower())
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL))
    severity = ALERTS[alert]["labels"]["severity"]
    for part in (f"**What it means** ({severity})", "**What to look at**\n\n```", "**What to do**"):
        assert part in sections[alert]
    assert sections.keys() == ALERTS.keys()


def test_alerts_link_to_where_the_runbooks_are_published(render: Render) -> None:
    rendered = render("everything", prometheusRule__runbooks="https://git.example.com/accord/runbooks.md")
    rules = rendered.one("PrometheusRule")["spec"]["groups"][0]["rules"]
    links = {rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
    assert links == {f"https://git.example.com/accord/runbooks.md#{alert.lower()}" for alert in ALERTS}


def test_an_alert_on_conditions_reads_those_that_a_failed_scrape_does_not_end() -> None:
    assert not [alert for alert, rule in ALERTS.items() if "accord_condition" in rule["expr"]]


def panels(dashboard: Path) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = json.loads(dashboard.read_text())["panels"]
    return shown


def asked(dashboard: Path) -> list[str]:
    """The expressions of a dashboard; its variables are texts and times to Prometheus."""
    shown = json.loads(dashboard.read_text())
    found = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    found += [each["expr"] for each in shown["annotations"]["list"]]
    variables = [each["query"] for each in shown["templating"]["list"] if each["type"] == "query"]
    found += [re.sub(r"^label_values\((.+), \w+\)$", r"\1", query) for query in variables]
    return [expression.replace("$__rate_interval", "5m") for expression in found]


def test_there_is_a_dashboard_for_each_part_of_accord() -> None:
    assert {path.stem for path in DASHBOARDS} == {"traffic", "learning", "checkpoints", "operator"}
    assert {path.name for path in DASHBOARDS} == dashboards.render().keys()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_use_metrics_that_exist(dashboard: Path) -> None:
    for expression in asked(dashboard):
        assert used(expression), expression
        assert used(expression) <= known(), expression


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_use_what_they_choose_from(dashboard: Path) -> None:
    text = " ".join(asked(dashboard))
    chosen = {each["name"] for each in json.loads(dashboard.read_text())["templating"]["list"]} - {"datasource"}
    assert {each[0] or each[1] for each in re.findall(r"\$(?:\{([a-z]\w*)\}|([a-z]\w*))", text)} == chosen


def test_every_metric_of_accord_is_in_an_alert_or_a_dashboard() -> None:
    """Or is read by the operator alone: a metric that nobody looks at is dead weight."""
    shown = set().union(*(used(expression) for path in DASHBOARDS for expression in asked(path)))
    shown |= set().union(*(used(rule["expr"]) for rule in all_rules()))
    families = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in shown}
    own = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in exposed() if not name.startswith("process_")}
    assert own <= families


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_prometheus_can_read_the_expressions_of_dashboards(dashboard: Path, tmp_path: Path) -> None:
    rules = [
        {"record": "x", "expr": expression, "labels": {"number": str(number)}}
        for number, expression in enumerate(asked(dashboard))
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run([debian_program("promtool", "prometheus"), "check", "rules", file])


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_each_panel_says_what_it_shows_and_in_which_unit(dashboard: Path) -> None:
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        names = [target["legendFormat"] for target in panel["targets"]]
        assert panel["type"] == "table" or all(names), panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(names)
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_counters_are_shown_as_rates(dashboard: Path) -> None:
    for expression in asked(dashboard):
        for name in used(expression) - {"checkpoint_rollbacks_total"}:  # it says how many of the maximum are spent
            if name.endswith(("_total", "_bucket")) and not name.startswith("envoy_"):
                assert re.search(rf"(rate|increase|changes)\({name}", expression), expression


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
