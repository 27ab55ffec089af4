"""What Prometheus counted."""

from __future__ import annotations

import json
from urllib.parse import quote

from demo.steps.cluster import Cluster, Manifest, wait_until
from demo.steps.errors import StepError


class Prometheus:
    """The Prometheus of the example, asked through the API server."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def query(self, expression: str) -> list[Manifest]:
        """The instant vector of a PromQL expression."""
        path = f"/api/v1/namespaces/{self._namespace}/services/prometheus:9090/proxy/api/v1/query?query="
        answer = json.loads(self._cluster.request("GET", path + quote(expression, safe="")))
        return list(answer["data"]["result"])

    def wait_counting(self, modes: int, seconds: float = 60) -> None:
        """Until every mode has a series with a rate."""

        def counting() -> bool:
            try:
                return len(self.query("sum by (mode) (rate(http_requests_total[5s]))")) >= modes
            except StepError:
                return False  # Prometheus is starting

        wait_until(f"Prometheus counts the requests of {modes} modes", counting, seconds)
