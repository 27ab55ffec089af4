"""What is said about an object: the first of a list of checks that has something to say.

Each list reads like a table of contents, in the style of cert-manager's certificate policies
(https://github.com/cert-manager/cert-manager, internal/controller/certificates/policies): the order is the verdict's
order, and each check has a name that says what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


def first(about: A, checks: Iterable[Callable[[A], R | None]]) -> R | None:
    """What the first check that objects says; None where none does."""
    return next((said for check in checks if (said := check(about)) is not None), None)


def judged(about: A, checks: Iterable[Callable[[A], R | None]], otherwise: Callable[[A], R]) -> R:
    """The same, with something to say where none does."""
    said = first(about, checks)
    return otherwise(about) if said is None else said
