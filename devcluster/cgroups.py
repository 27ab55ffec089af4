"""The cluster's directory in each cgroup hierarchy (version 1, hybrid or 2)."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from devcluster import settings
from devcluster.errors import DevclusterError, MachineError

NEEDED = {"cpu", "memory", "pids", "cpuset"}
PASSED_DOWN = NEEDED | {"hugetlb", "io"}
"""On version 2 a kubelet wants every one of its controllers that the machine has."""


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup hierarchy."""

    root: Path
    version: int
    controllers: frozenset[str]

    @property
    def ours(self) -> Path:
        """Our directory in it; pods are below, the node's own processes in `system`."""
        return self.root / settings.CGROUP


def hierarchies() -> list[Hierarchy]:
    """All that are mounted, each once."""
    found = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, root, kind, options = line.split()[:4]
        if kind == "cgroup2":
            controllers = (Path(root) / "cgroup.controllers").read_text().split()
            found[root] = Hierarchy(Path(root), 2, frozenset(controllers))
        elif kind == "cgroup":
            found[root] = Hierarchy(Path(root), 1, frozenset(options.split(",")))
    return list(found.values())


def check() -> None:
    """A sentence when pods could not be given cgroups here."""
    available = {name for hierarchy in hierarchies() for name in hierarchy.controllers}
    lacking = sorted(NEEDED - available)
    if lacking:
        raise MachineError(
            f"the cgroup controllers {', '.join(lacking)} are not available here, and a kubelet needs them; "
            "inside a container, run it privileged with the cgroups of the machine (--privileged --cgroupns=host)."
        )


def create() -> None:
    """Make our directories, with the controllers passed down where that has to be asked for (version 2)."""
    for hierarchy in hierarchies():
        if hierarchy.version == 2:
            _pass_down(hierarchy.root, hierarchy.controllers & PASSED_DOWN)
        system = hierarchy.ours / "system"
        system.mkdir(parents=True, exist_ok=True)
        if "cpuset" in hierarchy.controllers and hierarchy.version == 1:
            for directory in (hierarchy.ours, system):  # an empty cpuset refuses processes
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (directory / file).write_text((directory.parent / file).read_text())
        if hierarchy.version == 2:
            _pass_down(hierarchy.ours, hierarchy.controllers & PASSED_DOWN)


def enter(pid: int) -> None:
    """Put a process of the node into them."""
    for hierarchy in hierarchies():
        (hierarchy.ours / "system" / "cgroup.procs").write_text(str(pid))


def remove(seconds: float = 10) -> None:
    """Remove our directories; the kernel needs a moment after the last process ended."""
    deadline = time.monotonic() + seconds
    while True:
        left = [hierarchy.ours for hierarchy in hierarchies() if hierarchy.ours.exists()]
        for directory in left:
            for folder, _, _ in os.walk(directory, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        left = [directory for directory in left if directory.exists()]
        if not left:
            return
        if time.monotonic() > deadline:
            raise DevclusterError(f"the cgroup {left[0]} is still busy; run `down` again in a moment")
        time.sleep(0.05)


def _pass_down(directory: Path, controllers: frozenset[str]) -> None:
    control = directory / "cgroup.subtree_control"
    lacking = controllers - set(control.read_text().split())
    if not lacking:
        return
    try:
        control.write_text(" ".join(f"+{name}" for name in sorted(lacking)))
    except OSError as problem:
        raise MachineError(
            f"the cgroup controllers {', '.join(sorted(lacking))} cannot be passed down from {directory}: {problem}"
        ) from problem
