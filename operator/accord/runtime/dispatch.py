"""From a change in the index to everybody whom it concerns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.runtime.index import Change, Index
from accord.runtime.kinds import Kind


class Dispatcher:
    """Takes objects in, from the watch, from answers to writes and from listings alike."""

    def __init__(
        self,
        index: Index,
        kinds: Sequence[Kind],
        enqueue: Callable[[ObjectKey], None],
        gone: Callable[[ObjectKey], None] = lambda _: None,
    ) -> None:
        """`gone` is told of objects of these kinds that are gone."""
        self._index, self._kinds, self._enqueue, self._gone = index, kinds, enqueue, gone

    def observe(self, manifest: Manifest) -> None:
        """An object as the API server has it."""
        self._tell(self._index.observe(manifest))

    def remove(self, key: ObjectKey, uid: str, revision: int) -> None:
        """An object is gone as of that resourceVersion."""
        self._tell(self._index.remove(key, uid, revision))

    def enqueue_all(self) -> None:
        """Want a pass over everything: a new leader cannot know what the former one has left undone."""
        for kind in self._kinds:
            for key, _ in self._index.all(kind.resource.api_version, kind.resource.kind):
                self._enqueue(key)

    def _tell(self, change: Change | None) -> None:
        if change is None:
            return
        for kind in self._kinds:
            for key in kind.on_change(change):
                self._enqueue(key)
            if (kind.resource.api_version, kind.resource.kind) != change.key[:2]:
                continue
            if change.new is not None:
                for inquiry in kind.inquiries:
                    inquiry.book.want(change.key)
                continue
            self._gone(change.key)
            kind.forget(change.key)
