"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from accord.observability.metrics import OperatorMetrics

Check = Callable[[], str | None]
"""None when all is well, or what is wrong in a sentence."""


def application(metrics: OperatorMetrics, *, alive: Check, ready: Check) -> web.Application:
    """The HTTP application. That it answers at all shows that the event loop runs."""

    def probe(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(_: web.Request) -> web.StreamResponse:
            problem = check()
            return web.Response(text=(problem or "ok") + "\n", status=503 if problem else 200)

        return answer

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", probe(alive))
    app.router.add_get("/readyz", probe(ready))
    app.router.add_get("/metrics", show)
    return app
