"""What a rehearsal is: pass after pass decided and carried out on paper, by the code that decides in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from accord.api.base import Manifest
from accord.api.v1alpha1.meta import Condition
from accord.domain.conditions import find
from accord.domain.plan import ObjectKey

Given = Mapping[ObjectKey, Manifest]
"""The manifests that are there, by identity."""


@dataclass
class Outcome:
    """What came of it."""

    applied: dict[ObjectKey, Manifest] = field(default_factory=dict)
    """In the order in which they are applied."""
    deleted: list[ObjectKey] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    """In the end."""
    problems: list[str] = field(default_factory=list)
    """Why the object would not become ready, as far as manifests can tell."""
    notes: list[str] = field(default_factory=list)
    """What is allowed and may still surprise."""
    left: Given = field(default_factory=dict)
    """What is there for the objects that are rehearsed after it."""
    remarks: tuple[str, ...] = ()
    """How to read what is applied, in lines."""

    @property
    def stalled(self) -> list[str]:
        """Why it would stand still."""
        told = find(self.conditions, "Stalled")
        return [] if told is None else [told.message]


def owned(manifest: Manifest) -> tuple[str, ...]:
    """What to say of objects that are owned by one that is in no cluster yet."""
    return (
        ()
        if manifest["metadata"].get("uid")
        else ("in the cluster each object also has an owner reference to the policy",)
    )
