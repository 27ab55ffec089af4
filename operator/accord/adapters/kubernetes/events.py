"""Events for `kubectl describe`: each said once, repeated ones counted.

An Event that comes again within six minutes becomes a series, as client-go's events library does it
(k8s.io/client-go/tools/events, KEP-383). Of those that can be combined only the first is told in full; while others
follow, never more than two minutes apart, one Event counts them.

The name is derived from what is said and when the object was told first, so
that two replicas that say the same make one object.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from accord.adapters.kubernetes.connection import MERGE, Connection
from accord.adapters.kubernetes.resources import EVENTS
from accord.api.base import Manifest
from accord.domain.plan import Event
from accord.ports.clock import Clock
from accord.ports.cluster import ClusterError

CONTROLLER = "accord.dev/operator"
_SERIES_WINDOW = timedelta(minutes=6)
_COMBINED_WITHIN = timedelta(minutes=2)
_REMEMBERED = 4096
_INSTANCE_LIMIT = 128


@dataclass
class _Told:
    name: str
    last: datetime
    count: int = 1


def micro_time(moment: datetime) -> str:
    """meta/v1 MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class EventRecorder:
    """Writes Events and remembers the recent ones."""

    def __init__(self, connection: Connection, clock: Clock, instance: str) -> None:
        self._connection, self._clock, self._instance = connection, clock, instance[:_INSTANCE_LIMIT]
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._combinable: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        """When an object last had an event of this reason that can be combined."""

    async def record(self, regarding: Manifest, event: Event) -> None:
        """Create or count. Raises ClusterError."""
        now = self._clock.now()
        meta = regarding["metadata"]
        note = self._combined(meta.get("uid", ""), event, now) or event.note
        said = "\n".join((meta.get("uid", ""), event.type, event.reason, note))
        identity = hashlib.sha256(said.encode()).hexdigest()[:16]
        told = self._told.get(identity)
        if told is not None and now - told.last < _SERIES_WINDOW:
            await self._count(meta["namespace"], told, now)
            return
        # The window's number in the name lets the same words be said again later, when nobody counts any more.
        window = int(now.timestamp() // _SERIES_WINDOW.total_seconds())
        name = f"{meta['name'][:200]}.{identity}{window:x}"
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": meta["namespace"]},
            "eventTime": micro_time(now),
            "type": event.type,
            "reason": event.reason,
            "note": note,
            "action": "Reconcile",
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta.get("uid", ""),
            },
        }
        try:
            await self._connection.request("create", "POST", EVENTS, EVENTS.path(meta["namespace"]), body=body)
        except ClusterError as error:
            if error.status != 409:
                raise
        self._told[identity] = _Told(name, now)
        self._told.move_to_end(identity)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    def _combined(self, uid: str, event: Event, now: datetime) -> str:
        """What stands for this event and those like it; empty where it stands for itself."""
        if not event.combined:
            return ""
        key = (uid, event.reason)
        before = self._combinable.pop(key, None)
        self._combinable[key] = now
        while len(self._combinable) > _REMEMBERED:
            self._combinable.popitem(last=False)
        return event.combined if before is not None and now - before < _COMBINED_WITHIN else ""

    async def _count(self, namespace: str, told: _Told, now: datetime) -> None:
        series = {"series": {"count": told.count + 1, "lastObservedTime": micro_time(now)}}
        path = EVENTS.path(namespace, told.name)
        try:
            await self._connection.request("patch", "PATCH", EVENTS, path, body=series, content_type=MERGE)
        except ClusterError as error:
            if error.status != 404:
                raise
        told.count, told.last = told.count + 1, now
