"""What the index keeps of an object: what decisions read, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from accord.adapters.kubernetes.resources import find
from accord.api.base import Manifest
from accord.api.v1alpha1.meta import API_VERSION
from accord.domain.traffic.names import MANAGED_BY, MANAGED_BY_LABEL
from accord.domain.training.names import INPUTS_ANNOTATION

_FOREIGN_META = (
    "namespace",
    "name",
    "uid",
    "resourceVersion",
    "generation",
    "deletionTimestamp",
    "ownerReferences",
    "labels",
)
_ROLLOUT = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "conditions")
_POD_SPEC = ("nodeName", "activeDeadlineSeconds")
_ADMISSION = frozenset({"QuotaReserved", "Admitted", "Evicted", "Finished"})
"""Conditions of a Workload that are read."""
_OUR_MANAGER = "accord"


def is_ours(manifest: Manifest) -> bool:
    """Whether an object carries our managed-by label."""
    return (manifest["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY


def is_made_by_us(manifest: Manifest) -> bool:
    """Whether a claim or a snapshot is of our making although its label does not say so: somebody has taken that away.

    A label may go, but who applied the rest of an object is in managedFields (kept here as `maker`), and nothing is
    ever applied to one that somebody else made. A claim may be given to somebody else by the label.
    """
    if manifest["kind"] == "PersistentVolumeClaim" and MANAGED_BY_LABEL in (manifest["metadata"].get("labels") or {}):
        return False
    if manifest["kind"] not in ("PersistentVolumeClaim", "VolumeSnapshot"):
        return False
    return manifest.get("maker") == _OUR_MANAGER or any(
        entry.get("manager") == _OUR_MANAGER and entry.get("operation") == "Apply"
        for entry in manifest["metadata"].get("managedFields") or ()
    )


def slim(manifest: Manifest, with_status: Collection[tuple[str, str]] = ()) -> Manifest:
    """Without managedFields, and the status of most children; of what is not ours only what is read of it. Of our own
    Deployments' status it is kept that pods are refused. `with_status`: apiVersion and kind of further children whose
    status is read.
    """
    kind = manifest["kind"]
    meta = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, **_pod(manifest)}
    if kind == "EndpointSlice":
        return _slice(manifest)
    if kind == "Workload":
        return _workload(manifest)
    made = is_made_by_us(manifest)
    resource = find(manifest["apiVersion"], kind)
    is_shared = resource is not None and resource.is_shared
    if is_ours(manifest) or not is_shared or (made and kind == "VolumeSnapshot"):
        runs = INPUTS_ANNOTATION in (meta.get("annotations") or {}) or (resource is not None and resource.suspension)
        is_read = (resource is not None and resource.status) or (manifest["apiVersion"], kind) in with_status
        has_status = manifest["apiVersion"] == API_VERSION or runs or is_read
        left_out = ("metadata",) if has_status else ("metadata", "status")
        kept = {**{name: value for name, value in manifest.items() if name not in left_out}, "metadata": meta}
        if kind == "Deployment" and (failures := _failures(manifest)):
            kept["status"] = {"conditions": failures}
        if made:
            kept["maker"] = _OUR_MANAGER
        by = _suspended_by(manifest) if runs else None
        return kept if by is None else {**kept, "managers": {"suspend": by}}
    foreign = {**_identity(manifest), **({"maker": _OUR_MANAGER} if made else {})}
    if kind == "VolumeSnapshot":
        return foreign
    return {**foreign, **(_deployment(manifest) if kind == "Deployment" else _claim(manifest))}


def _identity(manifest: Manifest) -> Manifest:
    meta = manifest["metadata"]
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": {name: meta[name] for name in _FOREIGN_META if name in meta},
    }


def _slice(manifest: Manifest) -> Manifest:
    """Of each endpoint the addresses, whether it is ready, and its pod."""
    endpoints = [
        {
            "addresses": endpoint.get("addresses"),
            "conditions": {"ready": (endpoint.get("conditions") or {}).get("ready")},
            "targetRef": {"name": (endpoint.get("targetRef") or {}).get("name", "")},
        }
        for endpoint in manifest.get("endpoints") or ()
    ]
    return {**_identity(manifest), "endpoints": endpoints, "ports": manifest.get("ports")}


def _workload(manifest: Manifest) -> Manifest:
    """Of a Workload of Kueue its queue, whether it may be admitted and who said so, and the conditions of that."""
    spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
    conditions = [
        {name: entry[name] for name in ("type", "status", "reason", "message", "lastTransitionTime") if name in entry}
        for entry in status.get("conditions") or ()
        if entry.get("type") in _ADMISSION
    ]
    entries = manifest["metadata"].get("managedFields") or ()
    by_us = any(
        entry.get("manager") == _OUR_MANAGER and "f:active" in _at(entry.get("fieldsV1"), "f:spec") for entry in entries
    )
    return {
        **_identity(manifest),
        "spec": {name: spec[name] for name in ("queueName", "active") if name in spec},
        "status": {"conditions": conditions},
        "managers": {"active": _OUR_MANAGER} if by_us else {},
    }


def _pod(manifest: Manifest) -> Manifest:
    spec = manifest.get("spec") or {}
    kept = {name: spec[name] for name in _POD_SPEC if name in spec}
    return {**({"spec": kept} if kept else {}), "status": manifest.get("status") or {}}


def _claim(manifest: Manifest) -> Manifest:
    spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
    fields = ("accessModes", "dataSource", "resources", "storageClassName", "volumeMode")
    return {
        "spec": {name: spec[name] for name in fields if name in spec},
        "status": {name: status[name] for name in ("phase", "capacity") if name in status},
    }


def _deployment(manifest: Manifest) -> Manifest:
    spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    volumes = [_volume(volume) for volume in pod.get("volumes") or ()]
    slimmed: Manifest = {
        "spec": {
            "replicas": spec.get("replicas", 1),
            "selector": spec.get("selector") or {},
            **{name: spec[name] for name in ("paused", "progressDeadlineSeconds", "strategy") if name in spec},
            "template": {
                "metadata": {
                    "annotations": {key: text for key, text in annotations.items() if key.startswith("accord.dev/")}
                },
                "spec": {
                    "volumes": volumes,
                    **{
                        name: [_container(c) for c in pod[name]]
                        for name in ("containers", "initContainers")
                        if pod.get(name)
                    },
                },
            },
        },
        "status": {"readyReplicas": 0, **{name: status[name] for name in _ROLLOUT if name in status}},
    }
    managers = dict(_managers(manifest)) if any("persistentVolumeClaim" in volume for volume in volumes) else {}
    return {**slimmed, "managers": managers} if managers else slimmed


def _failures(manifest: Manifest) -> list[Manifest]:
    """That pods are refused, without the times, which move while nothing else does."""
    return [
        {name: entry[name] for name in ("type", "status", "reason", "message") if name in entry}
        for entry in (manifest.get("status") or {}).get("conditions") or ()
        if entry.get("type") == "ReplicaFailure"
    ]


def _volume(volume: Manifest) -> Manifest:
    claim = volume.get("persistentVolumeClaim")
    return {
        "name": volume["name"],
        **({"persistentVolumeClaim": {"claimName": claim.get("claimName")}} if claim else {}),
    }


def _container(container: Manifest) -> Manifest:
    mounts = [
        {name: mount[name] for name in ("name", "mountPath", "subPath") if name in mount}
        for mount in container.get("volumeMounts") or ()
    ]
    probe = container.get("readinessProbe") or {}
    handler = {name: probe[name] for name in ("httpGet", "tcpSocket", "grpc") if probe.get(name)}
    return {
        "name": container.get("name", ""),
        "ports": container.get("ports") or [],
        "volumeMounts": mounts,
        **({"restartPolicy": container["restartPolicy"]} if container.get("restartPolicy") else {}),
        **({"readinessProbe": handler} if handler else {}),
    }


def _suspended_by(job: Manifest) -> str | None:
    """Who else than we set `spec.suspend` of a Job last, from managedFields; None where it is ours."""
    for entry in job["metadata"].get("managedFields") or ():
        ours = entry.get("manager") == _OUR_MANAGER
        if not ours and not entry.get("subresource") and "f:suspend" in _at(entry.get("fieldsV1"), "f:spec"):
            return str(entry.get("manager"))
    return None


def _managers(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Who set the claim, or a mount's subPath, of each volume last, from managedFields; others before us."""
    entries = manifest["metadata"].get("managedFields") or ()
    mounts = {
        (container["name"], mount["mountPath"]): mount["name"]
        for container in ((manifest.get("spec") or {}).get("template") or {}).get("spec", {}).get("containers") or ()
        for mount in container.get("volumeMounts") or ()
    }
    for entry in sorted(entries, key=lambda entry: (entry.get("manager") != _OUR_MANAGER, entry.get("time") or "")):
        pod = _at(entry.get("fieldsV1"), "f:spec", "f:template", "f:spec")
        for key, fields in _items(_at(pod, "f:volumes")):
            if "f:claimName" in _at(fields, "f:persistentVolumeClaim"):
                yield key.get("name", ""), entry.get("manager", "")
        for key, fields in _items(_at(pod, "f:containers")):
            for mount, set_ in _items(_at(fields, "f:volumeMounts")):
                volume = mounts.get((key.get("name"), mount.get("mountPath")))
                if volume is not None and "f:subPath" in set_:
                    yield volume, entry.get("manager", "")


def _at(fields: Any, *path: str) -> dict[str, Any]:
    for name in path:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields if isinstance(fields, dict) else {}


def _items(fields: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """The items of a list by their keys: `k:{"name":"model"}`."""
    for name, value in fields.items():
        if name.startswith("k:{"):
            yield json.loads(name[2:]), value if isinstance(value, dict) else {}
