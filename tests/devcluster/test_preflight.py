"""Each thing that the machine may lack is said in one sentence, before anything is changed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from devcluster.errors import DevclusterError, MachineError
from devcluster_command import Devcluster

from devcluster import cgroups, cli, commands, controlplane, preflight, programs


def test_not_linux(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "platform", "darwin")

    assert cli.main(["up"]) == 1

    said = capsys.readouterr().err
    assert "needs Linux, and this is darwin" in said
    assert "make demo KUBECONFIG=" in said
    assert "make test KUBECONFIG=" in said


@pytest.mark.parametrize("command", ["up", "down"])
def test_not_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert cli.main([command]) == 1

    assert "needs root" in capsys.readouterr().err


def test_no_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    with pytest.raises(MachineError, match=r"Go is not installed: .* install Go 1\.21 or newer"):
        preflight.check_machine()


def test_go_too_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go1.19.8\n")
    old.chmod(0o755)
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(MachineError, match=r"Go is too old: .* is go1\.19\.8, and 1\.21 or newer is needed"):
        preflight.check_machine()


def test_go_is_not_asked_for_when_everything_is_built(monkeypatch: pytest.MonkeyPatch):
    programs.ensure(programs.CONTROL_PLANE, progress=SimpleNamespace())  # built by now, or the tests before failed
    monkeypatch.setattr(programs, "missing", lambda _: [])
    monkeypatch.setattr(programs, "go_program", lambda: pytest.fail("asked for Go"))

    preflight.check_machine()


def test_disk_full(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_500_000_000))

    with pytest.raises(
        MachineError, match=r"The disk that holds /\S* is too full: \d+ GB are needed, 1\.5 GB are free"
    ):
        preflight.check_and_install()


def test_cgroups_that_do_not_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        cgroups, "hierarchies", lambda: [cgroups.Hierarchy(Path("/sys/fs/cgroup"), 2, frozenset({"pids"}))]
    )

    with pytest.raises(MachineError, match=r"cgroup controllers cpu, cpuset, memory are not available here"):
        preflight.check_and_install()


def test_something_is_missing_and_there_is_no_apt(monkeypatch: pytest.MonkeyPatch):
    real = commands.find
    monkeypatch.setattr(commands, "find", lambda name: None if name in ("nft", "apt-get") else real(name))

    with pytest.raises(MachineError, match=r"nft missing, and there is no apt-get .* Debian calls nftables"):
        preflight.check_and_install()


def test_the_kernel_lets_root_do_too_little(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight, "TRIALS", (("make a veth link", "echo 'Unknown device type.' >&2; exit 2"),))

    with pytest.raises(MachineError, match=r"does not let root make a veth link \(Unknown device type\.\)"):
        preflight.check_and_install()


@pytest.mark.parametrize(
    ("preparation", "sentence"),
    [
        ("ip link set lo up; ip route add 10.196.8.0/24 dev lo", "10.196.0.0/14 is in use here (10.196.8.0/24 on lo)"),
        (
            "ip link add accord-test type bridge",
            "there is a network link accord-test here that this cluster did not make",
        ),
    ],
)
def test_names_and_addresses_that_are_taken(devcluster: Devcluster, preparation: str, sentence: str):
    # in a network namespace of its own, where the test may take what it likes
    script = f"{preparation}; exec {sys.executable} -m devcluster up"
    done = subprocess.run(
        ["unshare", "--net", "/bin/sh", "-c", script],
        env=devcluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "make demo KUBECONFIG=" in done.stderr
    assert not devcluster.state.exists()


def test_a_port_that_is_taken_is_only_taken_once(monkeypatch: pytest.MonkeyPatch):
    """The full cluster has the node's own ports; the control plane picks free ones, and others when it was too slow."""
    real = controlplane.free_ports
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    answers = [[*real(2), taken.getsockname()[1]]]
    monkeypatch.setattr(controlplane, "free_ports", lambda count: answers.pop() if answers else real(count))

    with taken, controlplane.ControlPlane() as started:
        assert "default" in started.kubectl("get", "namespaces")
    assert not answers


def test_a_network_that_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACCORD_DEVCLUSTER_NETWORK", "10.0.0.0/24")

    with pytest.raises(DevclusterError, match=r"must be a /14"):
        preflight.check_free()
