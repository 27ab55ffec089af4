"""What exists right now: without bodies, to find out what a watch has missed; which claims pods mount; and why a pod
does not start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import EVENTS, PODS, Resource
from accord.api.base import Manifest

_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_CHUNK = "100"


@dataclass(frozen=True)
class Seen:
    """One object of a listing."""

    namespace: str
    name: str
    uid: str
    resource_version: int


@dataclass(frozen=True)
class Listing:
    """The objects of one resource, all as of `resource_version`."""

    resource_version: int
    objects: tuple[Seen, ...]


async def list_metadata(connection: Connection, resource: Resource, namespace: str | None) -> Listing:
    """All objects that the watch of that resource should know, in chunks. Raises ClusterError."""
    query = {"limit": _CHUNK}
    if resource.selector:
        query["labelSelector"] = resource.selector
    objects: list[Seen] = []
    while True:
        page = await connection.request(
            "list", "GET", resource, resource.path(namespace), query=query, accept=_METADATA_ONLY
        )
        for item in page.get("items") or ():
            meta = item["metadata"]
            objects.append(Seen(meta["namespace"], meta["name"], meta["uid"], int(meta["resourceVersion"])))
        meta = page["metadata"]
        if not meta.get("continue"):
            return Listing(int(meta["resourceVersion"]), tuple(objects))
        query["continue"] = meta["continue"]


async def claims_of_pods(connection: Connection, namespace: str) -> set[str]:
    """The claims that pods of a namespace name, but for pods that have ended. Raises ClusterError."""
    claims: set[str] = set()
    async for pod in pods_of(connection, namespace):
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        volumes = pod["spec"].get("volumes") or ()
        claims |= {v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim")}
    return claims


async def events_of(connection: Connection, namespace: str, uid: str) -> list[Manifest]:
    """Warnings about one object; of very many, some. Raises ClusterError."""
    query = {"limit": _CHUNK, "fieldSelector": f"regarding.uid={uid},type=Warning"}
    page = await connection.request("list", "GET", EVENTS, EVENTS.path(namespace), query=query)
    return list(page.get("items") or ())


async def pods_of(connection: Connection, namespace: str, selector: str = "") -> AsyncIterator[Manifest]:
    """The pods of a namespace, or those that a label selector finds, in chunks. Raises ClusterError."""
    query = {"limit": _CHUNK, **({"labelSelector": selector} if selector else {})}
    while True:
        page = await connection.request("list", "GET", PODS, PODS.path(namespace), query=query)
        for pod in page.get("items") or ():
            yield pod
        if not page["metadata"].get("continue"):
            return
        query["continue"] = page["metadata"]["continue"]
