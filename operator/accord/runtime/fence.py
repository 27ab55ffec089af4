"""Writes only while this replica leads: asked right before each write, which also ends with leadership."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from accord.domain.plan import ObjectKey
from accord.ports.cluster import Cluster, ClusterError
from accord.runtime.wrapped import WrappedCluster

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


class FencedCluster(WrappedCluster):
    """A `Cluster` that refuses to write for anybody but the leader, with a ClusterError of reason NotLeader."""

    def __init__(self, cluster: Cluster, leadership: Leadership) -> None:
        super().__init__(cluster)
        self._leadership = leadership

    async def _write(self, verb: str, about: ObjectKey, write: Callable[[], Awaitable[T]]) -> T:
        if not self._leadership.is_leader:
            raise ClusterError(0, NOT_LEADER, "this replica is not the leader")
        remaining = self._leadership.remaining
        try:
            async with asyncio.timeout(None if remaining == float("inf") else remaining):
                return await write()
        except TimeoutError as error:
            raise ClusterError(0, NOT_LEADER, "lost leadership during the write") from error
