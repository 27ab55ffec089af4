"""`checkpoint_rollbacks_total`: rollbacks by policy, as the status of each has them counted."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_HELP = "Rollbacks of the present training that were completed."


class RollbackMetrics(Collector):
    """A counter that starts where the status stands, so that neither a restart nor another leader loses one."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def show(self, namespace: str, policy: str, count: int) -> None:
        """So many rollbacks of its present training has that policy carried through."""
        self._counts[namespace, policy] = count

    def forget(self, namespace: str, policy: str) -> None:
        """The policy is gone."""
        self._counts.pop((namespace, policy), None)

    def clear(self) -> None:
        """Report nothing: only the replica that writes does."""
        self._counts.clear()

    def collect(self) -> Iterator[Metric]:
        """The samples of this moment."""
        family = CounterMetricFamily("checkpoint_rollbacks", _HELP, labels=("namespace", "policy"))
        for (namespace, policy), count in self._counts.items():
            family.add_metric((namespace, policy), count)
        yield family
