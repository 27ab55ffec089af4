"""What the runtime knows of a kind: how to read it, whom a change concerns, and what to do.

The table of kinds is `accord.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from accord.adapters.kubernetes.needs import Needs
from accord.adapters.kubernetes.resources import Resource
from accord.api.base import Manifest
from accord.domain.plan import ObjectKey, Plan
from accord.domain.warned import Warned
from accord.runtime.book import AnyInquiry
from accord.runtime.index import Change
from accord.runtime.refusals import Refusals
from accord.runtime.unlisted import Unlisted


@dataclass(frozen=True)
class Traits:
    """What there is to know of a kind before there is any object of it."""

    owner_label: str
    """Label of what was made for one of its objects; the value is that object's name."""
    needs: Needs
    """Of the API server, besides reading its objects and writing their status."""
    is_owner: bool = True
    """Whether what it makes carries a controller reference."""
    acts_on_status: bool = False
    """Whether its status is the record of what is under way: nothing is done that an older status asks for."""
    is_patient: bool = True
    """Whether what it makes waits for what it makes before; else, where one is refused, the others are made all the
    same."""
    is_named_after: Callable[[str, str], bool] = lambda _owner, _name: False
    """Whether an object of that name can only have been made for the owner of that name."""


class Kind(Protocol):
    """One kind of custom object."""

    resource: Resource
    traits: Traits
    refusals: Refusals
    """What the API server does not take of an object's wishes. Its decision tells the user."""
    inquiries: Sequence[AnyInquiry]
    """What is asked of Prometheus about its objects."""

    def on_change(self, change: Change) -> Iterable[ObjectKey]:
        """Hear about any change of any watched object, in every replica; returns the objects that it concerns.

        Must return at once: it runs in the event handler, so that a change reaches the proxies without queueing.
        """

    def plan(self, manifest: Manifest, conflicts: Mapping[ObjectKey, str], now: datetime) -> Plan:
        """Gather and decide. Raises pydantic.ValidationError where the object cannot be read."""

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""


@runtime_checkable
class Publishes(Protocol):
    """A kind that tells somebody of every change at once, in every replica, without a pass."""

    def start_publishing(self, unlisted: Unlisted) -> None:
        """The watches have caught up. What should exist and is in none of them is asked for with `unlisted`."""

    def answered(self, key: ObjectKey) -> None:
        """It is known now what there is of something that was asked for on behalf of this object."""


@runtime_checkable
class LooksAtPods(Protocol):
    """A kind whose decision needs to know, at times, why pods that no watch knows of do not come up."""

    def awaited_pods(self, manifest: Manifest) -> str | None:
        """A label selector of the pods that are waited for, in the object's namespace; None where none are."""

    def pods_seen(self, manifest: Manifest, pods: Iterable[Manifest]) -> None:
        """Those pods as they are now, for the next decision."""


@runtime_checkable
class AsksWhy(Protocol):
    """A kind whose decision needs to know, at times, why a pod is not started or not made: Events alone tell."""

    def unexplained(self, manifest: Manifest) -> str | None:
        """Uid of such a pod, or of the Job that makes none, in the object's namespace; None where there is none."""

    def explained(self, manifest: Manifest, uid: str, warned: Warned | None) -> None:
        """What Kubernetes last warned of it, for the next decision."""


@runtime_checkable
class LooksForOwn(Protocol):
    """A kind that must not make an object twice: what a watch by label does not show may have lost the label."""

    def unseen(self, manifest: Manifest) -> ObjectKey | None:
        """An object that was made once and that no watch shows now; None where there is none, or it is gone."""

    def found(self, manifest: Manifest, key: ObjectKey, live: Manifest | None) -> Manifest | None:
        """The object of that name, or None; returns it where it is one of ours, to be taken in."""
