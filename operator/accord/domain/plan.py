"""What a decision is: the writes it asks for, and nothing that does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from accord.api.base import Manifest
from accord.domain.words import shorten


class ObjectKey(NamedTuple):
    """Identity of one object in the cluster. Namespaced objects only; Accord owns no other."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> ObjectKey:
        """The key of a manifest that has a namespace."""
        meta = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], meta["namespace"], meta["name"])

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Refusal:
    """Why a write is not made. `status` is the HTTP code and `message` the API server's own words; 0 where it is not
    asked any more, because somebody else changes the object back.
    """

    status: int
    message: str
    deleting: bool = False
    """Whether the write was its deletion."""


@dataclass(frozen=True)
class Event:
    """A line for `kubectl describe`, written once at a transition. `note` is a sentence for a person.

    Where something may change many times a minute, `combined` is what stands for all but the first of such events.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    combined: str = ""

    def __post_init__(self) -> None:
        """No event is longer than a condition."""
        object.__setattr__(self, "note", shorten(self.note))


@dataclass(frozen=True)
class Plan:
    """Everything one pass over one object wants done.

    The writes happen in this order: `patch`, `apply`, `delete`, `status`, `events`. Each is idempotent, so a pass that
    was cut short anywhere is completed by the next one. `patch` are parts of objects that belong to somebody else, with
    their uid; `apply` are whole objects of ours. `status` is the whole status; it is written only when it differs from
    the live one. `requeue_after` (seconds) asks for another pass without an event.

    Where `counts_reverts`, the status counts how often somebody has changed `patch` back, and ends that itself.
    """

    apply: tuple[Manifest, ...] = ()
    delete: tuple[ObjectKey, ...] = ()
    status: Manifest | None = None
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    patch: tuple[Manifest, ...] = ()
    counts_reverts: bool = False
