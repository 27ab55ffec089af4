"""A requests adapter whose every exchange has an end: so many seconds in all, so many bytes unpacked.

The time limit of requests counts from byte to byte, so a server that drips, in the headers too, is read for ever; and
a body is read whole, however long it is. Here a timer shuts the socket, which ends whatever read waits on it, and the
body is counted as it is unpacked: a few kilobytes of gzip can be gigabytes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_PIECE = 65536


class ResponseTooLargeError(requests.RequestException):
    """The body is longer than allowed."""


class _Deadline(threading.local):
    """What the timer of the thread's exchange has to shut; urllib3 tells nobody which socket it uses."""

    watch: _Watch | None = None


class _Watch:
    """One exchange. `passed` once its time is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.passed = False

    def follow(self, used: socket.socket | None) -> None:
        """The exchange goes over this socket from now on."""
        with self._lock:
            self._socket = used
            if self.passed:
                self._shut()

    def end(self) -> None:
        """Time is over: what reads or writes there returns at once."""
        with self._lock:
            self.passed = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # That of ssl would take the session from under the reader's feet.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


_deadline = _Deadline()


class _Followed:
    """Mixed into urllib3's connections: says which socket is used, be it new or kept alive."""

    sock: Any

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._follow()
        super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        # With `Connection: close` the connection lets go of its socket before the body is read.
        self._follow()
        return super().getresponse()  # type: ignore[misc]

    def _follow(self) -> None:
        if _deadline.watch is not None:
            _deadline.watch.follow(self.sock)


class _Connection(_Followed, HTTPConnection):
    """HTTP."""


class _TlsConnection(_Followed, HTTPSConnection):
    """HTTPS. The handshake as a whole keeps to the socket's timeout (ssl)."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class BoundedAdapter(HTTPAdapter):
    """Sends without retries, and returns with the body read or an exception of requests. Used from several threads."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds, self._most = seconds, most_bytes
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As requests does, with connections that say which socket they use."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(self, request: requests.PreparedRequest, *_: Any, **kwargs: Any) -> requests.Response:
        """Raises requests.Timeout when the time is over, at whatever point, and ResponseTooLargeError."""
        with self._limited() as watch:
            try:
                response = super().send(request, **{**kwargs, "stream": True, "timeout": self._seconds})
                self._read(response)
            except (requests.RequestException, OSError) as error:
                if watch.passed:
                    raise requests.Timeout(request=request) from error
                raise
            # A body without a length that was shut off looks as if it had ended.
            if watch.passed:
                raise requests.Timeout(request=request)
            return response

    @contextlib.contextmanager
    def _limited(self) -> Iterator[_Watch]:
        watch = _deadline.watch = _Watch()
        timer = threading.Timer(self._seconds, watch.end)
        timer.daemon = True
        timer.start()
        try:
            yield watch
        finally:
            timer.cancel()
            # A timer that fires this late must not shut a connection that the next question uses.
            watch.follow(None)
            _deadline.watch = None

    def _read(self, response: requests.Response) -> None:
        pieces, length = [], 0
        for piece in response.iter_content(_PIECE):
            length += len(piece)
            if length > self._most:
                # Closed, not drained for the next question.
                response.close()
                raise ResponseTooLargeError(response=response)
            pieces.append(piece)
        response._content = b"".join(pieces)  # noqa: SLF001 - where requests keeps what it has read
