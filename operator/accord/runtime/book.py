"""What was measured of each object last, and which objects want to be measured.

A book is made before those who use it: a kind reads it and wants things measured, a sampler measures and writes. So
neither of them has to know the other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from accord.api.v1alpha1.meta import ObjectMeta
from accord.domain.plan import ObjectKey
from accord.domain.questions import Question

R = TypeVar("R")
S = TypeVar("S", bound="Subject")
S_co = TypeVar("S_co", bound="Subject", covariant=True)


class Monitoring(Protocol):
    """The part of a spec that says whom to ask."""

    @property
    def endpoint(self) -> str:
        """Name of a Prometheus endpoint."""


class Spec(Protocol):
    """A spec with that part."""

    @property
    def monitoring(self) -> Monitoring:
        """That part."""


class Subject(Protocol):
    """An object that is measured."""

    @property
    def metadata(self) -> ObjectMeta:
        """Its metadata."""

    @property
    def spec(self) -> Spec:
        """Its spec."""


class Book(dict[ObjectKey, R]):
    """The newest measurement of each object."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: set[ObjectKey] = set()
        self.wakeup = asyncio.Event()
        """Set when somebody wants something."""

    def want(self, key: ObjectKey) -> None:
        """An object is there or has another state: it may be time to measure it, or no more."""
        self._wanted.add(key)
        self.wakeup.set()

    def take(self) -> set[ObjectKey]:
        """Those that are wanted, once."""
        taken, self._wanted = self._wanted, set()
        self.wakeup.clear()
        return taken

    def drop(self, key: ObjectKey) -> None:
        """An object is gone."""
        self.pop(key, None)
        self._wanted.discard(key)


class Read(Protocol[S_co]):
    """Finds an object."""

    def __call__(self, key: ObjectKey) -> S_co | None:
        """None: gone. Raises ValueError where it cannot be read."""


@dataclass(frozen=True)
class Inquiry(Generic[S, R]):
    """A question of a kind, how to find those that it is about, and where the answers go."""

    question: Question[S, R]
    read: Read[S]
    book: Book[R]


AnyInquiry = Inquiry[Any, Any]
