"""The driver's calls: what CSI and the kubelet's plugin registration ask for, put to `volumes` and `mounts`.

CSI: https://github.com/container-storage-interface/spec/blob/v1.13.0/spec.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from csi_stubs import csi_pb2 as csi
from csi_stubs import csi_pb2_grpc, registration_pb2, registration_pb2_grpc

from devcluster.csi import mounts
from devcluster.csi.volumes import DifferentError, NotFoundError, Store

VERSION = "1.0.0"
CODES = {
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    DifferentError: grpc.StatusCode.ALREADY_EXISTS,
    mounts.MountError: grpc.StatusCode.INTERNAL,
}


@contextmanager
def answering(context: Any) -> Iterator[None]:
    """Our exceptions become the codes of the specification."""
    try:
        yield
    except tuple(CODES) as problem:
        context.abort(CODES[type(problem)], str(problem))


class Identity(csi_pb2_grpc.IdentityServicer):  # type: ignore[misc] # generated when the driver is built
    """Who we are."""

    def __init__(self, name: str) -> None:
        self._name = name

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - as the specification calls it
        """Name and version."""
        return csi.GetPluginInfoResponse(name=self._name, vendor_version=VERSION)

    def GetPluginCapabilities(self, request: Any, context: Any) -> Any:  # noqa: N802
        """We make volumes; no topology, as there is one node."""
        service = csi.PluginCapability.Service
        capability = csi.PluginCapability(service=service(type=service.CONTROLLER_SERVICE))
        return csi.GetPluginCapabilitiesResponse(capabilities=[capability])

    def Probe(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Always ready."""
        answer = csi.ProbeResponse()
        answer.ready.value = True
        return answer


class Controller(csi_pb2_grpc.ControllerServicer):  # type: ignore[misc]
    """Volumes and snapshots."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ControllerGetCapabilities(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Volumes and snapshots, made and deleted."""
        rpc = csi.ControllerServiceCapability.RPC
        return csi.ControllerGetCapabilitiesResponse(
            capabilities=[
                csi.ControllerServiceCapability(rpc=rpc(type=each))
                for each in (rpc.CREATE_DELETE_VOLUME, rpc.CREATE_DELETE_SNAPSHOT)
            ]
        )

    def ValidateVolumeCapabilities(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A directory can be all but a block device."""
        with answering(context):
            self._store.volume(request.volume_id)
        confirmed = None
        if not _wants_block(request.volume_capabilities):
            confirmed = {"volume_capabilities": request.volume_capabilities}
        return csi.ValidateVolumeCapabilitiesResponse(confirmed=confirmed)

    def CreateVolume(self, request: Any, context: Any) -> Any:  # noqa: N802
        """An empty volume, or one restored from a snapshot."""
        if _wants_block(request.volume_capabilities):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "block volumes are not supported")
        content = request.volume_content_source if request.HasField("volume_content_source") else None
        snapshot = content.snapshot.snapshot_id if content is not None else ""
        with answering(context):
            about = self._store.create_volume(request.name, request.capacity_range.required_bytes, snapshot)
        # without the content source in the answer, the provisioner takes the restored volume for an empty one
        volume = csi.Volume(volume_id=request.name, capacity_bytes=about.capacity, content_source=content)
        return csi.CreateVolumeResponse(volume=volume)

    def DeleteVolume(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Also when it is gone already."""
        with answering(context):
            self._store.delete_volume(request.volume_id)
        return csi.DeleteVolumeResponse()

    def CreateSnapshot(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Ready when this returns."""
        with answering(context):
            about = self._store.create_snapshot(request.name, request.source_volume_id)
        answer = csi.CreateSnapshotResponse()
        answer.snapshot.snapshot_id = request.name
        answer.snapshot.source_volume_id = request.source_volume_id
        answer.snapshot.ready_to_use = True
        answer.snapshot.size_bytes = about.capacity  # else the VolumeSnapshot has no restoreSize
        answer.snapshot.creation_time.FromNanoseconds(about.made)
        return answer

    def DeleteSnapshot(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Also when it is gone already."""
        with answering(context):
            self._store.delete_snapshot(request.snapshot_id)
        return csi.DeleteSnapshotResponse()


class Node(csi_pb2_grpc.NodeServicer):  # type: ignore[misc]
    """Volumes in pods."""

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self._node = node

    def NodeGetInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The one node."""
        return csi.NodeGetInfoResponse(node_id=self._node)

    def NodeGetCapabilities(self, request: Any, context: Any) -> Any:  # noqa: N802
        """None: nothing is staged, grown or measured."""
        return csi.NodeGetCapabilitiesResponse()

    def NodePublishVolume(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Show it to a pod."""
        with answering(context):
            mounts.show(self._store.volume(request.volume_id), Path(request.target_path), request.readonly)
        return csi.NodePublishVolumeResponse()

    def NodeUnpublishVolume(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Also when it is hidden already."""
        with answering(context):
            mounts.hide(Path(request.target_path))
        return csi.NodeUnpublishVolumeResponse()


class Registration(registration_pb2_grpc.RegistrationServicer):  # type: ignore[misc]
    """How the kubelet learns of the driver."""

    def __init__(self, name: str, socket: Path, say: Callable[[str], None]) -> None:
        self._name = name
        self._socket = socket
        self._say = say

    def GetInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Where the driver answers."""
        return registration_pb2.PluginInfo(
            type="CSIPlugin", name=self._name, endpoint=str(self._socket), supported_versions=[VERSION]
        )

    def NotifyRegistrationStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What the kubelet made of it."""
        self._say("registered" if request.plugin_registered else f"not registered: {request.error}")
        return registration_pb2.RegistrationStatusResponse()


def _wants_block(capabilities: Any) -> bool:
    return any(each.HasField("block") for each in capabilities)
