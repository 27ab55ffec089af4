"""Compares what the watches have seen with what there is.

At the start, to know that they have caught up; later, to find deletions that happened while a watch was disconnected
for so long that it had to list anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.listing import Listing, Seen, list_metadata
from accord.adapters.kubernetes.resources import Resource
from accord.domain.plan import ObjectKey
from accord.ports.cluster import ClusterError
from accord.runtime.index import Index, version
from accord.runtime.optional import Served

log = logging.getLogger(__name__)

_PERIOD = 600.0
_RETRY = 1.0
_LONGEST_RETRY = 60.0
_LOOKS = 25
"""How often it is looked whether all of a listing has come, before there is another one."""


class Sweeper:
    """Listings without bodies, every ten minutes and when asked for."""

    def __init__(
        self,
        connection: Connection,
        served: Served,
        namespaces: Sequence[str],
        index: Index,
        gone: Callable[[Resource, ObjectKey, str, int], None],
    ) -> None:
        """`gone` hears of an object that no listing of that resource holds, with its uid and the listings' version."""
        self._connection, self._served, self._index, self._gone = connection, served, index, gone
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._asked = asyncio.Event()
        self.problem: str | None = "watches not synced yet"
        """Why the index cannot be relied on; None when it can."""

    def ask(self) -> None:
        """A watch may have missed something."""
        self._asked.set()

    async def catch_up(self) -> None:
        """Return once the index holds everything that exists."""
        await self._served.refresh()
        for resource in self._served.resources:
            while not await self._caught_up(resource):
                pass
        self.problem = None

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            try:
                async with asyncio.timeout(_PERIOD):
                    await self._asked.wait()
            except TimeoutError:
                pass
            else:
                # A relist is a burst of events: let it pass.
                await asyncio.sleep(_RETRY)
            self._asked.clear()
            await self._sweep_all()

    async def _sweep_all(self) -> None:
        """Every resource, those that could not be listed again and again: what is missed is missed until then."""
        left, delay = list(self._served.resources), _RETRY
        while left:
            left = [resource for resource in left if not await self._sweep(resource)]
            if left:
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_RETRY)
                # One that the API server does not have any more is none of ours.
                left = [resource for resource in left if resource in self._served.resources]

    async def _caught_up(self, resource: Resource) -> bool:
        """Whether all of a listing has come. What has gone since never does, so it is not waited for without an end;
        and to list again and again would keep the watches from their work.
        """
        listings = await self._list(resource)
        if not listings:
            await asyncio.sleep(_RETRY)
            return False
        missing = [seen for listing in listings for seen in listing.objects]
        for _ in range(_LOOKS):
            missing = [seen for seen in missing if not self._has(resource, seen)]
            if not missing:
                return True
            self.problem = f"watch of {resource.plural} not synced yet"
            await asyncio.sleep(_RETRY / 5)
        return False

    def _has(self, resource: Resource, seen: Seen) -> bool:
        known = self._index.get(ObjectKey(resource.api_version, resource.kind, seen.namespace, seen.name))
        return known is not None and version(known) >= seen.resource_version

    async def _sweep(self, resource: Resource) -> bool:
        """Whether it could be listed, and what is gone was found."""
        listings = await self._list(resource)
        if not listings:
            return False
        alive = {seen.uid for listing in listings for seen in listing.objects}
        as_of = min(listing.resource_version for listing in listings)
        for key, manifest in self._index.all(resource.api_version, resource.kind):
            uid = manifest["metadata"]["uid"]
            # What is newer than the listing cannot be missing from it.
            if uid not in alive and version(manifest) <= as_of:
                log.info("missed deletion of %s; catching up", key)
                self._gone(resource, key, uid, as_of)
        return True

    async def _list(self, resource: Resource) -> list[Listing]:
        """The listings of all namespaces, or none where the API server did not answer."""
        try:
            return [await list_metadata(self._connection, resource, namespace) for namespace in self._namespaces]
        except ClusterError as error:
            problem = f"cannot list {resource.plural}: {error}"
            starting = self.problem is not None
            log.log(logging.WARNING if starting and problem != self.problem else logging.DEBUG, "%s", problem)
            self.problem = problem if starting else None
            return []
