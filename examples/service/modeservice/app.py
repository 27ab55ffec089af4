"""The HTTP side of the service.

/, /generate   an answer, counted in `http_requests_total{mode,code}`; 502 where the model behind the mode fails
/healthz       200 while requests are welcome, 503 while stopping; readiness probe and the router's health check
/livez         200 while the process runs
/metrics       what Prometheus scrapes
/fault         POST ?mode=500&for=60 makes this process fail on purpose; ?mode=off ends it

Where a policy is served, every answer says of which checkpoint in its header `x-accord-checkpoint-step`, and is rated
by the user who got it: `user_ratings_total{rating,mode}`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from modeservice.faults import Fault
from modeservice.model import Model, ModelError
from modeservice.settings import Settings

STEP_HEADER = "x-accord-checkpoint-step"


class Audience(Protocol):
    """Users who are served and say what they think of it."""

    def serve(self) -> tuple[int, int]:
        """One user: the number of the answer that was chosen, and its rating from 1 to 5."""
        ...


class Service:
    """One mode of the service, in one process. `audience` is that of its policy, where it has one."""

    def __init__(self, settings: Settings, audience: Audience | None = None) -> None:
        self.settings = settings
        self.audience = audience
        self.fault = Fault(settings.fault_code)
        self.draining = False
        self.registry = CollectorRegistry()
        self.model = Model(settings, self.registry)
        self.requests = Counter("http_requests", "Answers given.", ["mode", "code"], registry=self.registry)
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer.",
            ["mode"],
            buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
            registry=self.registry,
        )
        # A counter that appears only with its first request hides that request from increase().
        self.requests.labels(settings.mode, "200")
        if audience is not None:
            self._report_policy()

    def _report_policy(self) -> None:
        mode = self.settings.mode
        Gauge("served_checkpoint_step", "Step of the checkpoint; 0: none.", ["mode"], registry=self.registry).labels(
            mode
        ).set(self.settings.step)
        ratings = Counter("user_ratings", "Ratings by users.", ["rating", "mode"], registry=self.registry)
        self.ratings = {stars: ratings.labels(str(stars), mode) for stars in range(1, 6)}

    def application(self) -> web.Application:
        """The routes of the service."""
        app = web.Application()
        app.cleanup_ctx.append(self._with_model)
        app.router.add_route("*", "/", self.answer)
        app.router.add_route("*", "/generate", self.answer)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_post("/fault", self.set_fault)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        """A few words on the prompt (`?prompt=…`, or the body's `prompt`)."""
        began = time.perf_counter()
        settings = self.settings
        code = self.fault.active(time.monotonic())
        if code:
            response = web.json_response({"mode": settings.mode, "error": "switched on by POST /fault"}, status=code)
        else:
            response = await self._generated(request)
        if self.audience is not None:
            response.headers[STEP_HEADER] = str(settings.step)
        if self.draining:
            response.force_close()
        self.requests.labels(settings.mode, str(response.status)).inc()
        self.seconds.labels(settings.mode).observe(time.perf_counter() - began)
        return response

    async def _with_model(self, _: web.Application) -> AsyncIterator[None]:
        async with self.model:
            yield

    async def _generated(self, request: web.Request) -> web.Response:
        settings = self.settings
        try:
            text = await self.model.words(await _prompt(request), request.headers)
        except ValueError as error:
            return web.json_response({"mode": settings.mode, "error": str(error)}, status=400)
        except ModelError as error:
            return web.json_response({"mode": settings.mode, "error": str(error)}, status=502)
        await asyncio.sleep(settings.style.latency)
        return web.json_response({"mode": settings.mode, "pod": settings.pod, "text": text, **self._rated()})

    def _rated(self) -> dict[str, int]:
        """Which answer the policy chose for this user, and what the user thinks of it."""
        if self.audience is None:
            return {}
        answer, stars = self.audience.serve()
        self.ratings[stars].inc()
        return {"checkpointStep": self.settings.step, "answer": answer, "rating": stars}

    async def healthz(self, request: web.Request) -> web.Response:
        """Whether new requests are welcome."""
        return web.Response(status=503, text="stopping\n") if self.draining else web.Response(text="ok\n")

    async def livez(self, request: web.Request) -> web.Response:
        """Whether the process answers at all."""
        return web.Response(text="ok\n")

    async def metrics(self, request: web.Request) -> web.Response:
        """The counters in Prometheus' text format."""
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def set_fault(self, request: web.Request) -> web.Response:
        """Switches a fault on or off."""
        query = request.query
        try:
            self.fault = Fault.from_query(query.get("mode", ""), query.get("for", "60"), time.monotonic())
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.json_response({"pod": self.settings.pod, "fault": self.fault.code})


async def _prompt(request: web.Request) -> str:
    """The prompt of a request, empty where it has none. ValueError where the body is no JSON object."""
    if "prompt" in request.query or not request.can_read_body:
        return request.query.get("prompt", "")
    body = await request.json()
    if not isinstance(body, dict):
        raise ValueError('the body must be a JSON object such as {"prompt": "tell me a story"}')
    return str(body.get("prompt", ""))


def _policy(settings: Settings) -> str:
    if settings.checkpoints is None:
        return ""
    return f" with the policy of step {settings.step}" if settings.step else " with an untrained policy"


async def serve(service: Service, stop: asyncio.Event) -> None:
    """Serves until `stop`; then goes on for the drain time without being ready, and finishes what it began.

    While it drains every answer closes its connection, so that no proxy sends the next request into a connection
    that is about to go.
    """
    settings = service.settings
    # Longer than any proxy keeps an idle connection (Envoy: an hour): the side that picks the connection closes it.
    runner = web.AppRunner(service.application(), access_log=None, keepalive_timeout=3900, shutdown_timeout=10)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=settings.port, backlog=1024).start()
        print(f"mode {settings.mode} listens on port {settings.port}{_policy(settings)}", flush=True)
        await stop.wait()
        service.draining = True
        print(f"stopping in {settings.drain:g} s", flush=True)
        await asyncio.sleep(settings.drain)
    finally:
        await runner.cleanup()
    print("stopped", flush=True)
