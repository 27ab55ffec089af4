"""The server of the page: its files, what it shows, and what its buttons ask for."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from aiohttp import web

from accord.cli import connection
from accord.cli.dashboard import guard
from accord.cli.dashboard.view import view
from accord.cli.dashboard.watching import Prometheus, Watcher
from accord.cli.errors import CommandError, NegativeError
from accord.cli.exits import Exit
from accord.cli.printer import Printer
from accord.ports.cluster import ClusterError

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_MOST_BYTES = 64 * 1024
"""Of what a button sends."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def run(args: argparse.Namespace, printer: Printer) -> Exit:
    """Serve until Ctrl-C. CommandError where the cluster cannot be read, or the port is taken."""
    prometheus = Prometheus.of(args)
    target = connection.find(args)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    asyncio.run(_serve(Watcher(args, target, prometheus), printer))
    return Exit.OK


async def _serve(watcher: Watcher, printer: Printer) -> None:
    token = secrets.token_urlsafe(32)
    async with connection.connected(watcher.target) as api:
        await watcher.begin(api)
        runner = web.AppRunner(application(watcher, token), access_log=None)
        await runner.setup()
        try:
            port = await _listen(runner, watcher.args.port)
            where = "all namespaces" if watcher.facts.namespace is None else f"namespace {watcher.facts.namespace}"
            printer.text(f"Dashboard of {where}: http://{guard.HOST}:{port}/#{token}\n")
            printer.text("The URL holds your access to the page: keep it to yourself. Press Ctrl-C to stop.\n")
            printer.flush()
            await watcher.run()
        finally:
            await watcher.close()
            await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> int:
    site = web.TCPSite(runner, guard.HOST, port)
    try:
        await site.start()
    except OSError as error:
        raise CommandError(f"cannot listen on {guard.HOST}:{port}: {error.strerror}") from error
    return int(runner.addresses[0][1])


def application(watcher: Watcher, token: str) -> web.Application:
    """Everything that is answered."""
    served = _Served(
        watcher, {entry.name: entry.read_bytes() for entry in files(__package__).joinpath("assets").iterdir()}
    )

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        sockname = request.transport.get_extra_info("sockname") if request.transport is not None else None
        refused = guard.refusal(request.method, request.path, request.headers, sockname[1] if sockname else 0, token)
        if refused is not None:
            response: web.StreamResponse = web.json_response({"error": refused.message}, status=refused.status)
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = web.json_response({"error": error.reason}, status=error.status)
        response.headers.update(guard.HEADERS)
        return response

    app = web.Application(middlewares=[guarded], client_max_size=_MOST_BYTES)
    app.add_routes(
        [
            web.get("/", served.asset),
            web.get("/{name}", served.asset),
            web.get("/api/view", served.view),
            web.post("/api/act", served.act),
        ]
    )
    return app


@dataclass(frozen=True)
class _Served:
    """What stands behind each address."""

    watcher: Watcher
    assets: Mapping[str, bytes]

    async def asset(self, request: web.Request) -> web.Response:
        """A file of the page."""
        name = request.match_info.get("name", "index.html")
        if name not in self.assets:
            raise web.HTTPNotFound
        return web.Response(body=self.assets[name], content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8")

    async def view(self, _: web.Request) -> web.Response:
        """What the page shows now."""
        self.watcher.looked_at()
        return web.json_response(view(self.watcher.facts, datetime.now(UTC)))

    async def act(self, request: web.Request) -> web.Response:
        """Carry out what a button asks for."""
        asked = guard.asked(await request.read())
        if asked is None:
            return web.json_response({"error": "invalid request"}, status=400)
        try:
            return web.json_response({"said": await self.watcher.act(asked)})
        except NegativeError as error:
            return web.json_response({"error": str(error)}, status=409)
        except (ClusterError, CommandError) as error:
            return web.json_response({"error": str(error)}, status=502)
