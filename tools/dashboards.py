"""The Grafana dashboards of the chart, as code; `tools.generate` writes them and `make check` finds drift.

A dashboard is a list of panels, placed from left to right in rows of 24 columns, as Grafana counts them. Expressions
are checked by tests/chart/test_monitoring.py: each metric exists, and Prometheus can read each.

Written by hand and not with grafana-foundation-sdk: its newest release is for Grafana 11 and builds the same JSON, and
reads no expression back.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

Json = dict[str, Any]

_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH = 24
_SCHEMA = 39
"""Version of the dashboard's form, which Grafana 11 and later read and migrate."""

Kind = Literal["timeseries", "stat", "table"]


class Query(NamedTuple):
    """An expression, and the name of each of its series."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """A picture. `unit` is one of Grafana's; `dashed` names series (a regular expression) to compare with."""

    title: str
    description: str
    unit: str
    width: int
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    height: int = 8
    least: float | None = None
    most: float | None = None
    decimals: int | None = None
    dashed: str | None = None


class Choice(NamedTuple):
    """A variable of a dashboard: the values of a label."""

    name: str
    query: str


class Dashboard(NamedTuple):
    """A page of panels."""

    name: str
    title: str
    choices: tuple[Choice, ...]
    panels: tuple[Panel, ...]
    rollbacks: bool = False
    """Whether rollbacks are marked in all panels."""


def render() -> dict[str, str]:
    """File name → JSON."""
    return {f"{each.name}.json": json.dumps(_dashboard(each), indent=2) + "\n" for each in DASHBOARDS}


def _dashboard(page: Dashboard) -> Json:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "title": f"Accord: {page.title}",
        "uid": f"accord-{page.name}",
        "tags": ["accord"],
        "timezone": "browser",
        "schemaVersion": _SCHEMA,
        "version": 1,
        "refresh": "30s",
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        # From one dashboard to the others, with what is chosen
        "links": [{"type": "dashboards", "title": "Accord", "tags": ["accord"], "keepTime": True, "includeVars": True}],
        "templating": {"list": [source, *(_choice(choice) for choice in page.choices)]},
        "annotations": {"list": [_ROLLBACKS] if page.rollbacks else []},
        "panels": _placed(page.panels),
    }


_ROLLBACKS: Json = {
    "name": "rollbacks",
    "datasource": _SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'changes(checkpoint_rollbacks_total{namespace="$namespace"}[1m]) > 0',
    "titleFormat": "rollback of {{policy}}",
}


def _choice(choice: Choice) -> Json:
    return {
        "name": choice.name,
        "type": "query",
        "datasource": _SOURCE,
        "query": choice.query,
        "refresh": 2,
        "sort": 1,
    }


def _placed(panels: tuple[Panel, ...]) -> list[Json]:
    """From left to right, and in a new row where a panel does not fit any more. A row is as high as its highest."""
    placed: list[Json] = []
    x = y = highest = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > _WIDTH:
            x, y, highest = 0, y + highest, 0
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": panel.height}))
        x, highest = x + panel.width, max(highest, panel.height)
    return placed


def _panel(number: int, panel: Panel, place: Json) -> Json:
    at_once = {} if panel.kind == "timeseries" else {"instant": True, "range": False}
    table = {"format": "table"} if panel.kind == "table" else {}
    bounds = {"min": panel.least, "max": panel.most, "decimals": panel.decimals}
    targets = [
        {"datasource": _SOURCE, "expr": query.expr, "legendFormat": query.legend, "refId": chr(ord("A") + index)}
        | at_once
        | table
        for index, query in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, **{name: bound for name, bound in bounds.items() if bound is not None}},
            "overrides": [_dashed(panel.dashed)] if panel.dashed else [],
        },
        "options": _OPTIONS[panel.kind],
        **({"transformations": _TIDY} if panel.kind == "table" else {}),
    }


def _dashed(series: str) -> Json:
    style = {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}}
    return {"matcher": {"id": "byRegexp", "options": series}, "properties": [style]}


_OPTIONS: dict[Kind, Json] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none", "textMode": "value_and_name"},
    "table": {"showHeader": True},
}
_TIDY: list[Json] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}}]

