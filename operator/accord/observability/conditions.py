"""The conditions of every object as one metric, so that alerts and dashboards need not read the API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from accord.domain.plan import ObjectKey

_LABELS = ("kind", "namespace", "name", "type", "status", "reason")


class ConditionMetrics(Collector):
    """`accord_condition`: 1 for each condition that an object has, with its status and reason as labels.

    Made at each scrape from what was shown last, because a label that changes value would leave its old series behind.
    """

    def __init__(self) -> None:
        self._shown: dict[ObjectKey, tuple[tuple[str, str, str], ...]] = {}

    def show(self, key: ObjectKey, conditions: Iterable[dict[str, Any]]) -> None:
        """These are the conditions of that object now (as in its status)."""
        self._shown[key] = tuple((c["type"], c["status"], c["reason"]) for c in conditions)

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._shown.pop(key, None)

    def clear(self) -> None:
        """Report nothing: only the replica that writes does."""
        self._shown.clear()

    def collect(self) -> Iterator[Metric]:
        """The samples of this moment."""
        family = GaugeMetricFamily(
            "accord_condition", "1 for each condition of an object, with its status and reason.", labels=_LABELS
        )
        for key, conditions in self._shown.items():
            for condition in conditions:
                family.add_metric((key.kind, key.namespace, key.name, *condition), 1)
        yield family
