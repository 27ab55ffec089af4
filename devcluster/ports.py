"""Ports of the loopback interface that a program can listen on a moment later.

A port that is only found free may be taken before the program listens on it: by the kernel, for a connection or for who
asks for any port; by another process that looks for one; by this process, for its next program. Therefore they are
below those that the kernel gives away, each process has a block of its own, and gives its ports out in turn.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
import threading

_RANGE = range(20_000, 30_000)
"""Below those that the kernel gives to connections and to services of nodes."""
_BLOCK = 100


class _Ports:
    """The block of one process. It holds the block by a name that the kernel frees when the process ends."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._claim, self._block = _claimed()
        self._turn = itertools.cycle(self._block)

    def next(self) -> int:
        for port in itertools.islice(self._turn, len(self._block)):
            if _is_free(port):
                return port
        raise RuntimeError(f"none of the ports {self._block.start} to {self._block.stop - 1} is free")


_lock = threading.Lock()
_ports: _Ports | None = None


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on, and that nobody else is given who asks here."""
    global _ports
    with _lock:
        if _ports is None or _ports.owner != os.getpid():
            _ports = _Ports()
        return [_ports.next() for _ in range(count)]


def free_port() -> int:
    """One of them."""
    (port,) = free_ports(1)
    return port


def _claimed() -> tuple[socket.socket, range]:
    """A block that is no other process's of this network namespace, and what holds it."""
    starts = range(_RANGE.start, _RANGE.stop, _BLOCK)
    for start in random.SystemRandom().sample(starts, len(starts)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0accord-ports-{start}")
        except OSError:
            claim.close()
        else:
            return claim, range(start, start + _BLOCK)
    raise RuntimeError(f"{len(starts)} processes have taken all blocks of ports in {_RANGE}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
