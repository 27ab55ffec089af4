"""Custom objects as models: read once for each revision, however often a pass or a check asks."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey
from accord.runtime.index import version

M = TypeVar("M", bound=BaseModel)


class Parsed(Generic[M]):
    """The newest model of each object of one kind."""

    def __init__(self, model: type[M]) -> None:
        self._model = model
        self._known: dict[ObjectKey, tuple[int, M]] = {}

    def of(self, manifest: Manifest) -> M:
        """The object as a model. Raises pydantic.ValidationError where it cannot be read."""
        key, revision = ObjectKey.of(manifest), version(manifest)
        known = self._known.get(key)
        if known is not None and known[0] == revision:
            return known[1]
        read = self._model.model_validate(manifest)
        self._known[key] = (revision, read)
        return read

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._known.pop(key, None)
