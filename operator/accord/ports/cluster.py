"""The cluster as the reconcilers write to it. Reads come from the watches; only what is absent there is asked for."""

from __future__ import annotations

from typing import Protocol

from accord.api.base import Manifest
from accord.domain.plan import Event, ObjectKey
from accord.domain.warned import Warned


class ClusterError(Exception):
    """A request that the API server refused or did not answer. `status` is the HTTP code, 0 without an answer; `words`
    are the API server's own, without what the request was.
    """

    def __init__(self, status: int, reason: str, message: str, words: str | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status, self.reason, self.message = status, reason, message
        self.words = message if words is None else words


class Cluster(Protocol):
    """Writes of one field manager, `accord`. Every call is idempotent and has a timeout; all raise ClusterError."""

    async def get(self, key: ObjectKey) -> Manifest | None:
        """The live object, or None."""

    async def claims_in_use(self, namespace: str) -> frozenset[str]:
        """PersistentVolumeClaims that a pod of the namespace names, right now."""

    async def pods(self, namespace: str, selector: str) -> tuple[Manifest, ...]:
        """Pods of a namespace that a label selector finds, right now."""

    async def warned(self, namespace: str, uid: str) -> Warned | None:
        """What Kubernetes last warned of a pod that does not start, or of a Job that makes none, by its Events."""

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply with force; returns the live object."""

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """Server-side apply of the status subresource; `manifest` has apiVersion, kind, metadata and status."""

    async def delete(self, key: ObjectKey, uid: str) -> None:
        """Delete in the background if the object still has that uid; an object already gone is no error."""

    async def record(self, regarding: Manifest, event: Event) -> None:
        """Create an events.k8s.io/v1 Event about an object."""
