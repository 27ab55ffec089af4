"""Metrics of the operator, in the units that Prometheus expects: seconds, ratios, totals.

One object made by the composition root and handed around, so that two operators in one process do not share numbers.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest

from accord.observability.statuses import Statuses, StatusMetrics

# A `_created` series beside each counter doubles their number and answers no question that anybody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class OperatorMetrics:
    """Every time series that `/metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.reconcile_seconds = Histogram(
            "accord_reconcile_duration_seconds",
            "Duration of one reconciliation of one object.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.reconcile_errors = Counter(
            "accord_reconcile_errors",
            "Failed reconciliations, which are retried, by kind and reason.",
            ["kind", "reason"],
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "accord_queue_depth",
            "Objects in the work queue, without delayed ones.",
            registry=self.registry,
        )
        self.queue_latency = Histogram(
            "accord_queue_latency_seconds",
            "Time that an object waits in the work queue.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.queue_retries = Counter(
            "accord_queue_retries", "Reconciliations requeued with backoff.", registry=self.registry
        )
        self.api_requests = Counter(
            "accord_api_requests",
            "Requests to the API server, without watches, by verb, resource and HTTP code.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self.prometheus_queries = Counter(
            "accord_prometheus_queries",
            "Queries to Prometheus, by endpoint and outcome: Success, or the reason of the failure.",
            ["endpoint", "outcome"],
            registry=self.registry,
        )
        self.prometheus_seconds = Histogram(
            "accord_prometheus_query_duration_seconds",
            "Duration of one query to Prometheus.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.leader = Gauge("accord_leader", "1 in the leader, 0 in the other replicas.", registry=self.registry)
        self.synced = Gauge("accord_synced", "1 once the watches are synced.", registry=self.registry)

    def show_statuses(self, statuses: Statuses) -> None:
        """Show at each scrape what these say then."""
        self.registry.register(StatusMetrics(statuses))

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
