"""Each write as a span of its own, with the answer that it got."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from accord.api.base import Manifest
from accord.domain.plan import Event, ObjectKey
from accord.domain.warned import Warned
from accord.observability.traces import Traces
from accord.ports.cluster import Cluster, ClusterError

T = TypeVar("T")


class TracedCluster:
    """A `Cluster` whose writes can be seen. Reads are not: they come from memory but for few."""

    def __init__(self, cluster: Cluster, traces: Traces) -> None:
        self._cluster, self._traces = cluster, traces

    async def get(self, key: ObjectKey) -> Manifest | None:
        """See `Cluster`."""
        return await self._cluster.get(key)

    async def claims_in_use(self, namespace: str) -> frozenset[str]:
        """See `Cluster`."""
        return await self._cluster.claims_in_use(namespace)

    async def pods(self, namespace: str, selector: str) -> tuple[Manifest, ...]:
        """See `Cluster`."""
        return await self._cluster.pods(namespace, selector)

    async def warned(self, namespace: str, uid: str) -> Warned | None:
        """See `Cluster`."""
        return await self._cluster.warned(namespace, uid)

    async def apply(self, manifest: Manifest) -> Manifest:
        """See `Cluster`."""
        return await self._write("apply", ObjectKey.of(manifest), lambda: self._cluster.apply(manifest))

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """See `Cluster`."""
        live = await self._write("apply status", ObjectKey.of(manifest), lambda: self._cluster.apply_status(manifest))
        self._traces.told(manifest)
        return live

    async def delete(self, key: ObjectKey, uid: str) -> None:
        """See `Cluster`."""
        await self._write("delete", key, lambda: self._cluster.delete(key, uid))

    async def record(self, regarding: Manifest, event: Event) -> None:
        """See `Cluster`."""
        about = ObjectKey.of(regarding)
        with self._traces.span("record event", about) as span:
            span.note("reason", event.reason)
            await self._cluster.record(regarding, event)

    async def _write(self, verb: str, about: ObjectKey, write: Callable[[], Awaitable[T]]) -> T:
        with self._traces.span(verb, about) as span:
            try:
                return await write()
            except ClusterError as error:
                span.note("refused", error.status)
                raise
