"""The port `Cluster` on a real API server."""

from __future__ import annotations

from accord.adapters.kubernetes.connection import APPLY, JSON_PATCH, Connection
from accord.adapters.kubernetes.events import EventRecorder
from accord.adapters.kubernetes.listing import claims_of_pods, events_of, pods_of
from accord.adapters.kubernetes.resources import Resource, path_of, resource_of
from accord.api.base import Manifest
from accord.domain.plan import Event, ObjectKey
from accord.domain.warned import Warned, newest
from accord.ports.clock import Clock
from accord.ports.cluster import ClusterError

FIELD_MANAGER = "accord"
_APPLY_QUERY = {"fieldManager": FIELD_MANAGER, "force": "true"}


class KubernetesCluster:
    """Reads and writes by server-side apply. Implements `accord.ports.cluster.Cluster`."""

    def __init__(self, connection: Connection, clock: Clock, instance: str) -> None:
        """`instance` names this replica in Events."""
        self._connection, self._clock = connection, clock
        self._events = EventRecorder(connection, clock, instance)

    async def get(self, key: ObjectKey) -> Manifest | None:
        """The live object, or None. Raises ClusterError."""
        resource = resource_of(key.api_version, key.kind)
        try:
            return await self._connection.request("get", "GET", resource, path_of(key))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    async def claims_in_use(self, namespace: str) -> frozenset[str]:
        """PersistentVolumeClaims that a pod names that has not ended. Raises ClusterError."""
        return frozenset(await claims_of_pods(self._connection, namespace))

    async def pods(self, namespace: str, selector: str) -> tuple[Manifest, ...]:
        """Pods of a namespace that a label selector finds. Raises ClusterError."""
        return tuple([pod async for pod in pods_of(self._connection, namespace, selector)])

    async def warned(self, namespace: str, uid: str) -> Warned | None:
        """What Kubernetes last warned of a pod that does not start, or a Job that makes none. Raises ClusterError."""
        return newest(await events_of(self._connection, namespace, uid), self._clock.now())

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply with force; returns the live object. Raises ClusterError."""
        key = ObjectKey.of(manifest)
        return await self._patch("apply", resource_of(key.api_version, key.kind), path_of(key), manifest)

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """Make the status exactly that of `manifest`; returns the live object. Raises ClusterError.

        Apply leaves fields in place that another manager put there; where it did, the status is replaced.
        """
        key = ObjectKey.of(manifest)
        resource, path = resource_of(key.api_version, key.kind), path_of(key) + "/status"
        live = await self._patch("apply_status", resource, path, manifest)
        if live.get("status") == manifest["status"]:
            return live
        return await self._connection.request(
            "replace_status",
            "PATCH",
            resource,
            path,
            query={"fieldManager": FIELD_MANAGER},
            body=[
                {"op": "test", "path": "/metadata/uid", "value": live["metadata"]["uid"]},
                {"op": "replace", "path": "/status", "value": manifest["status"]},
            ],
            content_type=JSON_PATCH,
        )

    async def delete(self, key: ObjectKey, uid: str) -> None:
        """Delete in the background if the object still has that uid. Raises ClusterError."""
        try:
            await self._connection.request(
                "delete",
                "DELETE",
                resource_of(key.api_version, key.kind),
                path_of(key),
                body={"propagationPolicy": "Background", "preconditions": {"uid": uid}},
            )
        except ClusterError as error:
            # 409: an object of that name but another uid; the one that was meant is gone.
            if error.status not in (404, 409):
                raise

    async def record(self, regarding: Manifest, event: Event) -> None:
        """Create an events.k8s.io/v1 Event, or count it where the same was told within minutes. Raises ClusterError."""
        await self._events.record(regarding, event)

    async def _patch(self, verb: str, resource: Resource, path: str, manifest: Manifest) -> Manifest:
        return await self._connection.request(
            verb, "PATCH", resource, path, query=_APPLY_QUERY, body=manifest, content_type=APPLY
        )
