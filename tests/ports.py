"""Ports that a program of a test can listen on a moment later."""

from __future__ import annotations

import random
import socket

_RANGE = range(20_000, 30_000)
"""Below those that the kernel gives to connections and to services of nodes: under load one of them may be taken
between here and there."""


def free_ports(count: int) -> list[int]:
    """So many ports of the loopback interface that nobody listens on."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"there are no {count} free ports in {_RANGE}")


def free_port() -> int:
    """One of them."""
    (port,) = free_ports(1)
    return port
