"""The port `Metrics` on named Prometheus endpoints, off the event loop.

Each endpoint has its own few threads, so that one that hangs delays no other. They are daemon threads, not an
executor's: the interpreter joins an executor's threads when it exits, and a hung Prometheus would hold up a stop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from accord.adapters.prometheus.endpoint import Endpoint, PrometheusEndpoint
from accord.domain.samples import Answer, Shape
from accord.observability.metrics import OperatorMetrics

_PARALLEL = 4
_GRACE = 0.5


def _host(url: str) -> str:
    """Host and port, without what may be a password, a path or a parameter."""
    return url.partition("//")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]


class PrometheusMetrics:
    """Implements `accord.ports.metrics.Metrics`."""

    def __init__(self, endpoints: Mapping[str, Endpoint], metrics: OperatorMetrics) -> None:
        self._endpoints = dict(endpoints)
        self._clients = {name: PrometheusEndpoint(endpoint) for name, endpoint in endpoints.items()}
        self._slots = {name: asyncio.Semaphore(_PARALLEL) for name in endpoints}
        self._metrics = metrics

    async def query(self, endpoint: str, promql: str, shape: Shape = "vector", author: str | None = None) -> Answer:
        """Evaluate `promql` now; an answer in any case, at the latest shortly after the endpoint's timeout."""
        began = time.monotonic()
        answer = self._named(endpoint, await self._bounded(endpoint, promql, shape, author))
        # An unknown name comes from a policy: it must not make a time series.
        known = endpoint if endpoint in self._clients else ""
        self._metrics.prometheus_queries.labels(known, answer.failure or "Success").inc()
        self._metrics.prometheus_seconds.labels(known).observe(time.monotonic() - began)
        return answer

    def close(self) -> None:
        """Close idle connections; threads that still wait end with the process."""
        for client in self._clients.values():
            client.close()

    def _named(self, name: str, answer: Answer) -> Answer:
        """A failure with the endpoint that it is of: `Connection refused` alone sends nobody anywhere."""
        endpoint = self._endpoints.get(name)
        if answer.failure in (None, "UnknownEndpoint", "NotAllowed") or endpoint is None:
            return answer
        return replace(answer, message=f"Prometheus endpoint {name} ({_host(endpoint.url)}): {answer.problem}")

    async def _bounded(self, name: str, promql: str, shape: Shape, author: str | None) -> Answer:
        client = self._clients.get(name)
        if client is None:
            known = ", ".join(sorted(self._clients)) or "none"
            return Answer(
                failure="UnknownEndpoint",
                message=f"there is no Prometheus endpoint {name!r}; the operator was installed with: {known}",
            )
        allowed, limit = self._endpoints[name].custom_from, self._endpoints[name].timeout
        if author is not None and allowed is not None and author not in allowed:
            message = (
                f"Prometheus endpoint {name!r} does not allow custom queries from namespace {author}: remove the "
                "query, or have the namespace added to the endpoint's customQueryNamespaces"
            )
            return Answer(failure="NotAllowed", message=message)
        try:
            # The wait for a slot counts too, and a name that does not resolve.
            async with asyncio.timeout(limit + _GRACE):
                return await self._in_thread(name, client, promql, shape)
        except TimeoutError:
            return Answer(failure="Timeout", message=f"no response within {limit:g} s")

    async def _in_thread(self, name: str, client: PrometheusEndpoint, promql: str, shape: Shape) -> Answer:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Answer] = loop.create_future()
        slots = self._slots[name]
        await slots.acquire()

        def finish(answer: Answer) -> None:
            slots.release()
            if not result.done():
                result.set_result(answer)

        def work() -> None:
            try:
                answer = client.query(promql, shape)
            except Exception as error:  # noqa: BLE001 - a thread must hand back whatever happened
                answer = Answer(failure="Malformed", message=f"{type(error).__name__}: {error}")
            # The loop is gone when the operator stopped in the meantime.
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, answer)

        threading.Thread(target=work, name=f"prometheus-{name}", daemon=True).start()
        return await result
