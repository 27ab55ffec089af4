"""What the watches have seen: the only thing that decisions read.

Every object is kept once, and only what decisions read of it (see `slim`).
Versions decide what is newer, so the same object may come from the watch, from the answer to a write and from a
repeated listing, in any order.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.runtime.slim import is_ours, slim

__all__ = ["Change", "Index", "controller_of", "is_ours", "slice_service", "version"]

_G = TypeVar("_G")
_I = TypeVar("_I")
_SHARED = 40
_TOMBSTONES = 8192
_SERVICE_NAME_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Change:
    """An object as it was (None: unknown until now) and as it is (None: gone)."""

    key: ObjectKey
    old: Manifest | None
    new: Manifest | None


def controller_of(manifest: Manifest) -> Manifest | None:
    """The ownerReference that controls an object, if there is one."""
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def _compact(value: Any) -> Any:
    """Equal with strings shared: each decoded object has its own `metadata`, `name` and `TCP`, thousands of times."""
    if isinstance(value, dict):
        return {sys.intern(name): _compact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_compact(item) for item in value]
    return sys.intern(value) if type(value) is str and len(value) <= _SHARED else value


class Index:
    """All watched objects by key, by controller, and slices by Service."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], dict[tuple[str, str], Manifest]] = {}
        self._children: dict[str, dict[ObjectKey, Manifest]] = {}
        self._slices: dict[tuple[str, str], dict[str, Manifest]] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()

    def observe(self, manifest: Manifest) -> Change | None:
        """Take in an object. None where it says nothing new: as old as what is known, or from before it went.

        What has gone may come back: to a watch by label an object that lost its label is deleted, and when the label is
        back so is the object, with its old uid and a newer version.
        """
        uid, revision = manifest["metadata"]["uid"], version(manifest)
        key = ObjectKey.of(manifest)
        known = self.get(key)
        if revision <= self._gone.get(uid, 0) or (known is not None and version(known) >= revision):
            return None
        self._gone.pop(uid, None)
        kept: Manifest = _compact(slim(manifest))
        if known is not None:
            self._unlink(key, known)
        self._objects.setdefault(key[:2], {})[key[2:]] = kept
        self._link(key, kept)
        return Change(key, known, kept)

    def remove(self, key: ObjectKey, uid: str, revision: int) -> Change | None:
        """The object of that uid is gone as of that resourceVersion.

        None where it was not known, is known to have come back since, or another one has taken its name.
        """
        known = self.get(key)
        ours = known is not None and known["metadata"]["uid"] == uid
        if ours and known is not None and version(known) > revision:
            return None
        self._gone[uid] = max(revision, self._gone.get(uid, 0))
        while len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)
        if known is None or not ours:
            return None
        del self._objects[key[:2]][key[2:]]
        self._unlink(key, known)
        return Change(key, known, None)

    def get(self, key: ObjectKey) -> Manifest | None:
        """The object of that key."""
        return self._objects.get(key[:2], {}).get(key[2:])

    def all(self, api_version: str, kind: str) -> Iterator[tuple[ObjectKey, Manifest]]:
        """All objects of a kind."""
        for (namespace, name), manifest in list(self._objects.get((api_version, kind), {}).items()):
            yield ObjectKey(api_version, kind, namespace, name), manifest

    def count(self, api_version: str, kind: str) -> int:
        """How many objects of a kind are known."""
        return len(self._objects.get((api_version, kind), {}))

    def children(self, uid: str) -> Mapping[ObjectKey, Manifest]:
        """Objects whose controller has that uid."""
        return MappingProxyType(self._children.get(uid, {}))

    def slices(self, namespace: str, service: str) -> tuple[Manifest, ...]:
        """The EndpointSlices of a Service."""
        return tuple(self._slices.get((namespace, service), {}).values())

    def _link(self, key: ObjectKey, manifest: Manifest) -> None:
        controller = controller_of(manifest)
        if key.kind == "EndpointSlice":
            self._slices.setdefault((key.namespace, slice_service(manifest)), {})[key.name] = manifest
        elif controller is not None:
            self._children.setdefault(controller["uid"], {})[key] = manifest

    def _unlink(self, key: ObjectKey, manifest: Manifest) -> None:
        controller = controller_of(manifest)
        if key.kind == "EndpointSlice":
            _discard(self._slices, (key.namespace, slice_service(manifest)), key.name)
        elif controller is not None:
            _discard(self._children, controller["uid"], key)


def slice_service(manifest: Manifest) -> str:
    """Name of the Service that an EndpointSlice belongs to."""
    return str((manifest["metadata"].get("labels") or {}).get(_SERVICE_NAME_LABEL, ""))


def version(manifest: Manifest) -> int:
    """The resourceVersion as a number; ordered within and across resources of one API server (KEP-5504)."""
    return int(manifest["metadata"]["resourceVersion"])


def _discard(groups: dict[_G, dict[_I, Manifest]], group: _G, item: _I) -> None:
    members = groups.get(group, {})
    members.pop(item, None)
    if not members:
        groups.pop(group, None)
