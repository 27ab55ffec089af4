"""The HTTP server that Prometheus scrapes a trainer through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class MetricsServer:
    """Serves a registry from a thread of its own; `close` it, or use it as a context manager."""

    def __init__(self, port: int, registry: CollectorRegistry) -> None:
        self._app = make_wsgi_app(registry)
        self._scrapes = threading.Condition()
        self._begun = 0
        self._answered = 0
        self._server = _listen(port)
        self._server.set_app(self._answer)
        self.port: int = self._server.server_port
        """The port it listens on: a free one if 0 was asked for."""
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def wait_for_scrape(self, timeout: float = 30.0) -> bool:
        """Wait until everything reported so far has been scraped, at most `timeout` seconds; whether it was.

        A trainer that leaves at its last step is never seen at that step: this closes the gap.
        """
        with self._scrapes:
            needed = self._begun + 1
            return self._scrapes.wait_for(lambda: self._answered >= needed, timeout)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, environment: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._scrapes:
            self._begun += 1
            number = self._begun
        return _Answer(self._app(environment, start_response), lambda: self._sent(number))

    def _sent(self, number: int) -> None:
        with self._scrapes:
            self._answered = max(self._answered, number)
            self._scrapes.notify_all()


class _Answer:
    """A response body that says when it is sent: a WSGI server closes it after the last byte (PEP 3333)."""

    def __init__(self, body: Iterable[bytes], sent: Callable[[], None]) -> None:
        self._body = body
        self._sent = sent

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        self._sent()


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds for a client to send its request

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Say nothing: a line a scrape would drown the trainer's own."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not by the base class, which asks DNS for the name of the host and may wait for it.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


def _listen(port: int) -> _Server:
    """On all addresses: of both families where the machine has IPv6, else of IPv4."""
    if socket.has_dualstack_ipv6():
        return _Server6(("::", port), _Handler)
    return _Server(("", port), _Handler)
