"""Ports for programs of tests: nobody else is given them."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from devcluster.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
ASK = "from devcluster.ports import free_ports; print(*free_ports(60), flush=True); input()"


def test_no_two_processes_are_given_the_same_ports() -> None:
    mine = set(free_ports(60))
    others = [
        subprocess.Popen(
            [sys.executable, "-c", ASK], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    theirs = [{int(port) for port in other.stdout.readline().split()} for other in others if other.stdout]
    for other in others:
        other.communicate("\n")
    assert [len(ports) for ports in theirs] == [60] * 4
    assert len(mine.union(*theirs)) == 5 * 60


def test_a_port_is_not_given_again_soon_nor_while_somebody_listens() -> None:
    given = free_ports(50)
    assert len(set(given)) == 50
    with socket.create_server(("127.0.0.1", given[0])):
        assert given[0] not in free_ports(150)
