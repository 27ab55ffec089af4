"""Kinds that are an addition to Kubernetes: watched where the API server knows them, and asked for where not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import Resource
from accord.ports.cluster import ClusterError

log = logging.getLogger(__name__)

_PERIOD = 30.0


class Served:
    """Which of the optional resources the API server knows, as far as it was asked."""

    def __init__(
        self,
        connection: Connection,
        always: Sequence[Resource],
        optional: Sequence[Resource],
        changed: Callable[[], None],
    ) -> None:
        """`always` are watched in any case; `changed` is called when another set is known."""
        self._connection, self._always, self._optional = connection, tuple(always), tuple(optional)
        self._changed = changed
        self._known: frozenset[Resource] | None = None

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What is to be watched."""
        return (*self._always, *(resource for resource in self._optional if self.knows(resource)))

    def knows(self, resource: Resource) -> bool:
        """Whether the API server has it."""
        return self._known is not None and resource in self._known

    async def ask(self) -> bool:
        """Ask the API server; whether the answer is another than before. What it does not answer changes nothing."""
        answers = {resource: await self._has(resource) for resource in self._optional}
        if self._known is None and None in answers.values():
            return False
        known = frozenset(r for r, there in answers.items() if there or (there is None and self.knows(r)))
        if known == self._known:
            return False
        self._known = known
        for resource in self._optional:
            there = "is available" if resource in known else "is not available"
            log.info("%s.%s %s in this cluster", resource.plural, resource.group, there)
        self._changed()
        return True

    async def refresh(self) -> None:
        """Ask again, and return once the API server has answered ever."""
        await self.ask()
        while self._known is None:
            await asyncio.sleep(1)
            await self.ask()

    async def until_changed(self) -> str:
        """Ask every half minute; returns once the answer has changed, in words."""
        while True:
            await asyncio.sleep(_PERIOD)
            if await self.ask():
                return "the API server has other resources than before"

    async def _has(self, resource: Resource) -> bool | None:
        path = f"/apis/{resource.group}/{resource.version}"
        try:
            answer = await self._connection.request("discover", "GET", resource, path)
        except ClusterError as error:
            return False if error.status == 404 else None
        return any(each.get("name") == resource.plural for each in answer.get("resources") or ())
