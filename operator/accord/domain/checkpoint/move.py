"""One step of what is served: what to write, and what to say about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from accord.api.base import Manifest

State = Literal["Ready", "Reconciling", "Stalled"]


@dataclass(frozen=True)
class Move:
    """The next step. Either it changes the record in the status, or it does what the record says; a step that did both
    could be cut in two.
    """

    state: State
    reason: str
    message: str
    status: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the status that change, by the model's names."""
    apply: tuple[Manifest, ...] = ()
    patch: tuple[Manifest, ...] = ()
    """Parts of objects of others."""
    look_again: float | None = None
    """Seconds after which time alone may change something."""