# --- what is shown

_SHARE: dict[str, Any] = {"unit": "percentunit", "least": 0, "most": 1}
_POLICY = 'namespace="$namespace",policy="$policy"'
_PROXIES = 'namespace="$namespace",pod=~"$policy-router-.+"'
# The cluster that the route names counts each request once, by what the client gets in the end. Its name is route/MODE.
_ROUTED = f'{_PROXIES},envoy_cluster_name=~"route/.+"'
_BY_MODE = 'label_replace(sum by (envoy_cluster_name) ({}), "mode", "$1", "envoy_cluster_name", "route/(.+)")'
_RUN = 'namespace="$namespace",run="$run"'
# Pods of a Job: its run, its attempt, five characters. Long names of runs are shortened; choose the pods by hand then.
_PODS = 'namespace="$namespace",pod=~"${run}-[0-9]+-.+"'
_MEANS = "delta(ppo_{0}_sum{{{1}}}[$__rate_interval]) / (delta(ppo_{0}_count{{{1}}}[$__rate_interval]) > 0)"
_SPREAD = (
    "sqrt(clamp_min(delta(ppo_{0}_sumsq{{{1}}}[$__rate_interval]) / (delta(ppo_{0}_count{{{1}}}[$__rate_interval]) > 0)"
    " - (delta(ppo_{0}_sum{{{1}}}[$__rate_interval]) / (delta(ppo_{0}_count{{{1}}}[$__rate_interval]) > 0)) ^ 2, 0))"
)
_SECONDS = "histogram_quantile({}, sum by (le{}) (rate({}_bucket[$__rate_interval])))"
_NAMESPACE = "label_values({}, namespace)"


def _routed(metric: str, more: str = "") -> str:
    return _BY_MODE.format(f"rate({metric}{{{_ROUTED}{more}}}[$__rate_interval])")


def _not_well(kinds: str, name: str = ".+") -> tuple[Query, ...]:
    """Conditions of objects that somebody should look at; none when all is well."""
    of = f'namespace="$namespace",kind=~"{kinds}",name=~"{name}"'
    return (
        Query(f'max by (kind, name, type, reason) (accord_condition{{{of},status="True",type=~"Stalled|Failed"}})'),
        Query(
            f'max by (kind, name, type, reason) (accord_condition{{{of},status="False",'
            'type!~"Reconciling|Stalled|Failed|Complete|Suspended|RolledBack"})'
        ),
    )


