"""The tests' own full cluster: another name and network than the one of the demo, so that both can run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from devcluster.waiting import wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "accord-test"


class Devcluster:
    """Runs `python3 -m devcluster` for the tests' cluster."""

    def __init__(self) -> None:
        self.environment = {
            **os.environ,
            "ACCORD_DEVCLUSTER_NAME": NAME,
            "ACCORD_DEVCLUSTER_NETWORK": "10.196.0.0/14",
        }
        self.state = Path("/var/lib") / NAME

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "devcluster", *arguments],
            cwd=CHECKOUT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __call__(self, *arguments: str, timeout: float = 1500) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, f"devcluster {' '.join(arguments)}:\n{output}"
        return output

    def kubectl(self, *arguments: str) -> str:
        return self("kubectl", "--", *arguments)

    def processes(self) -> dict[int, str]:
        """Its processes on this machine: id → name."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                marked = f"ACCORD_DEVCLUSTER={NAME}".encode() in (entry / "environ").read_bytes().split(b"\0")
                grouped = f"/{NAME}/" in (entry / "cgroup").read_text()
                if (marked or grouped) and " Z " not in (entry / "stat").read_text():
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue
        return found


def lasting(devcluster: Devcluster) -> dict[int, str]:
    """Its processes without those that come and go: what was there each of five times."""
    found = devcluster.processes().items()
    for _ in range(4):
        time.sleep(0.25)
        found &= devcluster.processes().items()
    return dict(found)


def kill_everything(devcluster: Devcluster) -> None:
    def gone() -> bool:
        left = devcluster.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_for("the end of all processes", gone, seconds=30)


def machine() -> dict[str, list[str]]:
    """What a cluster could leave behind, seen from outside, without what clusters of other names have meanwhile."""
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout)
    others = {link["ifname"] for link in links if link.get("ifalias", NAME) != NAME}
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.splitlines()
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines()
    namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.splitlines()
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    settings = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
    state = {path.name for path in Path("/var/lib").iterdir()}
    places = [Path(place) for place in ("/run/containerd", "/var/log/pods", "/var/log/containers", "/opt/containerd")]
    other_clusters = {name for name in state if name.startswith("accord-") and name != NAME}
    return {
        "links": sorted(link["ifname"] for link in links if link["ifname"] not in others),
        "routes": sorted(route for route in routes if not any(f"dev {other} " in route for other in others)),
        "nftables": sorted(tables),
        "namespaces": sorted(namespaces),
        "mounts": sorted(mounts),
        # os.walk passes over what goes meanwhile: pods of other clusters have groups, too
        "cgroups": sorted(f"{path}/{NAME}" for path, folders, _ in os.walk("/sys/fs/cgroup") if NAME in folders),
        "settings": [f"{name}={(Path('/proc/sys') / name).read_text().strip()}" for name in settings],
        "state": sorted(state - other_clusters - {"kubelet", "cni"}),
        # the last cluster to go removes them
        "mount points": [] if other_clusters else sorted(state & {"kubelet", "cni"}),
        "files": [str(place) for place in places if place.exists()],
    }
