"""Writes only while this replica leads: asked right before each write, which also ends with leadership."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from accord.api.base import Manifest
from accord.domain.plan import Event, ObjectKey
from accord.domain.warned import Warned
from accord.ports.cluster import Cluster, ClusterError

T = TypeVar("T")
NOT_LEADER = "NotLeader"


class Leadership(Protocol):
    """What the fence asks."""

    @property
    def is_leader(self) -> bool:
        """Whether this replica may write now."""

    @property
    def remaining(self) -> float:
        """Seconds for which it may, without another renewal."""


class FencedCluster:
    """A `Cluster` that refuses to write for anybody but the leader, with a ClusterError of reason NotLeader."""

    def __init__(self, cluster: Cluster, leadership: Leadership) -> None:
        self._cluster, self._leadership = cluster, leadership

    async def get(self, key: ObjectKey) -> Manifest | None:
        """Reads are free."""
        return await self._cluster.get(key)

    async def claims_in_use(self, namespace: str) -> frozenset[str]:
        """Reads are free."""
        return await self._cluster.claims_in_use(namespace)

    async def pods(self, namespace: str, selector: str) -> tuple[Manifest, ...]:
        """Reads are free."""
        return await self._cluster.pods(namespace, selector)

    async def warned(self, namespace: str, uid: str) -> Warned | None:
        """Reads are free."""
        return await self._cluster.warned(namespace, uid)

    async def apply(self, manifest: Manifest) -> Manifest:
        """See `Cluster`."""
        return await self._write(lambda: self._cluster.apply(manifest))

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """See `Cluster`."""
        return await self._write(lambda: self._cluster.apply_status(manifest))

    async def delete(self, key: ObjectKey, uid: str) -> None:
        """See `Cluster`."""
        await self._write(lambda: self._cluster.delete(key, uid))

    async def record(self, regarding: Manifest, event: Event) -> None:
        """See `Cluster`."""
        await self._write(lambda: self._cluster.record(regarding, event))

    async def _write(self, write: Callable[[], Awaitable[T]]) -> T:
        if not self._leadership.is_leader:
            raise ClusterError(0, NOT_LEADER, "this replica is not the leader")
        remaining = self._leadership.remaining
        try:
            async with asyncio.timeout(None if remaining == float("inf") else remaining):
                return await write()
        except TimeoutError as error:
            raise ClusterError(0, NOT_LEADER, "lost leadership during the write") from error
