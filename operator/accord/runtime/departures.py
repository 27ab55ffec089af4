"""What becomes of an object that a watch shows no more.

A watch by label says DELETED when an object loses the label, and nothing of it from then on. So where the object's
owner lives and may still need it, the API server is asked: an object that exists is taken in as it is, and whoever it
belongs to puts its label back. Until then its pods are served and its Job is not made twice. While the API server does
not answer nothing is known of it, and it is asked again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from accord.adapters.kubernetes.resources import PODS, Resource
from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.domain.refusals import is_refusal
from accord.runtime.answers import Get, Pause, answer
from accord.runtime.index import Index, controller_of

log = logging.getLogger(__name__)


class Taking(Protocol):
    """Who hears of the outcome: the dispatcher."""

    def observe(self, manifest: Manifest) -> None:
        """An object as the API server has it."""

    def remove(self, key: ObjectKey, uid: str, revision: int) -> None:
        """An object is gone as of that resourceVersion."""


class Departures:
    """Tells objects that were deleted from those that only left a selector. Every call returns at once."""

    def __init__(self, index: Index, get: Get, taking: Taking, pause: Pause = asyncio.sleep) -> None:
        """`get` asks the API server for one object; `pause` waits for so many seconds."""
        self._index, self._get, self._taking, self._pause = index, get, taking, pause
        self._asking: set[asyncio.Task[None]] = set()

    def gone(self, resource: Resource, key: ObjectKey, uid: str, revision: int) -> None:
        """An object is in no watch of that resource any more, as of that resourceVersion."""
        # Nobody gives a pod its label back: what has none is no pod of a run.
        if not resource.selector or resource is PODS or not self._is_needed(key):
            self._taking.remove(key, uid, revision)
            return
        task = asyncio.get_running_loop().create_task(self._ask(key, uid, revision), name=f"look for {key}")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _is_needed(self, key: ObjectKey) -> bool:
        """Whether its owner is there to stay. With the owner goes the object: the garbage collector's work."""
        known = self._index.get(key)
        controller = controller_of(known) if known is not None else None
        if controller is None:
            return known is not None
        kind = (controller["apiVersion"], controller["kind"], key.namespace, controller["name"])
        owner = self._index.get(ObjectKey(*kind))
        if owner is None or owner["metadata"]["uid"] != controller["uid"]:
            return False
        return not owner["metadata"].get("deletionTimestamp")

    async def _ask(self, key: ObjectKey, uid: str, revision: int) -> None:
        live = await self._answer(key)
        if live is not None:
            self._taking.observe({"apiVersion": key.api_version, "kind": key.kind, **live})
        if live is None or live["metadata"]["uid"] != uid:
            self._taking.remove(key, uid, revision)
        else:
            log.info("%s lost its watch label; restoring it", key)

    async def _answer(self, key: ObjectKey) -> Manifest | None:
        """The object as it lives; None where it does not, or is not needed any more. Waits for an answer.

        To take silence for a deletion would be to make a second Job beside one that trains.
        """
        return await answer(
            self._get,
            key,
            needed=lambda: self._is_needed(key),
            # By its code alone: no webhook has a say in a read, and a proxy may write anything.
            means_absence=lambda error: is_refusal(error.status, ""),
            pause=self._pause,
        )
