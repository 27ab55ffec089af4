"""What the operator does, as spans: where a pass spends its time, and a rollback from its signal to its end.

Off unless the configuration names a receiver. Then `opentelemetry.py` beside this file is loaded, and with it the
packages of the extra `traces`; nothing here or elsewhere imports them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from accord.api.base import Manifest
from accord.domain.plan import ObjectKey


class Span(Protocol):
    """A piece of work that goes on."""

    def note(self, name: str, value: str | int | float) -> None:
        """An attribute that is known only now."""


class Traces(Protocol):
    """Where spans go. One that begins within another is a part of it. An exception that ends one is recorded there."""

    on: bool
    """Whether anybody looks at them."""

    def span(self, name: str, about: ObjectKey | None = None) -> AbstractContextManager[Span]:
        """Some work, on that object."""

    def passing(self, key: ObjectKey, manifest: Manifest | None) -> AbstractContextManager[Span]:
        """A pass over an object that is known as `manifest`. While a rollback goes on, it is a part of that."""

    def told(self, manifest: Manifest) -> None:
        """A pass has written this status. The rollback that it ends is told, as one span from signal to end."""

    def close(self) -> None:
        """Send what is left. May take as long as one request; must not be called in the event loop."""


class _Nothing:
    def note(self, name: str, value: str | int | float) -> None:
        return None


class NoTraces:
    """Nobody looks. Implements `Traces`."""

    on = False
    _nothing: AbstractContextManager[Span] = nullcontext(_Nothing())

    def span(self, name: str, about: ObjectKey | None = None) -> AbstractContextManager[Span]:
        """Nothing."""
        return self._nothing

    def passing(self, key: ObjectKey, manifest: Manifest | None) -> AbstractContextManager[Span]:
        """Nothing."""
        return self._nothing

    def told(self, manifest: Manifest) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
