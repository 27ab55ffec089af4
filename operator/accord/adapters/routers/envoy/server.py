"""The HTTP face: discovery by long polling, and acknowledgements from other replicas.

A poll is answered at once when there is something newer than what the proxy runs. Otherwise it is held until there is,
and answered 304 after 25 s, before the proxy's own timeout of 30 s. A policy that is not known (yet) is held the same
way: the proxy of a new policy may be faster than the watch.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from accord.adapters.routers.envoy.forwarding import ACKNOWLEDGEMENTS_PATH, Said, parse_said
from accord.adapters.routers.envoy.polling import MalformedError, Poll, parse_poll
from accord.adapters.routers.envoy.snapshot import Offer
from accord.adapters.routers.envoy.waiting import Waiters
from accord.adapters.routers.envoy.xds import HOLD_SECONDS

_MOST_BYTES = 512 * 1024
"""Limit of a request body. Envoy sends a list of all its extensions in each poll, tens of kilobytes."""
_GIVE_WAY_SECONDS = 5.0


@dataclass(frozen=True)
class Hold:
    """Nothing to send for now. `behind`: the proxy knows more than this replica, and may find a better informed one."""

    seconds: float = HOLD_SECONDS
    behind: bool = False


class Desk(Protocol):
    """Who decides about polls. Every call returns at once."""

    def hear(self, poll: Poll) -> None:
        """Note what the proxy says that it runs."""

    def answer(self, poll: Poll) -> Offer | Hold:
        """What to send now, or how long to hold the poll before asking again."""

    def hear_said(self, said: Said) -> None:
        """Note what another replica heard."""


class DiscoveryServer:
    """Handlers of the xDS application."""

    def __init__(self, desk: Desk, waiters: Waiters) -> None:
        self._desk = desk
        self._waiters = waiters

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
        try:
            poll = parse_poll(request.match_info["kind"], await request.read())
        except MalformedError as error:
            return web.Response(status=400, text=f"{error}\n")
        self._desk.hear(poll)
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            answer = self._desk.answer(poll)
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
        try:
            body = json.loads(await request.read())
            if not isinstance(body, list):
                raise MalformedError("the body must be a list of acknowledgements")
            said = [parse_said(item) for item in body]
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        for item in said:
            self._desk.hear_said(item)
        return web.Response(status=204)
