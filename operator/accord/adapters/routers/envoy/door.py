"""How many connections may stand open to the discovery server: an idle one costs memory too, and any pod can open one.

A connection beyond the limit of its kind is closed before a byte of it is read. Those of router's pods and those of
others are counted apart, so that nobody can keep a proxy out.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

_MOST_OF_A_PROXY = 512
_MOST_OF_A_STRANGER = 32
_MOST_OF_STRANGERS = 256


def canonical_address(text: str) -> str:
    """One form for each IP address; what is none stays as it is."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


class Door:
    """Makes a protocol for each connection, and keeps count of them."""

    def __init__(self, inner: Callable[[], asyncio.Protocol], knows: Callable[[str], bool]) -> None:
        """`knows` says whether an address is that of a router's pod."""
        self._inner, self._knows = inner, knows
        self._open: Counter[str] = Counter()
        self._strange: Counter[str] = Counter()

    def __call__(self) -> asyncio.Protocol:
        """A protocol for a new connection."""
        return _Arrival(self, self._inner)

    def admit(self, address: str) -> Counter[str] | None:
        """Count a connection: the book that it is in, None where there is no room for it."""
        if self._knows(address):
            book, full = self._open, self._open.get(address, 0) >= _MOST_OF_A_PROXY
        else:
            book = self._strange
            full = book.get(address, 0) >= _MOST_OF_A_STRANGER or book.total() >= _MOST_OF_STRANGERS
        if full:
            return None
        book[address] += 1
        return book


class _Arrival(asyncio.Protocol):
    """Passes everything on to the protocol behind it, once the connection is admitted."""

    def __init__(self, door: Door, inner: Callable[[], asyncio.Protocol]) -> None:
        self._door, self._make = door, inner
        self._inner: asyncio.Protocol | None = None
        self._book: Counter[str] | None = None
        self._address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit it or close it."""
        peer = transport.get_extra_info("peername")
        self._address = canonical_address(str(peer[0])) if peer else ""
        self._book = self._door.admit(self._address)
        if self._book is None:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
            return
        self._inner = self._make()
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take it out of the books."""
        if self._book is not None:
            self._book[self._address] -= 1
            if not self._book[self._address]:
                del self._book[self._address]
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self._inner is not None:
            self._inner.resume_writing()


class GuardedRunner(web.AppRunner):
    """Serves an application behind a door."""

    def __init__(self, app: web.Application, knows: Callable[[str], bool], **options: Any) -> None:
        super().__init__(app, access_log=None, keepalive_timeout=35, **options)
        self._knows = knows

    @property
    def server(self) -> Any:
        """What sites make connections with."""
        inner = super().server
        return None if inner is None else Door(inner, self._knows)
