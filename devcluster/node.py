"""The first process of the node: prepares its mounts and network, starts the components and keeps them running.

It is process 1 of its process namespace: when it ends, however that happens, the kernel ends everything else in the
node, and with the last process go the node's mounts, links and nftables tables. Run by `cluster.py`, not by hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import components, programs, settings
from devcluster.commands import SYSTEM_PATH, run
from devcluster.waiting import wait_for

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
"""Seconds before a component that ended is started again: doubled each time, until it has run for a while."""
STATUS = "components.json"


@dataclass
class Supervised:
    """A component and what became of it."""

    component: components.Component
    pid: int = 0
    started: float = 0.0
    start_at: float = 0.0
    delay: float = FIRST_DELAY
    restarts: int = field(default=-1)
    ended: str = ""


def main(state: Path) -> None:
    """Never returns while the node lives."""
    own = {str(programs.path(program).parent) for program in ("runc", "containerd-shim-runc-v2")}
    os.environ["PATH"] = ":".join([*sorted(own), SYSTEM_PATH])
    _mounts(state)
    _network(state)
    children = [Supervised(component) for component in components.components(state)]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    reported = ""
    while True:
        _reap(children)
        _start(state, children)
        reported = _report(state, children, reported)
        received = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, 0.1 if _waiting(children) else 5)
        if received is not None and received.si_signo == signal.SIGTERM:
            return


def _mounts(state: Path) -> None:
    """Private places for what programs write to fixed paths."""
    run("mount", "--make-rshared", "/")  # within the node; the machine sees nothing of it (see --propagation slave)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for place, target in (("log", "/var/log"), ("kubelet", "/var/lib/kubelet"), ("cni-results", "/var/lib/cni")):
        (state / place).mkdir(exist_ok=True)
        Path(target).mkdir(parents=True, exist_ok=True)  # another cluster's `down` may have removed it just now
        run("mount", "--bind", str(state / place), target)
    for name, value in settings.KUBELET_TUNABLES.items():
        shown = state / "tunables" / name
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(f"{value}\n")
        if (Path("/proc/sys") / name).exists():
            run("mount", "--bind", str(shown), f"/proc/sys/{name}")


def _network(state: Path) -> None:
    run("ip", "link", "set", "lo", "up")
    wait_for("the link to the machine", lambda: "eth0" in run("ip", "-br", "link"), seconds=30, every=0.05)
    run("ip", "addr", "add", f"{settings.node_address()}/30", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "route", "add", "default", "via", settings.host_address())
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    run("nft", "-f", str(state / "nftables"))


def _start(state: Path, children: list[Supervised]) -> None:
    """Start what is due."""
    # the key is the last thing that the API server writes: then its certificate is whole
    if not components.admin_kubeconfig(state).exists() and (state / "pki" / "apiserver.key").exists():
        components.write_kubeconfigs(state)
    for child in children:
        if child.pid == 0 and time.monotonic() >= child.start_at and all(n.exists() for n in child.component.needs):
            child.pid = _spawn(state, child.component)
            child.started = time.monotonic()
            child.restarts += 1


def _spawn(state: Path, component: components.Component) -> int:
    logs = state / "logs"
    logs.mkdir(exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    log = os.open(logs / f"{component.name}.log", flags, 0o644)
    try:
        return os.posix_spawn(
            component.command[0],
            component.command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            setsigmask=[],
            setpgroup=0,
        )
    finally:
        os.close(log)


def _reap(children: list[Supervised]) -> None:
    """Collect ended processes: the components, and whatever containers left to process 1."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            for child in children:
                if child.pid == pid:
                    _note_end(child, status)


def _note_end(child: Supervised, status: int) -> None:
    now = time.monotonic()
    code = os.waitstatus_to_exitcode(status)
    child.ended = f"exit code {code}" if code >= 0 else f"signal {-code}"
    child.delay = FIRST_DELAY if now - child.started > 30 else min(child.delay * 2, LONGEST_DELAY)
    child.pid = 0
    child.start_at = now + child.delay


def _waiting(children: list[Supervised]) -> bool:
    return any(child.pid == 0 for child in children)


def _report(state: Path, children: list[Supervised], before: str) -> str:
    """Tell `status` what runs, when that changed."""
    report = {
        child.component.name: {"running": child.pid != 0, "restarts": max(child.restarts, 0), "lastEnd": child.ended}
        for child in children
    }
    text = json.dumps(report, indent=1)
    if text != before:
        scratch = state / f".{STATUS}"
        scratch.write_text(text)
        scratch.replace(state / STATUS)
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
