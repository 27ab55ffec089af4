"""coordination.k8s.io/v1 Leases with optimistic locking: the lock under leader election."""

from __future__ import annotations

from collections.abc import Mapping

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import LEASES
from accord.api.base import Manifest
from accord.ports.cluster import ClusterError


class KubernetesLeases:
    """One Lease object. Every method raises ClusterError; a lost race is one with status 409."""

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._namespace, self._name = namespace, name

    async def get(self) -> Manifest | None:
        """The Lease, or None."""
        try:
            return await self._connection.request("get", "GET", LEASES, LEASES.path(self._namespace, self._name))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    async def create(self, spec: Manifest, annotations: Mapping[str, str]) -> Manifest:
        """Create the Lease; ClusterError 409 where somebody was faster."""
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"namespace": self._namespace, "name": self._name, "annotations": dict(annotations)},
            "spec": spec,
        }
        return await self._connection.request("create", "POST", LEASES, LEASES.path(self._namespace), body=body)

    async def update(self, lease: Manifest, spec: Manifest) -> Manifest:
        """Replace the spec of exactly that version; ClusterError 409 where it has changed since."""
        path = LEASES.path(self._namespace, self._name)
        return await self._connection.request("update", "PUT", LEASES, path, body={**lease, "spec": spec})
