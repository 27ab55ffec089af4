"""The HTTP face: discovery by long polling, and acknowledgements from other replicas.

A poll is answered at once when there is something newer than what the proxy runs. Otherwise it is held until there is,
and answered 304 after 25 s, before the proxy's own timeout of 30 s. A policy that is not known (yet) is held the same
way: the proxy of a new policy may be faster than the watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp import web

from accord.adapters.routers.envoy.door import canonical_address
from accord.adapters.routers.envoy.forwarding import ACKNOWLEDGEMENTS_PATH, Ack, parse_ack
from accord.adapters.routers.envoy.polling import BEGINNING, MalformedError, Poll, named_in, parse_poll
from accord.adapters.routers.envoy.snapshot import Offer
from accord.adapters.routers.envoy.waiting import Waiters
from accord.adapters.routers.envoy.xds import HOLD_SECONDS

_log = logging.getLogger(__name__)
_MOST_BYTES = 512 * 1024
"""Limit of a request body. Envoy sends a list of all its extensions in each poll, tens of kilobytes."""
_GIVE_WAY_SECONDS = 5.0
_READ_SECONDS = 10.0
_STRANGER_SECONDS = 5.0
"""How long the watch of EndpointSlices may be behind a new proxy."""
_GLANCE_SECONDS = 1.0
_MOST_STRANGERS = 64
_MOST_POLLS = 256
"""Polls that one address may hold open. A proxy has one for each subscription, for a moment twice as many."""
_TELL_SECONDS = 60.0


@dataclass(frozen=True)
class Hold:
    """Nothing to send for now. `behind`: the proxy knows more than this replica, and may find a better informed one."""

    seconds: float = HOLD_SECONDS
    behind: bool = False


class XdsHandler(Protocol):
    """Who decides about polls. Every call returns at once."""

    def knows(self, address: str) -> bool:
        """Whether this is the address of a pod of any router."""

    def admits(self, poll: Poll, address: str) -> bool:
        """Whether the pod that the poll names is one of that policy's router, and has this address."""

    def trusts(self, key: str) -> bool:
        """Whether this is the key by which the leader knows its standbys."""

    def turned_away(self, named: tuple[str, str, str], address: str) -> None:
        """Somebody with that address polled in the name of that pod, and it is nobody's that is known."""

    def hear(self, poll: Poll) -> None:
        """Note what the proxy says that it runs."""

    def answer(self, poll: Poll) -> Offer | Hold:
        """What to send now, or how long to hold the poll before asking again."""

    def hear_ack(self, ack: Ack) -> None:
        """Note what another replica heard."""


class DiscoveryServer:
    """Handlers of the xDS application.

    Any pod of the cluster can reach them. So next to nothing is read or kept for a connection from an address that is
    not that of a router's pod; a pod is told of its own policy alone, and believed about itself alone.
    """

    def __init__(self, handler: XdsHandler, waiters: Waiters) -> None:
        self._handler = handler
        self._waiters = waiters
        self._strangers = 0
        self._polls: Counter[str] = Counter()
        self._told_at = -math.inf

    def application(self) -> web.Application:
        """The application; when it shuts down, all held polls are released at once."""
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post("/v3/discovery:{kind}", self._discover)
        app.router.add_post(ACKNOWLEDGEMENTS_PATH, self._acknowledge)
        app.on_shutdown.append(self._release)
        return app

    async def _release(self, _: web.Application) -> None:
        self._waiters.close()

    async def _discover(self, request: web.Request) -> web.StreamResponse:
        address = canonical_address(request.remote or "")
        if not self._handler.knows(address):
            refusal = await self._refuse_stranger(request, address)
            if refusal is not None:
                return refusal
        if self._polls[address] >= _MOST_POLLS:
            return _refusal(503, f"too many open polls from {address} (limit {_MOST_POLLS})")
        self._polls[address] += 1
        try:
            return await self._poll(request, address)
        finally:
            self._polls[address] -= 1
            if not self._polls[address]:
                del self._polls[address]

    async def _refuse_stranger(self, request: web.Request, address: str) -> web.Response | None:
        """None once the address is that of a router's pod: a new pod may be faster than the watch."""
        if self._strangers >= _MOST_STRANGERS or self._waiters.closed:
            return _refusal(503, "too many polls from unknown addresses")
        self._strangers += 1
        try:
            await self._waiters.wait(address, _STRANGER_SECONDS)
            if self._handler.knows(address):
                return None
            named = await self._named(request)
        finally:
            self._strangers -= 1
        if named is not None:
            self._handler.turned_away(named, address)
        self._tell(f"{address} is not the address of a router pod")
        return _refusal(403, f"{address} is not the address of a router pod")

    @staticmethod
    async def _named(request: web.Request) -> tuple[str, str, str] | None:
        """In whose name a stranger polls, from what has arrived of its request by now."""
        with contextlib.suppress(TimeoutError, OSError, aiohttp.ClientError):
            async with asyncio.timeout(_GLANCE_SECONDS):
                return named_in(await request.content.read(BEGINNING))
        return None

    async def _poll(self, request: web.Request, address: str) -> web.StreamResponse:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                body = await request.read()
            poll = parse_poll(request.match_info["kind"], body)
            del body
        except MalformedError as error:
            return web.Response(status=400, text=f"{error}\n")
        except TimeoutError:
            return _refusal(408, f"request body not received within {_READ_SECONDS:.0f} s")
        if not self._handler.admits(poll, address):
            self._tell(f"{address} is not the address of pod {poll.pod} of {poll.namespace}/{poll.policy}")
            return _refusal(403, "a pod may only poll for its own policy")
        self._handler.hear(poll)
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            answer = self._handler.answer(poll)
            if isinstance(answer, Offer):
                return web.Response(body=answer.body, content_type="application/json")
            left = start + (_GIVE_WAY_SECONDS if answer.behind else HOLD_SECONDS) - loop.time()
            if left <= 0 or self._waiters.closed:
                break
            await self._waiters.wait((poll.namespace, poll.policy, poll.key), min(left, answer.seconds))
        response = web.Response(status=304)
        if answer.behind or self._waiters.closed:
            response.force_close()  # the next connection of the proxy may reach another replica
        return response

    async def _acknowledge(self, request: web.Request) -> web.StreamResponse:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self._handler.trusts(key):
            return _refusal(403, "only replicas of the operator may forward acknowledgements")
        try:
            body = json.loads(await request.read())
            if not isinstance(body, list):
                raise MalformedError("the body must be a list of acknowledgements")
            acks = [parse_ack(item) for item in body]
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        for item in acks:
            self._handler.hear_ack(item)
        return web.Response(status=204)

    def _tell(self, why: str) -> None:
        """One line a minute, whoever asks however often."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            _log.warning("rejected poll: %s", why)


def _refusal(status: int, why: str) -> web.Response:
    """Ends the connection: what is still to come on it is not waited for."""
    response = web.Response(status=status, text=f"{why}\n")
    response.force_close()
    return response
