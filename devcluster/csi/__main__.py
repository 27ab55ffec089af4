"""Runs the driver on two sockets below the kubelet's directory, until SIGTERM."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from csi_stubs import csi_pb2_grpc, registration_pb2_grpc

from devcluster.csi import service
from devcluster.csi.volumes import Store

THREADS = 16
GRACE = 1.0
"""Seconds that a call gets to end after SIGTERM."""


class Log(grpc.ServerInterceptor):  # type: ignore[misc] # grpc comes with the driver's own environment
    """A line for each call that changes something."""

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Say its name."""
        call = details.method.rpartition("/")[2]
        if call.startswith(("Create", "Delete", "NodePublish", "NodeUnpublish")):
            say(call)
        return continuation(details)


def say(text: str) -> None:
    """To the log."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def main() -> None:
    """Returns after SIGTERM."""
    parser = argparse.ArgumentParser(prog="devcluster.csi")
    parser.add_argument("--name", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--registration-socket", type=Path, required=True)
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})  # before gRPC starts its threads
    store = Store(options.data, say)
    driver = _serve(options.socket)
    csi_pb2_grpc.add_IdentityServicer_to_server(service.Identity(options.name), driver)
    csi_pb2_grpc.add_ControllerServicer_to_server(service.Controller(store), driver)
    csi_pb2_grpc.add_NodeServicer_to_server(service.Node(store, options.node), driver)
    driver.start()
    registration = _serve(options.registration_socket)
    registered = service.Registration(options.name, options.socket, say)
    registration_pb2_grpc.add_RegistrationServicer_to_server(registered, registration)
    registration.start()  # last: the kubelet calls the driver as soon as it sees this one
    say("serving")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    options.registration_socket.unlink(missing_ok=True)  # this makes the kubelet forget the driver
    registration.stop(GRACE).wait()
    driver.stop(GRACE).wait()


def _serve(socket: Path) -> Any:
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)  # of a driver that was killed
    server = grpc.server(futures.ThreadPoolExecutor(THREADS), interceptors=[Log()])
    server.add_insecure_port(f"unix://{socket}")
    return server


if __name__ == "__main__":
    main()