_TRAFFIC = Dashboard(
    "traffic",
    "traffic",
    (
        Choice("namespace", _NAMESPACE.format("accord_traffic_target_ratio")),
        Choice("policy", 'label_values(accord_traffic_target_ratio{namespace="$namespace"}, policy)'),
    ),
    (
        Panel(
            "Actual share per mode",
            "Measured over the policy's window, beside the share in the spec (dashed). Gaps: no traffic, or Prometheus "
            "was unreachable.",
            width=16,
            height=9,
            queries=(
                Query(f"max by (mode) (accord_traffic_actual_ratio{{{_POLICY}}})", "{{mode}}"),
                Query(f"max by (mode) (accord_traffic_target_ratio{{{_POLICY}}})", "{{mode}} target"),
            ),
            dashed=".+ target",
            **_SHARE,
        ),
        Panel(
            "Deviation per mode",
            "Actual minus target. The policy's alert also rules out chance.",
            "percentunit",
            8,
            (
                Query(
                    f"max by (mode) (accord_traffic_actual_ratio{{{_POLICY}}}) "
                    f"- max by (mode) (accord_traffic_target_ratio{{{_POLICY}}})",
                    "{{mode}}",
                ),
            ),
            height=9,
        ),
        Panel(
            "Share that the router is set to",
            "After fallback from modes without ready pods.",
            width=8,
            queries=(Query(f"max by (mode) (accord_traffic_effective_ratio{{{_POLICY}}})", "{{mode}}"),),
            **_SHARE,
        ),
        Panel(
            "Downshifts",
            "1 while a circuit breaker keeps traffic away from the mode.",
            "short",
            8,
            (
                Query(f"max by (mode) (accord_downshift_active{{{_POLICY}}})", "{{mode}}"),
                Query(
                    f"sum by (from) (max by (from, to) (increase(accord_downshifts_total{{{_POLICY}}}[1h])))",
                    "{{from}}, per hour",
                ),
            ),
            least=0,
        ),
        Panel(
            "Requests per second",
            "As the proxies count them, by the mode that the route names. Requires a scrape of the router's pods.",
            "reqps",
            8,
            (Query(_routed("envoy_cluster_upstream_rq_completed"), "{{mode}}"),),
            least=0,
        ),
        Panel(
            "Server errors",
            "Share of a mode's requests that clients got a 5xx for.",
            width=8,
            queries=(
                Query(
                    _routed("envoy_cluster_upstream_rq_xx", ',envoy_response_code_class="5"')
                    + " / ("
                    + _routed("envoy_cluster_upstream_rq_completed")
                    + " > 0)",
                    "{{mode}}",
                ),
            ),
            **_SHARE,
        ),
        Panel(
            "Retries per second",
            "Requests that a pod failed and that were tried with another one.",
            "reqps",
            8,
            (Query(_routed("envoy_cluster_upstream_rq_retry"), "{{mode}}"),),
            least=0,
        ),
        Panel(
            "Pods that get requests",
            "The lowest count of all proxies, by mode: health checks passed and not ejected.",
            "short",
            8,
            (
                Query(
                    "min by (envoy_cluster_name) (envoy_cluster_membership_healthy{"
                    f'{_PROXIES},envoy_cluster_name!~".+/.+|accord-xds"}})',
                    "{{envoy_cluster_name}}",
                ),
            ),
            least=0,
            decimals=0,
        ),
        Panel(
            "Conditions to look at",
            "Empty when all is well.",
            "short",
            8,
            _not_well("TrafficPolicy", "$policy"),
            kind="table",
        ),
    ),
)

_TRAINING = Dashboard(
    "learning",
    "training",
    (
        Choice("namespace", _NAMESPACE.format("accord_training_total_steps")),
        Choice("run", 'label_values(accord_training_total_steps{namespace="$namespace"}, run)'),
    ),
    (
        Panel(
            "Reward",
            "Mean return of the episodes that ended within the interval, by pod: another attempt is another pod.",
            "short",
            12,
            (Query(_MEANS.format("reward", _PODS), "{{pod}}"),),
            height=9,
        ),
        Panel(
            "Loss",
            "Mean loss of the minibatches within the interval. It may rise in the best of health: value losses grow "
            "with the returns.",
            "short",
            12,
            (Query(_MEANS.format("loss", _PODS), "{{pod}}"),),
            height=9,
        ),
        Panel(
            "Approximate KL divergence",
            "Between the policies before and after an update, mean of the updates within the interval. Healthy updates "
            "have 0.001 to 0.05. Empty where a trainer does not report it.",
            "short",
            12,
            (Query(_MEANS.format("approx_kl", _PODS), "{{pod}}"),),
            least=0,
        ),
        Panel(
            "Explained variance",
            "What the value function explains of the returns, mean of the updates within the interval: 1 at best; at "
            "0 or less it predicts no better than their mean. Empty where a trainer does not report it.",
            "short",
            12,
            (Query(_MEANS.format("explained_variance", _PODS), "{{pod}}"),),
            most=1,
        ),
        Panel(
            "Entropy coefficient",
            "As the trainer reports it, beside its schedule at the same step (dashed).",
            "short",
            8,
            (
                Query(f"max by (run) (accord_training_entropy_coef{{{_RUN}}})", "reported"),
                Query(f"max by (run) (accord_training_entropy_coef_scheduled{{{_RUN}}})", "scheduled"),
            ),
            dashed="scheduled",
        ),
        Panel(
            "Learning rate",
            "As the trainer reports it, beside its schedule at the same step (dashed).",
            "sci",
            8,
            (
                Query(f"max by (run) (accord_training_learning_rate{{{_RUN}}})", "reported"),
                Query(f"max by (run) (accord_training_learning_rate_scheduled{{{_RUN}}})", "scheduled"),
            ),
            dashed="scheduled",
        ),
        Panel(
            "Progress",
            "Share of spec.totalSteps that is trained.",
            width=8,
            queries=(
                Query(
                    f"max by (run) (accord_training_step{{{_RUN}}}) "
                    f"/ max by (run) (accord_training_total_steps{{{_RUN}}})",
                    "{{run}}",
                ),
            ),
            **_SHARE,
        ),
        Panel(
            "Step trained, and step saved",
            "By pod. After a rollback the next attempt begins at an earlier step.",
            "short",
            8,
            (
                Query(f"ppo_training_step{{{_PODS}}}", "{{pod}} trained"),
                Query(f"ppo_checkpoint_step{{{_PODS}}}", "{{pod}} saved"),
            ),
            dashed=".+ saved",
            decimals=0,
        ),
        Panel(
            "Reward normalizer",
            "Mean and standard deviation that rewards are normalized with.",
            "short",
            8,
            (
                Query(f"reward_normalizer_mean{{{_PODS}}}", "{{pod}} mean"),
                Query(f"reward_normalizer_std{{{_PODS}}}", "{{pod}} std"),
            ),
        ),
        Panel(
            "Spread of the returns",
            "Standard deviation of the returns of the episodes that ended within the interval.",
            "short",
            8,
            (Query(_SPREAD.format("reward", _PODS), "{{pod}}"),),
            least=0,
        ),
        Panel(
            "Updates per minute",
            "Updates of the policy.",
            "short",
            8,
            (Query(f"60 * rate(ppo_updates_total{{{_PODS}}}[$__rate_interval])", "{{pod}}"),),
            least=0,
        ),
        Panel(
            "Conditions to look at",
            "Empty when all is well.",
            "short",
            16,
            _not_well("TrainingRun", "$run"),
            kind="table",
        ),
    ),
    rollbacks=True,
)

