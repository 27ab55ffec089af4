"""What the statuses of all objects say, as metrics, so that alerts and dashboards need not read the API.

Made at each scrape from the objects as they are known then. A book of what was shown would have to be kept in step
with deletions and with leadership, and whatever it missed would be an alert that fires for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey

Statuses = Callable[[], Iterable[tuple[ObjectKey, Manifest]]]
"""Key and live object of everything that this replica reports on; nothing where it does not lead."""

_WHOLE = 100
_LABELS = ("kind", "namespace", "name", "type", "status", "reason")


class StatusMetrics(Collector):
    """`accord_condition`: 1 for each condition that an object has, with its status and reason as labels.

    `checkpoint_rollbacks_total`: rollbacks by policy. Counted in the status, so that neither a restart nor another
    leader loses one.

    `accord_downshift_active` and `accord_downshifts_total`: of the circuit breakers, counted in the same way.
    """

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        """The samples of this moment."""
        conditions = GaugeMetricFamily(
            "accord_condition", "1 for each condition of an object, with its status and reason.", labels=_LABELS
        )
        rollbacks = CounterMetricFamily(
            "checkpoint_rollbacks",
            "Completed rollbacks of the current training.",
            labels=("namespace", "policy"),
        )
        active = GaugeMetricFamily(
            "accord_downshift_active",
            "1 while a circuit breaker keeps traffic away from a mode, else 0.",
            labels=("namespace", "policy", "mode"),
        )
        downshifts = CounterMetricFamily(
            "accord_downshifts",
            "How often a circuit breaker has opened, by the mode and those that take over its share.",
            labels=("namespace", "policy", "service", "from", "to"),
        )
        for key, manifest in self._statuses():
            status = manifest.get("status") or {}
            for condition in status.get("conditions") or ():
                said = (condition["type"], condition["status"], condition["reason"])
                conditions.add_metric((key.kind, key.namespace, key.name, *said), 1)
            if key.kind == "TrafficPolicy":
                for each in status.get("circuitBreakers") or ():
                    place = (key.namespace, key.name)
                    active.add_metric((*place, each["mode"]), float(each["share"] < _WHOLE))
                    to = _takers(each, status)
                    downshifts.add_metric((*place, "llm", each["mode"], to), each.get("downshifts") or 0)
            if key.kind == "CheckpointPolicy" and status:
                rollbacks.add_metric((key.namespace, key.name), status.get("rollbacks") or 0)
        yield conditions
        yield rollbacks
        yield active
        yield downshifts


def _takers(breaker: Manifest, status: Manifest) -> str:
    """Modes that a circuit breaker shifts to: those that it names, else the fallback mode."""
    named = [share["mode"] for share in breaker.get("shiftTo") or () if share.get("weight")]
    return ",".join(sorted(named)) or (status.get("routing") or {}).get("fallbackMode") or ""
