"""The kinds of VolumeSnapshots, as the snapshot controller's own Go module has them.

with ControlPlane() as cluster:
    snapshots.install(cluster.kubectl)
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from devcluster import gosource, programs
from devcluster.kubectl import Kubectl

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
    kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind}.{GROUP}" for kind in KINDS))


def _write(path: Path, text: str) -> None:
    """Whole or not at all, also when two write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    Path(scratch).chmod(0o644)
    Path(scratch).replace(path)
