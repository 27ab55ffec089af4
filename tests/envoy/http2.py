"""The least of an HTTP/2 server (RFC 9113): answers every request as a gRPC server that is well."""

from __future__ import annotations

import asyncio

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_SERVING = b"\x00\x00\x00\x00\x02\x08\x01"
"""grpc.health.v1.HealthCheckResponse with status SERVING, as a message of gRPC; any other message it is not."""


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _field(name: str, value: str) -> bytes:
    """A literal header field without indexing (RFC 7541, section 6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class Backend:
    """One pod that speaks nothing but HTTP/2."""

    def __init__(self, mode: str) -> None:
        self.mode, self.host, self.port = mode, "127.0.0.1", 0
        self.requests = 0
        self.mistaken = 0
        """Connections that did not begin as HTTP/2 does."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> Backend:
        self._server = await asyncio.start_server(self._serve, self.host)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if await reader.readexactly(len(PREFACE)) != PREFACE:
                self.mistaken += 1
                return
            writer.write(frame(_SETTINGS))
            while True:
                head = await reader.readexactly(9)
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
                payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
                if kind in (_SETTINGS, _PING) and not flags & _ACK:
                    writer.write(frame(kind, _ACK, 0, payload if kind == _PING else b""))
                if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                    self._answer(writer, stream)
        except (OSError, EOFError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, stream: int) -> None:
        self.requests += 1
        status_200 = b"\x88"
        headers = status_200 + _field("content-type", "application/grpc") + _field("x-pod", self.mode)
        headers += _field("content-length", str(len(_SERVING)))
        writer.write(frame(_HEADERS, _END_HEADERS, stream, headers))
        writer.write(frame(_DATA, 0, stream, _SERVING))
        writer.write(frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _field("grpc-status", "0")))
