"""What the watches have seen: the only thing that decisions read.

Every object is kept once, and only what decisions read of it (see `slim`).
Versions decide what is newer, so the same object may come from the watch, from the answer to a write and from a
repeated listing, in any order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.runtime.sharing import Sharing
from accord.runtime.slim import is_ours, slim

__all__ = ["Change", "Index", "controller_of", "is_ours", "slice_service", "version"]

_V = TypeVar("_V", bound=Hashable)
_TOMBSTONES = 8192
_SLICE = "EndpointSlice"
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


class _By:
    """Objects by what a function says of each."""

    def __init__(self, values: Callable[[Manifest], Iterable[Hashable]]) -> None:
        self._values = values
        self._members: dict[Hashable, dict[ObjectKey, Manifest]] = {}

    def link(self, key: ObjectKey, manifest: Manifest) -> None:
        for value in self._values(manifest):
            self._members.setdefault(value, {})[key] = manifest

    def unlink(self, key: ObjectKey, manifest: Manifest) -> None:
        for value in self._values(manifest):
            members = self._members.get(value, {})
            members.pop(key, None)
            if not members:
                self._members.pop(value, None)

    def of(self, value: Hashable) -> Mapping[ObjectKey, Manifest]:
        return MappingProxyType(self._members.get(value, {}))


class Index:
    """All watched objects by key, by controller, slices by Service, and by whatever a kind asks for."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], dict[tuple[str, str], Manifest]] = {}
        self._share = Sharing()
        self._by: dict[str, _By] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._with_status: set[tuple[str, str]] = set()
        self._children = self.index_by("controller", _controlled_by)
        self._slices = self.index_by("service", _slice_of)

    def index_by(
        self, name: str, function: Callable[[Manifest], Iterable[_V]]
    ) -> Callable[[_V], Mapping[ObjectKey, Manifest]]:
        """From now on find objects by the values that `function` has for each; returns the way to look one up.

        As client-go's Indexers (https://pkg.go.dev/k8s.io/client-go/tools/cache#Indexers). The function sees objects of
        every kind, as they are kept; what it says may depend on nothing else, and it must not raise. Raises ValueError
        where there is one of that name.
        """
        if name in self._by:
            raise ValueError(f"there is an index by {name} already")
        by = self._by[name] = _By(function)
        for kind in self._objects:
            for key, manifest in self.all(*kind):
                by.link(key, manifest)
        return by.of

    def keep_status(self, kinds: Iterable[tuple[str, str]]) -> None:
        """Keep the status of these kinds (apiVersion and kind), too. To be said before anything is observed."""
        self._with_status.update(kinds)

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
        kept: Manifest = self._share(slim(manifest, self._with_status))
        self._objects.setdefault(key[:2], {})[key[2:]] = kept
        for by in self._by.values():
            if known is not None:
                by.unlink(key, known)
            by.link(key, kept)
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
        for by in self._by.values():
            by.unlink(key, known)
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
        return self._children(uid)

    def slices(self, namespace: str, service: str) -> tuple[Manifest, ...]:
        """The EndpointSlices of a Service."""
        return tuple(self._slices((namespace, service)).values())


def _controlled_by(manifest: Manifest) -> tuple[str, ...]:
    """A slice's controller is its Service, of which nobody asks for the children."""
    controller = None if manifest["kind"] == _SLICE else controller_of(manifest)
    return () if controller is None else (controller["uid"],)


def _slice_of(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    return ((manifest["metadata"]["namespace"], slice_service(manifest)),) if manifest["kind"] == _SLICE else ()


def slice_service(manifest: Manifest) -> str:
    """Name of the Service that an EndpointSlice belongs to."""
    return str((manifest["metadata"].get("labels") or {}).get(_SERVICE_NAME_LABEL, ""))


def version(manifest: Manifest) -> int:
    """The resourceVersion as a number; ordered within and across resources of one API server (KEP-5504)."""
    return int(manifest["metadata"]["resourceVersion"])
