"""Custom objects as models: read once for each revision, however often a pass or a check asks in a row."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from pydantic import BaseModel

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.runtime.index import version

M = TypeVar("M", bound=BaseModel)

KEPT = 32
"""Models that are kept. One takes three times the memory of what it is read from, and reading it a tenth of a
millisecond: it is kept for the pass that is at it, not for as long as the object is there."""


class Parsed(Generic[M]):
    """The models of one kind that were asked for last, each of the newest revision."""

    def __init__(self, model: type[M]) -> None:
        self._model = model
        self._known: OrderedDict[ObjectKey, tuple[int, M]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, manifest: Manifest) -> M:
        """The object as a model. Raises pydantic.ValidationError where it cannot be read."""
        key, revision = ObjectKey.of(manifest), version(manifest)
        known = self._known.get(key)
        if known is None or known[0] != revision:
            known = self._known[key] = (revision, self._model.model_validate(manifest))
        self._known.move_to_end(key)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return known[1]

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._known.pop(key, None)