_CHECKPOINTS = Dashboard(
    "checkpoints",
    "checkpoints",
    (
        Choice("namespace", _NAMESPACE.format("checkpoint_rollbacks_total")),
        Choice("policy", 'label_values(checkpoint_rollbacks_total{namespace="$namespace"}, policy)'),
    ),
    (
        Panel(
            "Served, newest and best checkpoint",
            "By training step. What is served falls at a rollback.",
            "short",
            16,
            (
                Query(f"max by (policy) (checkpoint_served_step{{{_POLICY}}})", "served"),
                Query(f"max by (policy) (checkpoint_latest_step{{{_POLICY}}})", "newest verified"),
                Query(f"max by (policy) (checkpoint_best_step{{{_POLICY}}})", "best"),
            ),
            height=9,
            decimals=0,
            dashed="best",
        ),
        Panel(
            "Checkpoints by state",
            "Usable: ready and verified. Quarantined: excluded from serving.",
            "short",
            8,
            (Query(f"max by (state) (checkpoint_kept{{{_POLICY}}})", "{{state}}"),),
            height=9,
            least=0,
            decimals=0,
        ),
        Panel(
            "Rollbacks of this training",
            "Completed, and left before a rollback waits for approval.",
            "short",
            8,
            (
                Query(f"max by (policy) (checkpoint_rollbacks_total{{{_POLICY}}})", "completed"),
                Query(f"min by (policy) (checkpoint_rollbacks_left{{{_POLICY}}})", "left"),
            ),
            kind="stat",
            decimals=0,
        ),
        Panel(
            "Health of the training",
            "1 for the status of condition Healthy: True, False, or Unknown while there is not enough data or a "
            "check is in doubt.",
            "short",
            8,
            (
                Query(
                    'max by (status, reason) (accord_condition{kind="CheckpointPolicy",'
                    'namespace="$namespace",name="$policy",type="Healthy"})',
                    "{{status}}: {{reason}}",
                ),
            ),
            least=0,
            most=1,
        ),
        Panel(
            "Conditions to look at",
            "Empty when all is well.",
            "short",
            8,
            _not_well("CheckpointPolicy", "$policy"),
            kind="table",
        ),
        Panel(
            "Saves per hour",
            "Checkpoints committed by each trainer of the namespace.",
            "short",
            8,
            (Query('3600 * rate(checkpoint_saves_total{namespace="$namespace"}[$__rate_interval])', "{{pod}}"),),
            least=0,
        ),
        Panel(
            "Best mean return between two saves",
            "By trainer of the namespace.",
            "short",
            8,
            (Query('best_model_reward{namespace="$namespace"}', "{{pod}}"),),
        ),
        Panel(
            "Free space on the volumes of checkpoints",
            "After the last save, beside the size of one checkpoint (dashed).",
            "bytes",
            8,
            (
                Query('checkpoint_volume_free_bytes{namespace="$namespace"}', "{{pod}} free"),
                Query('checkpoint_bytes{namespace="$namespace"}', "{{pod}} one checkpoint"),
            ),
            least=0,
            dashed=".+ one checkpoint",
        ),
    ),
    rollbacks=True,
)

