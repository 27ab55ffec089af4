"""What the machine must have: found out before anything is changed, said in one sentence each."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devcluster import cgroups, commands, configuration, network, paths, programs
from devcluster.errors import DevclusterError, MachineError

OWN_CLUSTER = "Or use a cluster of your own, named by its kubeconfig: make demo KUBECONFIG=… and make test KUBECONFIG=…"
GIGABYTE = 1000**3
BUILD_SPACE = 12.0
"""GB: Go's caches of builds and modules (up to 9 measured, and 2 for the CSI sidecars) and the programs (1.0)."""
RUN_SPACE = 4.0
"""GB: images in the cache and unpacked, logs, etcd."""


@dataclass(frozen=True)
class Requirement:
    """Something a Debian package brings."""

    what: str
    package: str
    present: Callable[[], bool]


def has_module(name: str) -> bool:
    """Whether Python has it; Debian splits its standard library over packages."""
    return importlib.util.find_spec(name) is not None


def _program(name: str, package: str) -> Requirement:
    return Requirement(name, package, lambda: commands.find(name) is not None)


NODE = (
    _program("ip", "iproute2"),
    _program("nft", "nftables"),
    _program("unshare", "util-linux"),
    _program("mount", "mount"),
    Requirement("the CNI plugins", "containernetworking-plugins", lambda: configuration.cni_directory() is not None),
    Requirement("a static busybox", "busybox-static", lambda: static_busybox() is not None),
)
RUNC_BUILD = (
    _program("gcc", "gcc"),
    Requirement("the C library's headers", "libc6-dev", lambda: Path("/usr/include/stdlib.h").exists()),
    _program("pkg-config", "pkg-config"),
    Requirement("libseccomp's headers", "libseccomp-dev", lambda: Path("/usr/include/seccomp.h").exists()),
)
TRIALS = (
    ("make namespaces", "true"),
    ("make a veth link", "ip link add veth-a type veth peer name veth-b"),
    ("make an nftables table", "nft add table ip trial"),
)
"""What the kernel must let us do: words, and a command that is tried in namespaces of its own."""
IMAGE_BUILD = (_program("buildah", "buildah"), _program("mmdebstrap", "mmdebstrap"))


def check_machine() -> None:
    """The checks that need nothing installed."""
    check_linux_and_root()
    if programs.missing(programs.EVERYTHING):
        try:
            programs.go_program()
        except DevclusterError as problem:
            raise MachineError(str(problem)) from problem


def check_linux_and_root() -> None:
    """Without these nothing of the full cluster can work."""
    if not sys.platform.startswith("linux"):
        raise MachineError(f"The local cluster needs Linux, and this is {sys.platform}: run it in a Linux VM.")
    if os.geteuid() != 0:
        raise MachineError("The local cluster needs root (namespaces, mounts, cgroups): run it with sudo -E.")


def check_and_install() -> None:
    """Install missing packages, then try what the kernel must be able to do."""
    build = bool(programs.missing(programs.EVERYTHING))
    install([*NODE, *(RUNC_BUILD if programs.missing(["runc"]) else ())])
    _check_disk(build)
    cgroups.check()
    _check_kernel()


def check_free() -> None:
    """Names and addresses that the cluster takes on the machine. It takes no port: the node's are its own."""
    try:
        network.check()
    except DevclusterError as problem:
        raise MachineError(str(problem)) from problem


def install(requirements: list[Requirement] | tuple[Requirement, ...]) -> None:
    """Install the packages of what is missing."""
    lacking = [requirement for requirement in requirements if not requirement.present()]
    if not lacking:
        return
    packages = sorted({requirement.package for requirement in lacking})
    if commands.find("apt-get") is None:
        raise MachineError(
            f"{', '.join(each.what for each in lacking)} missing, and there is no apt-get here to install it: "
            f"install what Debian calls {' '.join(packages)}."
        )
    if os.geteuid() != 0:
        raise MachineError(f"{' '.join(packages)} must be installed: run as root, or apt-get install them yourself.")
    log = paths.cache_dir() / "logs" / "apt.log"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120")
    wanted = (*apt, "install", "--no-install-recommends", *packages)
    try:
        commands.run(*wanted, log=log, env=environment)
    except DevclusterError:  # the package lists are missing or old, or an installation was killed half way
        commands.run("dpkg", "--configure", "-a", log=log, env=environment)
        commands.run(*apt, "update", log=log, env=environment)
        commands.run(*wanted, log=log, env=environment)
    still = [requirement.what for requirement in lacking if not requirement.present()]
    if still:
        raise MachineError(f"{', '.join(still)} still missing after installing {' '.join(packages)} (log: {log})")


def static_busybox() -> Path | None:
    """A busybox that runs in an empty image: one that names no dynamic loader."""
    for place in ("/usr/bin/busybox", "/bin/busybox", "/usr/local/bin/busybox"):
        path = Path(place)
        if path.exists() and b"/ld-" not in path.read_bytes()[:4096]:
            return path
    return None


def _check_disk(build: bool) -> None:
    needs: dict[int, tuple[Path, float]] = {}
    for place, gigabytes in (
        (paths.state_dir(), RUN_SPACE / 2),
        (paths.cache_dir(), RUN_SPACE / 2),
        (Path(os.environ.get("GOCACHE", Path.home() / ".cache")), BUILD_SPACE if build else 0.0),
    ):
        existing = next(folder for folder in (place, *place.parents) if folder.exists())
        device = existing.stat().st_dev
        needs[device] = (existing, needs.get(device, (existing, 0.0))[1] + gigabytes)
    for place, gigabytes in needs.values():
        free = shutil.disk_usage(place).free / GIGABYTE
        if free < gigabytes:
            raise MachineError(
                f"The disk that holds {place} is too full: {gigabytes:.0f} GB are needed, {free:.1f} GB are free."
            )


def _check_kernel() -> None:
    for what, command in TRIALS:
        done = subprocess.run(
            [commands.find("unshare") or "unshare", "--net", "--mount", "--pid", "--fork", "/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{commands.SYSTEM_PATH}"},
        )
        if done.returncode != 0:
            raise MachineError(
                f"This machine does not let root {what} ({done.stderr.strip() or 'no reason given'}): "
                "the kernel lacks it, or this is a container without --privileged."
            )
