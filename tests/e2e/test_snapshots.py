"""What a rollback stands on, without the operator: a snapshot, a claim made of it, a Deployment pointed at that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from demo.steps.cluster import Cluster, Manifest, path_of, wait_until
from demo.steps.world import World

NAMESPACE = "snapshot-flow"
SERVE = "exec python3 -m http.server --directory /policy 8080"
GROUP = "snapshot.storage.k8s.io"


@pytest.fixture
def namespace(installation: World) -> Iterator[Cluster]:
    """The cluster, with an empty namespace that goes afterwards, and all volumes with it."""
    cluster = installation.cluster
    _gone(cluster)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    yield cluster
    _gone(cluster)


def test_a_deployment_serves_what_a_snapshot_holds(namespace: Cluster, installation: World) -> None:
    cluster, image = namespace, installation.images.example.reference
    # Given a Deployment that serves what was written after a snapshot was taken
    cluster.apply(_claim("origin", "64Mi"))
    _write(cluster, image, "first")
    cluster.apply(_snapshot("before", "origin"))
    wait_until("the snapshot is ready", lambda: _status(cluster, "before").get("readyToUse"), 60)
    _write(cluster, image, "second")
    cluster.create(_deployment(image, "origin"))
    cluster.create(_service())
    cluster.wait_rolled_out("site", NAMESPACE)
    assert _served(cluster) == "second\n"

    # When it is pointed at a claim that is restored from the snapshot
    cluster.apply(_claim("restored", _status(cluster, "before")["restoreSize"], snapshot="before"))
    _point(cluster, "restored", step=500)
    cluster.wait_rolled_out("site", NAMESPACE)

    # Then that is what it serves, also without the snapshot; and the way back is open
    assert _served(cluster) == "first\n"
    cluster.delete("VolumeSnapshot", "before", NAMESPACE)
    wait_until("the snapshot is gone", lambda: not cluster.get("VolumeSnapshot", "before", NAMESPACE), 60)
    assert _served(cluster) == "first\n"
    _point(cluster, "origin", step=1000)
    cluster.wait_rolled_out("site", NAMESPACE)
    assert _served(cluster) == "second\n"
    live = cluster.get("Deployment", "site", NAMESPACE) or {}
    assert len(live["spec"]["template"]["spec"]["volumes"]) == 1


def _point(cluster: Cluster, claim: str, step: int) -> None:
    """Two fields of the Deployment, by server-side apply, and no other."""
    volumes = [{"name": "policy", "persistentVolumeClaim": {"claimName": claim}}]
    annotations = {"accord.dev/checkpoint-step": str(step)}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "site", "namespace": NAMESPACE},
        "spec": {"template": {"metadata": {"annotations": annotations}, "spec": {"volumes": volumes}}},
    }
    path = f"{path_of('Deployment', NAMESPACE, 'site')}?fieldManager=accord&force=true"
    cluster.request("PATCH", path, patch, "application/apply-patch+yaml")


def _served(cluster: Cluster) -> str:
    return cluster.request("GET", f"{path_of('Service', NAMESPACE, 'site')}:80/proxy/policy.txt")


def _write(cluster: Cluster, image: str, text: str) -> None:
    """A pod that writes to the volume, once."""
    name = f"writes-{text}"
    pod = _pod(image, "origin", f"echo {text} > /policy/policy.txt", readonly=False)
    pod["spec"]["restartPolicy"] = "Never"
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, **pod})

    def phase() -> str:
        return str((cluster.get("Pod", name, NAMESPACE) or {}).get("status", {}).get("phase"))

    wait_until(f"{name} is done", lambda: phase() == "Succeeded", 90, phase)


def _status(cluster: Cluster, snapshot: str) -> Manifest:
    return (cluster.get("VolumeSnapshot", snapshot, NAMESPACE) or {}).get("status", {})


def _gone(cluster: Cluster) -> None:
    cluster.delete("Namespace", NAMESPACE)
    wait_until("the namespace is gone", lambda: not cluster.get("Namespace", NAMESPACE), 120)


def _claim(name: str, size: str, snapshot: str = "") -> Manifest:
    spec: Manifest = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if snapshot:
        spec["dataSource"] = {"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": snapshot}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _snapshot(name: str, claim: str) -> Manifest:
    metadata = {"name": name, "namespace": NAMESPACE}
    spec = {"source": {"persistentVolumeClaimName": claim}}
    return {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "metadata": metadata, "spec": spec}


def _pod(image: str, claim: str, command: str, readonly: bool) -> Manifest:
    container = {
        "name": "main",
        "image": image,
        "command": ["sh", "-c", command],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "policy", "mountPath": "/policy", "readOnly": readonly}],
    }
    return {
        "spec": {
            # the group makes volumes writable where the driver leaves that to Kubernetes
            "securityContext": {"runAsNonRoot": True, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "policy", "persistentVolumeClaim": {"claimName": claim}}],
        }
    }


def _deployment(image: str, claim: str) -> Manifest:
    template = _pod(image, claim, SERVE, readonly=True)
    probe = {"httpGet": {"path": "/policy.txt", "port": 8080}, "periodSeconds": 1}
    template["spec"]["containers"][0]["readinessProbe"] = probe
    labels = {"app": "site"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "site", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, **template}},
    }


def _service() -> Manifest:
    metadata = {"name": "site", "namespace": NAMESPACE}
    spec = {"selector": {"app": "site"}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
