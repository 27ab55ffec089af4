"""A small HTTP/1.1 server and client on asyncio: fast enough not to be what the tests measure."""

from __future__ import annotations

import asyncio
import collections
from dataclasses import dataclass, field


class Backend:
    """One pod of a mode: answers with the name of the mode, and counts what it sees."""

    def __init__(self, mode: str, host: str = "127.0.0.1") -> None:
        self.mode, self.host, self.port = mode, host, 0
        self.status = 200
        self.health = 200
        self.health_path = "/healthz"
        self.strict_host: str | None = None
        """Any other Host header is answered 400, where there is one."""
        self.checked: list[str] = []
        """Host headers of the health checks."""
        self.delay = 0.0
        self.requests: collections.Counter[str] = collections.Counter()
        self.bodies: list[bytes] = []
        self.seen: collections.deque[dict[str, str]] = collections.deque(maxlen=100)
        """Headers of the newest requests, by name in lower case."""
        self._server: asyncio.Server | None = None
        self.connections: set[asyncio.Transport] = set()

    async def start(self, port: int = 0) -> Backend:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Serving(self), self.host, port, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for transport in list(self.connections):
                transport.abort()
            self._server = None


class _Serving(asyncio.Protocol):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._backend.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._backend.connections.discard(self._transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head, rest = self._data[:end].decode("latin-1"), self._data[end + 4 :]
            length = 0
            for line in head.lower().split("\r\n")[1:]:
                if line.startswith("content-length:"):
                    length = int(line.partition(":")[2])
            if len(rest) < length:
                return
            self._data = rest[length:]
            lines = [line.partition(":") for line in head.split("\r\n")[1:]]
            self._answer(*head.split(" ", 2)[:2], {n.lower(): v.strip() for n, _, v in lines}, rest[:length])

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        backend = self._backend
        if path.startswith("/health"):
            backend.checked.append(headers.get("host", ""))
            known = path == backend.health_path
            strict = backend.strict_host not in (None, headers.get("host"))
            self._write(400 if strict else backend.health if known else 404)
            return
        backend.seen.append(headers)
        backend.requests[method] += 1
        if body:
            backend.bodies.append(body)
        if backend.delay:
            asyncio.get_running_loop().call_later(backend.delay, self._write, backend.status)
        else:
            self._write(backend.status)

    def _write(self, status: int) -> None:
        body = self._backend.mode.encode()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))


@dataclass
class Reply:
    status: int
    body: str
    headers: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def cookie(self) -> str | None:
        """The mode in the sticky cookie that this answer sets."""
        text = self.header("set-cookie")
        return text.partition(";")[0].partition("=")[2] if text else None


class Client:
    """One kept-alive connection; opened again when the server asked to close it."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def get(self, path: str = "/", **headers: str) -> Reply:
        return await self.request("GET", path, headers)

    async def request(
        self, method: str, path: str = "/", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", "host: test"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in (headers or {}).items()]
        if body or method in ("POST", "PUT"):
            lines.append(f"content-length: {len(body)}")
        try:
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in head[1:]) if n]
            reply = Reply(int(head[0].split(" ")[1]), "", fields)
            reply.body = (await reader.readexactly(int(reply.header("content-length") or 0))).decode()
        except BaseException:
            self.close()
            raise
        if reply.header("connection") == "close":
            self.close()
        return reply
