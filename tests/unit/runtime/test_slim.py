"""What the index keeps: enough for every decision, and who changed a Deployment's volume."""

from __future__ import annotations

from typing import Any

import pytest

from accord.domain.checkpoint.views import DeploymentView, Mounted
from accord.runtime.slim import is_made_by_us, slim


def deployment(*managed: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    mounts = [{"name": "model", "mountPath": "/m", "subPath": "step-00000500", "readOnly": True}]
    pod = {
        "containers": [{"name": "app", "image": "big", "env": [{"name": "X"}], "ports": [], "volumeMounts": mounts}],
        "initContainers": [{"name": "check", "volumeMounts": mounts}],
        "volumes": [
            {"name": "model", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    annotations = {"accord.dev/checkpoint-step": "500", "somebody": "else"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "namespace": "ns",
            "name": "d",
            "uid": "u",
            "resourceVersion": "1",
            "generation": 3,
            "annotations": {"huge": "x" * 1000},
            "managedFields": [
                {"manager": name, "time": "2026-01-01T00:00:00Z", "fieldsV1": fields} for name, fields in managed
            ],
        },
        "spec": {
            "replicas": 2,
            "selector": {},
            "progressDeadlineSeconds": 30,
            "template": {"metadata": {"annotations": annotations}, "spec": pod},
        },
        "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "x": 1},
    }


def pod_fields(**fields: Any) -> dict[str, Any]:
    return {"f:spec": {"f:template": {"f:spec": fields}}}


CLAIM = pod_fields(**{"f:volumes": {'k:{"name":"model"}': {"f:persistentVolumeClaim": {"f:claimName": {}}}}})
MOUNTS = {'k:{"mountPath":"/m"}': {"f:subPath": {}}}
SUB_PATH = pod_fields(**{"f:containers": {'k:{"name":"app"}': {"f:volumeMounts": MOUNTS}}})


def test_of_a_slice_it_is_kept_which_pods_are_ready_at_which_addresses() -> None:
    meta = {"namespace": "ns", "name": "s-1", "uid": "u", "resourceVersion": "1", "labels": {"a": "b"}}
    pod = {"kind": "Pod", "namespace": "ns", "name": "p-1", "uid": "u1"}
    seen = {"ready": True, "serving": True, "terminating": False}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": seen, "targetRef": pod, "nodeName": "n", "zone": "z"}
    manifest = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {**meta, "generateName": "s-", "annotations": {"last-change": "now"}},
        "endpoints": [endpoint, {"addresses": ["10.0.0.2"]}],
        "ports": [{"name": "http", "port": 8000}],
    }
    assert slim(manifest) == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "targetRef": {"name": "p-1"}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": None}, "targetRef": {"name": ""}},
        ],
        "ports": [{"name": "http", "port": 8000}],
    }


def test_a_deployment_of_somebody_else_keeps_what_is_read_of_it() -> None:
    kept = slim(deployment())
    view = DeploymentView.of(kept)
    assert view.volumes == {"model": "c", "tmp": None}
    assert view.mounted("model") == Mounted("c", "step-00000500")
    assert [mount.is_init for mount in view.mounts["model"]] == [False, True]
    assert (view.step, view.is_rolled_out, view.deadline.total_seconds()) == (500, True, 60)
    assert "huge" not in repr(kept)
    assert "image" not in repr(kept)


def test_who_set_the_claim_or_the_directory() -> None:
    assert DeploymentView.of(slim(deployment(("argocd-controller", CLAIM)))).managers == {"model": "argocd-controller"}
    assert DeploymentView.of(slim(deployment(("kubectl-edit", SUB_PATH)))).managers == {"model": "kubectl-edit"}
    both = deployment(("flux", CLAIM), ("accord", CLAIM))
    assert DeploymentView.of(slim(both)).managers == {"model": "flux"}, "the other one is the one to name"
    assert DeploymentView.of(slim(deployment(("helm", {"f:metadata": {}})))).managers == {}


def test_a_claim_of_somebody_else_keeps_what_a_copy_needs() -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": "ns", "name": "c", "uid": "u", "resourceVersion": "1", "annotations": {"a": "b"}},
        "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "fast", "volumeName": "pv"},
        "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}, "conditions": []},
    }
    kept = slim(claim)
    assert kept["spec"] == {"accessModes": ["ReadWriteMany"], "storageClassName": "fast"}
    assert kept["status"] == {"phase": "Bound", "capacity": {"storage": "2Gi"}}
    assert "annotations" not in kept["metadata"]


def test_readiness_probes_are_kept_and_no_more_of_them_than_is_read() -> None:
    manifest = deployment()
    probe = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 5}
    manifest["spec"]["template"]["spec"]["containers"][0] |= {"readinessProbe": probe, "livenessProbe": probe}
    (kept,) = slim(manifest)["spec"]["template"]["spec"]["containers"]
    assert kept["readinessProbe"] == {"httpGet": probe["httpGet"]}
    assert "livenessProbe" not in kept


def stripped(labels: dict[str, str], manager: str = "accord", operation: str = "Apply") -> dict[str, Any]:
    managed = [{"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {}}}, {"manager": "kubectl"}]
    meta = {"name": "c", "namespace": "ns", "uid": "u", "resourceVersion": "1", "labels": labels}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {**meta, "managedFields": managed}}


def test_a_claim_whose_label_was_taken_away_is_known_for_ours() -> None:
    assert is_made_by_us(stripped({}))
    assert is_made_by_us(slim(stripped({}))), "as the index keeps it, too"
    assert not is_made_by_us(stripped({}, manager="somebody"))
    assert not is_made_by_us(stripped({}, operation="Update"))
    assert not is_made_by_us(stripped({"app.kubernetes.io/managed-by": "Helm"})), "it is somebody else's now"


def snapshot(labels: dict[str, str], manager: str = "accord") -> dict[str, Any]:
    spec, status = {"source": {"persistentVolumeClaimName": "c"}}, {"readyToUse": True}
    found = {**stripped(labels, manager), "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot"}
    return {**found, "spec": spec, "status": status}


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "Helm"}])
def test_a_snapshot_whose_label_was_taken_away_or_changed_is_known_for_ours_and_kept_whole(
    labels: dict[str, str],
) -> None:
    kept = slim(snapshot(labels))
    assert is_made_by_us(kept)
    assert (kept["spec"], kept["status"]) == (snapshot({})["spec"], snapshot({})["status"])


def test_of_a_snapshot_of_somebody_else_hardly_anything_is_kept() -> None:
    kept = slim(snapshot({}, manager="velero"))
    assert not is_made_by_us(kept)
    assert "spec" not in kept
    assert "status" not in kept


def test_of_our_own_deployments_status_it_is_kept_that_pods_are_refused_and_nothing_that_moves() -> None:
    ours = deployment()
    ours["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "accord"}
    assert "status" not in slim(ours)
    told = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: team"}
    ours["status"]["conditions"] = [{"type": "Available", "status": "False"}, {**told, "lastUpdateTime": "now"}]
    assert slim(ours)["status"] == {"conditions": [told]}
