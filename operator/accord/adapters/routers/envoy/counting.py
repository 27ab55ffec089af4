"""Requests as the proxies count them, over a window: what `increase()` is in PromQL.

Proxies come and go, and their counters begin anew when they do. The first look at a proxy counts nothing, since what it
counted before may be of any age; what one counted before it went stays counted.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from accord.adapters.routers.envoy.clusters import UNCHECKED, UNCHECKED_HTTP2, route_cluster
from accord.domain.traffic.observed import Tally

Name = tuple[str, str]
"""Cluster and figure."""
PASSED_ON, ANSWERED, ERRORS, RETRIES = (
    "upstream_rq_total",
    "upstream_rq_completed",
    "upstream_rq_5xx",
    "upstream_rq_retry",
)
"""The first is counted by the cluster of the pod that gets the request, each attempt once, as the pod counts it. The
others are counted by the cluster that the route names: once a request, by what the client gets in the end."""
FAILED, UNREACHED = "rq_error", "cx_connect_fail"
"""Counted for each endpoint, by its address: attempts that were answered with 500 or above, or not at all; and, among
those, connections that could not be made. That a pod comes or goes is no failure of what it serves."""
_K = TypeVar("_K")
_PARTS = 60
"""Into how many parts a window is divided at most; a long one takes no more memory than a short one."""


@dataclass
class _Part:
    since: float
    until: float
    grown: Counter[Name] = field(default_factory=Counter)


@dataclass(frozen=True)
class Reading:
    """The counters of one proxy. `uptime` in seconds tells that it has begun anew; -1 where it is not known."""

    counters: Mapping[Name, int] = field(default_factory=dict)
    uptime: int = -1
    endpoints: Mapping[tuple[str, str, str], int] | None = None
    """The same by cluster, figure and address; None where the proxy was not asked for it."""


class Counts:
    """What all proxies of one policy counted. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Reading]] = {}
        self._parts: deque[_Part] = deque()
        self.read_at = -math.inf
        """When proxies were read last."""
        self.failures = 0
        """Failures of all modes since these counts began: another number is news to a circuit breaker."""

    def knows(self, pod: str) -> bool:
        """Whether this proxy was read before."""
        return pod in self._last

    def enter(self, readings: Mapping[str, Reading], at: float, window: float, shortest: float | None = None) -> None:
        """Take in what was read of the proxies, by pod; `at` is just before they were asked. `window` and `shortest`
        are the longest and the shortest span that is asked about (default: the same).
        """
        for pod, reading in readings.items():
            before = self._last.get(pod)
            self._last[pod] = (at, reading)
            if before is not None:
                grown = _growth(before[1], reading)
                self._add(before[0], at, grown, (shortest or window) / _PARTS)
                self.failures += sum(value for (_, figure), value in grown.items() if figure == FAILED)
        if readings:
            self.read_at = max(self.read_at, at)
        while self._parts and self._parts[0].since < at - window:
            self._parts.popleft()

    def keep(self, pods: Collection[str]) -> None:
        """Other proxies are gone: one of the same name would be another."""
        for pod in [pod for pod in self._last if pod not in pods]:
            del self._last[pod]

    def within(self, window: float, now: float) -> Counter[Name] | None:
        """What was counted since the window began and surely not before; None where nothing was read twice since."""
        parts = [part for part in self._parts if part.since >= now - window]
        if not parts:
            return None
        total: Counter[Name] = Counter()
        for part in parts:
            total.update(part.grown)
        return total

    def _add(self, since: float, until: float, grown: Counter[Name], resolution: float) -> None:
        last = self._parts[-1] if self._parts else None
        same = last is not None and (last.since, last.until) == (since, until)
        if last is None or not (same or (last.since <= since and until - last.since <= resolution)):
            last = _Part(since, until)
            self._parts.append(last)
        last.until = max(last.until, until)
        last.grown.update(grown)


def _growth(before: Reading, after: Reading) -> Counter[Name]:
    """A counter that is lower than it was began at nothing, as its cluster or the whole proxy did."""
    anew = after.uptime < before.uptime
    grown = _more({} if anew else before.counters, after.counters)
    if before.endpoints is not None and after.endpoints is not None:
        for (cluster, figure, _), value in _more({} if anew else before.endpoints, after.endpoints).items():
            grown[cluster, figure] += value
    return grown


def _more(old: Mapping[_K, int], new: Mapping[_K, int]) -> Counter[_K]:
    return Counter(
        {name: value - old.get(name, 0) if value >= old.get(name, 0) else value for name, value in new.items()}
    )


def by_mode(counted: Mapping[Name, int], modes: Iterable[str]) -> dict[str, Tally]:
    """The figures of each mode."""
    return {
        mode: Tally(
            requests=counted.get((mode, PASSED_ON), 0),
            answered=counted.get((route_cluster(mode), ANSWERED), 0),
            errors=counted.get((route_cluster(mode), ERRORS), 0),
            retries=counted.get((route_cluster(mode), RETRIES), 0),
            failures=max(counted.get((mode, FAILED), 0) - counted.get((mode, UNREACHED), 0), 0),
        )
        for mode in modes
    }


def unattributed(counted: Mapping[Name, int]) -> int:
    """Requests of which the proxies do not count which mode got them: none passes its health check, all are tried."""
    return sum(counted.get((cluster, PASSED_ON), 0) for cluster in (UNCHECKED, UNCHECKED_HTTP2))
