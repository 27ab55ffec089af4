"""What the API server must hold so that volumes are made, snapshotted and restored."""

from __future__ import annotations

from typing import Any

from devcluster import settings

USER = "system:csi"
"""Provisioner, snapshotter and snapshot controller; the rules are those of the projects' own manifests."""
READ = ["get", "list", "watch"]
RULES: tuple[tuple[str, tuple[str, ...], list[str]], ...] = (
    ("", ("events",), [*READ, "create", "update", "patch"]),
    ("", ("persistentvolumes",), [*READ, "create", "patch", "delete"]),
    ("", ("persistentvolumeclaims",), [*READ, "update"]),
    ("", ("nodes",), READ),
    ("storage.k8s.io", ("storageclasses", "csinodes", "volumeattachments"), READ),
    ("snapshot.storage.k8s.io", ("volumesnapshotclasses",), READ),
    (
        "snapshot.storage.k8s.io",
        ("volumesnapshots", "volumesnapshots/status", "volumesnapshotcontents", "volumesnapshotcontents/status"),
        [*READ, "create", "update", "patch", "delete"],
    ),
)
"""API group, resources, verbs."""


def objects() -> list[dict[str, Any]]:
    """The driver, its classes of volumes, and what its helpers may do."""
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": USER},
            "rules": [
                {"apiGroups": [group], "resources": list(resources), "verbs": verbs}
                for group, resources, verbs in RULES
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": USER},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": settings.CSI_DRIVER},
            "spec": {
                "attachRequired": False,
                "podInfoOnMount": False,
                "fsGroupPolicy": "None",
                "volumeLifecycleModes": ["Persistent"],
            },
        },
        _storage_class(settings.STORAGE_CLASS, "WaitForFirstConsumer", default=True),
        _storage_class(settings.STORAGE_CLASS_AT_ONCE, "Immediate", default=False),
    ]


def snapshot_class() -> dict[str, Any]:
    """The default class of snapshots. Its kind must be known to the API server."""
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {
            "name": settings.SNAPSHOT_CLASS,
            "annotations": {"snapshot.storage.kubernetes.io/is-default-class": "true"},
        },
        "driver": settings.CSI_DRIVER,
        "deletionPolicy": "Delete",
    }


def _storage_class(name: str, binding: str, default: bool) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": str(default).lower()},
        },
        "provisioner": settings.CSI_DRIVER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": binding,
    }
