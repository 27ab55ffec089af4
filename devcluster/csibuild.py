"""Builds what the CSI driver runs on: a Python environment with gRPC, and stubs made from the protocol definitions.

Kept like the programs: under a key of what went in, moved into place in one rename, never changed after that. The
driver itself (`csi/`) is run from the checkout.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from devcluster import gosource, paths, preflight
from devcluster.buildlock import one_build
from devcluster.commands import run
from devcluster.progress import Progress

SOURCE = Path(__file__).resolve().parent / "csi"
REQUIREMENTS = SOURCE / "requirements.txt"
STUBS = "csi_stubs"
"""Name of the package that the stubs are in."""
SPEC = ("csi-snapshotter", "github.com/container-storage-interface/spec")
KUBELET = ("kubernetes", "k8s.io/kubelet")
PROTOCOLS = {
    "csi.proto": (*SPEC, "csi.proto"),
    "registration.proto": (*KUBELET, "pkg/apis/pluginregistration/v1/api.proto"),
}
"""Our name → folder in `tools/`, Go module, path in it."""
VENV = preflight.Requirement(
    "Python's module for virtual environments", "python3-venv", lambda: preflight.has_module("ensurepip")
)


def python() -> Path:
    """The driver's Python, or where it will be once it is built."""
    return _folder() / "bin" / "python"


def source_key() -> str:
    """Changes with the driver's source, so that a cluster that runs an older one is started afresh."""
    digest = hashlib.sha256()
    for file in (*sorted(SOURCE.glob("*.py")), REQUIREMENTS):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def ensure(progress: Progress) -> None:
    """Build it when it is missing, or when the Python that it was made from is gone."""
    if python().exists():
        return
    preflight.install([VENV])
    with progress.stage("set up Python with gRPC for the CSI driver"), one_build("csi-driver"):
        if not python().exists():
            _build(_folder())


def _build(target: Path) -> None:
    log = paths.cache_dir() / "logs" / "build-csi-driver.log"
    for left in target.parent.glob(".building-csi-driver-*"):  # by a build that was killed
        shutil.rmtree(left)
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".building-csi-driver-", dir=target.parent) as scratch:
        environment = Path(scratch) / "environment"
        run(sys.executable, "-m", "venv", str(environment), log=log)
        own = str(environment / "bin" / "python")
        pip = (own, "-m", "pip", "--disable-pip-version-check")
        run(*pip, "install", "--only-binary=:all:", "--require-hashes", f"--requirement={REQUIREMENTS}", log=log)
        (packages,) = environment.glob("lib/python*/site-packages")
        protocols = Path(scratch) / STUBS
        protocols.mkdir()
        for name, (tool, module, path) in PROTOCOLS.items():
            (protocols / name).write_bytes((gosource.folder(tool, module) / path).read_bytes())
        outputs = (f"--python_out={packages}", f"--grpc_python_out={packages}")
        run(own, "-m", "grpc_tools.protoc", f"-I{scratch}", *outputs, *map(str, protocols.iterdir()), log=log)
        # needed no more, and they are half of it
        run(*pip, "uninstall", "--yes", "grpcio-tools", "setuptools", "pip", log=log)
        environment.rename(target)


def _folder() -> Path:
    digest = hashlib.sha256()
    digest.update(REQUIREMENTS.read_bytes())
    # from within a virtual environment it is the same as from outside: both are made from the Python below
    digest.update(repr((sys.base_prefix, sys.version_info[:2], os.uname().machine)).encode())
    for tool, module, _ in PROTOCOLS.values():
        digest.update(repr(_pinned(tool, module)).encode())
    return paths.cache_dir() / "programs" / f"csi-driver-{digest.hexdigest()[:12]}"


def _pinned(tool: str, module: str) -> list[str]:
    text = (paths.TOOLS / tool / "go.mod").read_text()
    return re.findall(rf"{re.escape(module)} (?:=> \S+ )?(v\S+)", text)
