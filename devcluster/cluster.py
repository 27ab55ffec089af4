"""The full cluster: up, down, health. See `settings.py` for the shape of it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devcluster import (
    archive,
    cgroups,
    cleanup,
    commands,
    components,
    configuration,
    credentials,
    csibuild,
    health,
    imagebuild,
    network,
    paths,
    preflight,
    programs,
    settings,
    snapshots,
    storage,
)
from devcluster.errors import DevclusterError
from devcluster.kubectl import Kubectl, KubectlError
from devcluster.progress import Progress
from devcluster.waiting import wait_for

LOCK = Path("/run/lock") / f"{settings.NAME}.lock"
SELF_REPAIR = 20.0
"""Seconds that a running node gets to put a failed component right before it is started afresh."""


def up(progress: Progress) -> None:
    """Bring the cluster up, whatever is left of an earlier one; nothing to do when it is up and healthy."""
    preflight.check_machine()
    with only_one(progress):
        if _usable(progress):
            progress.total(f"The cluster is up already: {components.admin_kubeconfig(paths.state_dir())}")
            return
        prepare(progress)
        left = cleanup.traces()
        if left:
            with progress.stage(f"clear away what an earlier cluster left ({len(left)} traces)"):
                cleanup.remove_everything()
        preflight.check_free()
        with progress.stage("start the node"):
            _start_node()
            _wait("the API server", health.api_ready, 60)
        with progress.stage("wait for the node to be ready"):
            kubectl = Kubectl(components.admin_kubeconfig(paths.state_dir()))
            _apply(kubectl)
            _wait("containerd", lambda: (paths.state_dir() / "containerd/containerd.sock").exists(), 30)
            imagebuild.load_archive(archive.pause_image())
            _wait("the node", health.node_ready, 60)
            _wait("name resolution", health.names_resolve, 60)
            _wait("storage", health.storage_ready, 60)
        _hand_over(components.admin_kubeconfig(paths.state_dir()))
        # last: without it the next `up` knows that this one did not come to its end
        credentials.write_private(paths.state_dir() / "fingerprint", _fingerprint())
        progress.total(f"The cluster is up: {components.admin_kubeconfig(paths.state_dir())}")


def prepare(progress: Progress) -> None:
    """What a cluster is started from: Debian's packages and our programs, those that are not there yet."""
    with progress.stage("check the machine, install what it lacks"):
        preflight.check_and_install()
    programs.ensure(programs.EVERYTHING, progress)
    csibuild.ensure(progress)


def down(progress: Progress) -> None:
    """Remove the cluster and every trace of it."""
    preflight.check_linux_and_root()
    with only_one(progress):
        with progress.stage("remove processes, mounts, links, cgroups and files"):
            count = cleanup.remove_everything()
        progress.total(f"The cluster is gone ({count} processes ended)")


@contextlib.contextmanager
def only_one(progress: Progress) -> Iterator[None]:
    """One command at a time changes the cluster; the kernel gives the lock back however a command ends."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("  another devcluster command is at work; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _usable(progress: Progress) -> bool:
    try:
        health.node_process()
        same = (paths.state_dir() / "fingerprint").read_text() == _fingerprint()
    except (OSError, DevclusterError):
        return False
    if not same:
        progress.say("  the running cluster is of another version: it is started afresh, what was in it is lost")
        return False
    deadline = time.monotonic() + SELF_REPAIR
    while health.problems():
        if time.monotonic() > deadline:
            progress.say(f"  the running cluster is started afresh, what was in it is lost: {health.problems()[0]}")
            return False
        time.sleep(0.5)
    return True


def _start_node() -> None:
    state = paths.state_dir()
    state.mkdir(parents=True, mode=0o711)
    cleanup.remember()
    components.write_files(state, _snapshotter(state))
    cgroups.create()
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("HOME", "PATH", "LANG", "ACCORD_CACHE")},
        **{name: value for name, value in os.environ.items() if name.startswith(f"{settings.MARKER}_")},
        settings.MARKER: settings.NAME,
        "PYTHONPATH": str(paths.CHECKOUT),
    }
    # a shell waits for the word to go, so that nothing is started before it is in its cgroups; `unshare` then is a
    # process in the new namespaces, and the node's process 1 its only child, killed with it
    isolate = ["unshare", "--net", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child=SIGKILL"]
    first = ["--mount-proc", sys.executable, "-m", "devcluster.node", str(state)]
    with (state / "node.log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r go && exec "$@" < /dev/null', "sh", *isolate, *first],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    cgroups.enter(process.pid)
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.close()
    (state / "node.pid").write_text(str(process.pid))
    here = str(Path("/proc/self/ns/net").readlink())
    wait_for("the node's network namespace", lambda: _namespace(process, state) != here, seconds=10, every=0.01)
    network.connect(process.pid)


def _hand_over(kubeconfig: Path) -> None:
    """Whoever called sudo may read it."""
    if os.environ.get("SUDO_UID", "").isdigit() and os.environ.get("SUDO_GID", "").isdigit():
        os.chown(kubeconfig, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def _namespace(process: subprocess.Popen[bytes], state: Path) -> str:
    if process.poll() is not None:
        raise DevclusterError(f"the node ended at once: {commands.last_line(state / 'node.log')}")
    return str(Path(f"/proc/{process.pid}/ns/net").readlink())


def _fingerprint() -> str:
    state = paths.state_dir()
    own = str(csibuild.python())  # one's own Python differs from that of sudo; the cluster need not
    commands_ = [[part for part in each.command if part != own] for each in components.components(state)]
    parts = (commands_, configuration.files(state, "any"), csibuild.source_key())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _snapshotter(state: Path) -> str:
    """`overlayfs`, or plain copies where the state directory itself is on an overlay (inside a container)."""
    trial = [state / name for name in ("trial-lower", "trial-upper", "trial-work", "trial")]
    for directory in trial:
        directory.mkdir()
    lower, upper, work, place = map(str, trial)
    try:
        commands.run(
            "unshare",
            "--mount",
            "mount",
            "-t",
            "overlay",
            "-o",
            f"lowerdir={lower},upperdir={upper},workdir={work}",
            "x",
            place,
        )
    except DevclusterError:
        return "native"
    return "overlayfs"


def _apply(kubectl: Kubectl) -> None:
    """What the cluster needs to know. The class of snapshots after their kinds, which need a moment."""
    listed = {"apiVersion": "v1", "kind": "List", "items": [*configuration.objects(), *storage.objects()]}

    def applied(manifest: str) -> bool:
        try:
            kubectl("apply", "--server-side", "-f", "-", input=manifest)
        except KubectlError:
            return False  # the first moments: the service range, the namespace or the kind is not there yet
        return True

    first = f"{json.dumps(listed)}\n---\n{snapshots.crds()}"
    _wait("the API server to accept objects", lambda: applied(first), 30)
    _wait("the kinds of snapshots", lambda: applied(json.dumps(storage.snapshot_class())), 30)
    components.served(paths.state_dir()).touch()


def _wait(what: str, condition: Any, seconds: float) -> None:
    def alive_and_true() -> bool:
        health.node_process()
        return bool(condition())

    try:
        wait_for(what, alive_and_true, seconds)
    except DevclusterError as problem:
        failing = [
            f"{name} ({state['lastEnd']})" for name, state in health.component_states().items() if state["restarts"]
        ]
        reason = f"; restarted meanwhile: {', '.join(failing)}" if failing else ""
        raise DevclusterError(f"{problem}{reason}; logs are in {paths.state_dir()}/logs and node.log") from problem
