"""One DNS question, to see that names of Services resolve through the service network."""

from __future__ import annotations

import os
import socket
import struct


def resolves(name: str, server: str, seconds: float = 1.0) -> bool:
    """Whether `server` has an IPv4 address for `name`."""
    number = os.urandom(2)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    question = number + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(seconds)
        try:
            channel.sendto(question, (server, 53))
            answer = channel.recv(4096)
        except OSError:
            return False
    if len(answer) < 12 or answer[:2] != number:
        return False
    return answer[3] & 0x0F == 0 and int.from_bytes(answer[6:8], "big") > 0
