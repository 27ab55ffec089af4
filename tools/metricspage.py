"""The reference page of the operator's metrics and of the alerts: the metrics from its registry, the alerts from their
rules.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from prometheus_client import Metric

from accord.observability.metrics import OperatorMetrics
from tools.programs import ROOT

RULES = ROOT / "helm" / "accord" / "rules" / "accord.yaml"


def render() -> str:
    """docs/reference/metrics-and-alerts.md."""
    metrics = OperatorMetrics()
    metrics.show_statuses(lambda: ())
    own = [family for family in metrics.registry.collect() if not family.name.startswith("process_")]
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    return f"""\
<!-- Generated from operator/accord/observability and helm/accord/rules/accord.yaml. Do not edit. -->

# Metrics and alerts

## Metrics of the operator

Each replica serves them on port `http` of the Service `accord-metrics` under `/metrics`. Metrics about objects are
served by the leader only, so aggregate with `max by`, not `sum`. What a status does not contain has no series. Beside
these there are the `process_` metrics of the Prometheus client.

| metric | type | meaning |
| --- | --- | --- |
{"".join(_metric(family) for family in sorted(own, key=lambda each: each.name))}
Those of a trainer: [metrics of a trainer](trainer-metrics.md).

## Alerts

From `helm/accord/rules/accord.yaml`; the chart installs them with `prometheusRule.enabled`. Each links to its
[runbook](../how-to/runbooks.md).

| alert | severity | fires when it lasts | summary |
| --- | --- | --- | --- |
{"".join(_alert(rule) for rule in rules if "alert" in rule)}
## Recording rules

| series | from |
| --- | --- |
{"".join(_recorded(rule) for rule in rules if "record" in rule)}"""


def _metric(family: Metric) -> str:
    suffix = "_total" if family.type == "counter" else ""
    return f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |\n"


def _alert(rule: dict[str, Any]) -> str:
    name = rule["alert"]
    summary = re.sub(r"\{\{ \$(?:labels\.)?(\w+) \}\}", lambda found: found[1].upper(), rule["annotations"]["summary"])
    link = f"[`{name}`](../how-to/runbooks.md#{name.lower()})"
    return f"| {link} | {rule['labels']['severity']} | {rule.get('for', 'at once')} | {summary} |\n"


def _recorded(rule: dict[str, Any]) -> str:
    return f"| `{rule['record']}` | `{rule['expr']}` |\n"
