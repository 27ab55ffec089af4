"""Removes every trace of the full cluster from the machine, in whatever state it was left.

Nothing here trusts that an earlier step finished: each looks at the machine itself and does nothing when there is
nothing to do. So `up` after a crash and `down` are the same code, and a `down` that was killed is simply repeated.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from devcluster import cgroups, credentials, network, paths, processes, settings
from devcluster.commands import run
from devcluster.errors import DevclusterError

MADE = "mount-points.json"
"""Mount points that were made for the node."""


def traces() -> list[str]:
    """What there is of a cluster, in words; empty when there is nothing."""
    found = [f"process {pid} ({processes.describe(pid)})" for pid in processes.ours()]
    found += [f"mount {place}" for place in mounts()]
    found += [f"cgroup {hierarchy.ours}" for hierarchy in cgroups.hierarchies() if hierarchy.ours.exists()]
    if network.exists():
        found.append(f"link {settings.LINK}")
    if paths.state_dir().exists():
        found.append(f"directory {paths.state_dir()}")
    return found


def remove_everything() -> int:
    """Leave no process, mount, link, cgroup or file of the cluster; how many processes there were."""
    killed = processes.kill_all()
    network.disconnect()
    for place in mounts():
        run("umount", "--lazy", place)
    cgroups.remove()
    _remove_mount_points()
    _remove_state()
    return killed


def remember() -> None:
    """Make the node's mount points, and write down before that which of them are there for nothing else."""
    unused = [place for place in settings.MOUNT_POINTS if not Path(place).exists() or not any(Path(place).iterdir())]
    credentials.write_private(paths.state_dir() / MADE, json.dumps(unused))
    for place in unused:
        Path(place).mkdir(parents=True, exist_ok=True)


def mounts() -> list[str]:
    """Mounts below the state directory that the machine can see, the innermost first. Normally none: they are the
    node's own.
    """
    below = f"{paths.state_dir()}/"
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [place for place in reversed([line.split()[1] for line in lines]) if f"{place}/".startswith(below)]


def _remove_mount_points() -> None:
    try:
        made = json.loads((paths.state_dir() / MADE).read_text())
    except (OSError, ValueError):
        return  # the file is written whole before the first is made
    if processes.of_other_clusters():
        return  # to remove a mount point is to unmount it in every other namespace
    for place in made:
        with contextlib.suppress(OSError):  # somebody else's files are in it now
            Path(place).rmdir()


def _remove_state() -> None:
    if mounts():
        raise DevclusterError(f"{mounts()[0]} is still mounted; nothing below {paths.state_dir()} was deleted")
    shutil.rmtree(paths.state_dir(), ignore_errors=True)
    if paths.state_dir().exists():
        shutil.rmtree(paths.state_dir())
