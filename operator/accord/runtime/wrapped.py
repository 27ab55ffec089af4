"""A `Cluster` around another: reads pass, and all writes go through one place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from accord.api.base import Manifest
from accord.domain.plan import Event, ObjectKey
from accord.domain.warned import Warned
from accord.ports.cluster import Cluster

T = TypeVar("T")


class WrappedCluster:
    """Implements `Cluster`. What stands around a write is for a subclass to say, in `_write`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

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
        return await self._write("apply status", ObjectKey.of(manifest), lambda: self._cluster.apply_status(manifest))

    async def delete(self, key: ObjectKey, uid: str) -> None:
        """See `Cluster`."""
        await self._write("delete", key, lambda: self._cluster.delete(key, uid))

    async def record(self, regarding: Manifest, event: Event) -> None:
        """See `Cluster`."""
        about = ObjectKey.of(regarding)
        await self._write("record event", about, lambda: self._cluster.record(regarding, event))

    async def _write(self, verb: str, about: ObjectKey, write: Callable[[], Awaitable[T]]) -> T:
        """Do it. `verb` and `about` say what it is."""
        raise NotImplementedError
