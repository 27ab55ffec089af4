"""Each write as a span of its own, with the answer that it got."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from accord.api.base import Manifest
from accord.domain.plan import Event, ObjectKey
from accord.observability.traces import Traces
from accord.ports.cluster import Cluster, ClusterError
from accord.runtime.wrapped import WrappedCluster

T = TypeVar("T")


class TracedCluster(WrappedCluster):
    """A `Cluster` whose writes can be seen. Reads are not: they come from memory but for few."""

    def __init__(self, cluster: Cluster, traces: Traces) -> None:
        super().__init__(cluster)
        self._traces = traces

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """See `Cluster`."""
        live = await super().apply_status(manifest)
        self._traces.told(manifest)
        return live

    async def record(self, regarding: Manifest, event: Event) -> None:
        """See `Cluster`."""
        with self._traces.span("record event", ObjectKey.of(regarding)) as span:
            span.note("reason", event.reason)
            await self._cluster.record(regarding, event)

    async def _write(self, verb: str, about: ObjectKey, write: Callable[[], Awaitable[T]]) -> T:
        with self._traces.span(verb, about) as span:
            try:
                return await write()
            except ClusterError as error:
                span.note("refused", error.status)
                raise