_OPERATOR = Dashboard(
    "operator",
    "operator",
    (),
    (
        Panel("Leader", "1 in the replica that writes.", "short", 8, (Query("accord_leader", "{{instance}}"),), most=1),
        Panel(
            "Watches are synced",
            "1 once a replica has listed all that it watches.",
            "short",
            8,
            (Query("accord_synced", "{{instance}}"),),
            most=1,
        ),
        Panel(
            "Objects that are not Ready",
            "Number of objects by kind.",
            "short",
            8,
            (
                Query(
                    'count by (kind) (max by (kind, namespace, name) (accord_condition{type="Ready",status!="True"}))',
                    "{{kind}}",
                ),
            ),
            least=0,
            decimals=0,
        ),
        Panel(
            "Duration of a reconciliation",
            "Median and 99th percentile, by kind.",
            "s",
            8,
            (
                Query(_SECONDS.format(0.5, ", kind", "accord_reconcile_duration_seconds"), "{{kind}} p50"),
                Query(_SECONDS.format(0.99, ", kind", "accord_reconcile_duration_seconds"), "{{kind}} p99"),
            ),
            least=0,
        ),
        Panel(
            "Work queue",
            "Objects that are queued, by replica, and how long one waits.",
            "short",
            8,
            (
                Query("accord_queue_depth", "{{instance}} objects"),
                Query(_SECONDS.format(0.99, "", "accord_queue_latency_seconds"), "seconds, p99"),
            ),
            least=0,
        ),
        Panel(
            "Errors and retries",
            "Failed reconciliations by kind and reason, and retries, per second.",
            "short",
            8,
            (
                Query(
                    "sum by (kind, reason) (rate(accord_reconcile_errors_total[$__rate_interval]))",
                    "{{kind}} {{reason}}",
                ),
                Query("sum(rate(accord_queue_retries_total[$__rate_interval]))", "retries"),
            ),
            least=0,
        ),
        Panel(
            "Requests to the API server",
            "By verb and HTTP code, without watches.",
            "reqps",
            8,
            (Query("sum by (verb, code) (rate(accord_api_requests_total[$__rate_interval]))", "{{verb}} {{code}}"),),
            least=0,
        ),
        Panel(
            "Queries to Prometheus",
            "By endpoint and outcome.",
            "reqps",
            8,
            (
                Query(
                    "sum by (endpoint, outcome) (rate(accord_prometheus_queries_total[$__rate_interval]))",
                    "{{endpoint}} {{outcome}}",
                ),
            ),
            least=0,
        ),
        Panel(
            "Duration of a query to Prometheus",
            "99th percentile, by endpoint.",
            "s",
            8,
            (Query(_SECONDS.format(0.99, ", endpoint", "accord_prometheus_query_duration_seconds"), "{{endpoint}}"),),
            least=0,
        ),
        Panel(
            "CPU",
            "Cores that each replica uses.",
            "short",
            12,
            (
                Query(
                    "rate(process_cpu_seconds_total[$__rate_interval]) and on (instance) accord_leader", "{{instance}}"
                ),
            ),
            least=0,
        ),
        Panel(
            "Memory",
            "Resident memory of each replica.",
            "bytes",
            12,
            (Query("process_resident_memory_bytes and on (instance) accord_leader", "{{instance}}"),),
            least=0,
        ),
    ),
)

DASHBOARDS = (_TRAFFIC, _TRAINING, _CHECKPOINTS, _OPERATOR)
