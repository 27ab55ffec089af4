"""The kinds of VolumeSnapshots, as the snapshot controller's own Go module has them.

with ControlPlane() as cluster:
    snapshots.install(cluster.kubectl)
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from devcluster import gosource, programs
from devcluster.kubectl import Kubectl, KubectlError
from devcluster.waiting import wait_for

KINDS = ("volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots")
GROUP = "snapshot.storage.k8s.io"
SOURCE = ("csi-snapshotter", "github.com/kubernetes-csi/external-snapshotter/client/v8")


def crds() -> str:
    """Their three CustomResourceDefinitions, one YAML text; from the cache after the first time."""
    kept = programs.path("snapshot-controller").parent / "crds.yaml"
    if not kept.exists():
        folder = gosource.folder(*SOURCE) / "config" / "crd"
        _write(kept, "---\n".join((folder / f"{GROUP}_{kind}.yaml").read_text() for kind in KINDS))
    return kept.read_text()


def install(kubectl: Kubectl) -> None:
    """Apply them and wait until the API server serves them. Raises KubectlError."""
    kubectl("apply", "--server-side", "-f", "-", input=crds())
    kubectl("wait", "--for=condition=Established", "--timeout=120s", *(f"crd/{kind}.{GROUP}" for kind in KINDS))
    # A kind that is established is refused for a moment all the same.
    wait_for("the kinds of VolumeSnapshots", lambda: all(_served(kubectl, kind) for kind in KINDS), seconds=120)


def _served(kubectl: Kubectl, kind: str) -> bool:
    try:
        kubectl("get", "--raw", f"/apis/{GROUP}/v1/{kind}?limit=1")
    except KubectlError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    """Whole or not at all, also when two write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    Path(scratch).chmod(0o644)
    Path(scratch).replace(path)
