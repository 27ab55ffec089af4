"""`python -m llm`: serve until SIGTERM.

/complete      GET ?prompt=…&words=12&temperature=0.7&seed=1: {"text": …}
/healthz       200 while the process runs; a model that fails is still there
/fault         POST ?mode=503&for=60 makes it fail on purpose; ?mode=off ends it
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from aiohttp import web
from modeservice.faults import Fault
from modeservice.generate import generate


class Model:
    """One process of the model."""

    def __init__(self) -> None:
        self.fault = Fault()

    def application(self) -> web.Application:
        """The routes of the model."""
        app = web.Application()
        app.router.add_get("/complete", self.complete)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_post("/fault", self.set_fault)
        return app

    async def complete(self, request: web.Request) -> web.Response:
        """Some words on a prompt."""
        code = self.fault.active(time.monotonic())
        if code:
            return web.Response(status=code, text="switched on by POST /fault\n")
        asked = request.query
        try:
            words, temperature, seed = int(asked["words"]), float(asked["temperature"]), int(asked["seed"])
        except (KeyError, ValueError) as error:
            return web.Response(status=400, text=f"words, temperature and seed are numbers: {error}\n")
        return web.json_response({"text": generate(asked.get("prompt", ""), words, temperature, seed)})

    async def healthz(self, request: web.Request) -> web.Response:
        """Whether the process answers at all."""
        return web.Response(text="ok\n")

    async def set_fault(self, request: web.Request) -> web.Response:
        """Switches a fault on or off."""
        query = request.query
        try:
            self.fault = Fault.from_query(query.get("mode", ""), query.get("for", "60"), time.monotonic())
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.json_response({"fault": self.fault.code})


async def _main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = int(os.environ.get("PORT", "8080"))
    runner = web.AppRunner(Model().application(), access_log=None, keepalive_timeout=3900)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        print(f"the model listens on port {port}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except (OSError, ValueError) as error:
        sys.exit(f"the model cannot start: {error}")
