"""The table of what is reconciled. A new kind is one api file, one domain folder and one entry here.

A `Kind` is everything the runtime has to know about one: how to read it, whom a change concerns, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from accord.adapters.kubernetes.resources import Resource
from accord.api.base import Manifest
from accord.domain.plan import ObjectKey, Plan
from accord.domain.warned import Warned
from accord.runtime.book import AnyInquiry
from accord.runtime.index import Change
from accord.runtime.refusals import Refusals


class Kind(Protocol):
    """One kind of custom object."""

    resource: Resource
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

    def report(self, manifest: Manifest) -> None:
        """The object was brought to its desired state: show in metrics what its status says. Leader only."""

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""


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
