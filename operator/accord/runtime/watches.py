"""kopf as the watcher: list, watch, reconnect. Its handlers only hand events over; nothing of it writes.

What kopf 1.45 does not do is added around it: a watch that ends for good is noticed and all are started again (kopf
logs it and goes on without), and `sweep` finds the deletions that a watch missed while it was disconnected (kopf
repeats the listing, but says nothing of what is no longer in it).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import kopf

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import Resource
from accord.api.base import Manifest
from accord.runtime.optional import Served

log = logging.getLogger(__name__)

Handler = Callable[[Resource, str | None, Manifest], None]
"""Resource, type of the event (None for the first listing), object."""

_START_LIMIT = 3.0
_RESTART_CAP = 15.0


class _Backoffs(Collection[float]):
    """Delays between two tries of a request, without an end: a watch must never give up. Seconds, with jitter."""

    def __iter__(self) -> Iterator[float]:
        delay = 0.1
        while True:
            yield delay * random.uniform(0.8, 1.2)  # noqa: S311
            delay = min(delay * 2, 2.0)

    def __len__(self) -> int:
        return 10**9

    def __contains__(self, _: object) -> bool:
        return False


class _NoDiffBase(kopf.DiffBaseStorage):
    """kopf copies each object to compare it with what it stored last; nothing is stored, so nothing is compared."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Event handlers have no progress to keep."""

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


class Watches:
    """Watches of all resources in the given namespaces (all when empty)."""

    def __init__(self, connection: Connection, served: Served, namespaces: Sequence[str], handle: Handler) -> None:
        self._connection, self._served, self._namespaces = connection, served, namespaces
        self._resources: Sequence[Resource] = served.resources
        self._handle = handle
        self.down_since: float | None = time.monotonic()
        """Since when the watches do not run (monotonic seconds), None while they do."""
        self.restarted: Callable[[], None] = lambda: None
        self.spawned: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Watch until cancelled; start over when a watch ends."""
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            problem = await self._once()
            if asyncio.get_running_loop().time() - began > 60:
                failures = 0
            delay = min(_RESTART_CAP, 0.5 * 2.0 ** min(failures, 10))
            failures += 1
            log.warning("watches failed, restarting in %.1f s: %s", delay, problem)
            await asyncio.sleep(delay)
            self.restarted()

    async def _once(self) -> str:
        """Run kopf until one of its tasks ends, or there is something else to watch; returns why."""
        await self._served.refresh()
        self._resources = self._served.resources
        tasks = await kopf.spawn_tasks(
            registry=self._registry(),
            settings=self._settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=list(self._namespaces),
            # For kopf's peering, which is not used. Else kopf asks for the user's name, and a container has none.
            identity="accord",  # type: ignore[arg-type]
        )
        # kopf has just taken SIGTERM and SIGINT for itself.
        self.spawned()
        tasks = set(tasks)
        try:
            watchers = await self._watchers(tasks)
            if isinstance(watchers, str):
                return watchers
            tasks |= watchers
            self.down_since = None
            tasks.add(asyncio.create_task(self._served.until_changed(), name="discovery"))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return "; ".join(sorted(_ending(task) for task in done))
        finally:
            if self.down_since is None:
                self.down_since = time.monotonic()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.5)

    async def _watchers(self, tasks: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]] | str:
        """The task of each watch, once all run; or why they do not. kopf names these tasks and keeps them to itself."""
        expected = len(self._resources) * max(1, len(self._namespaces))
        deadline = float("inf")
        while True:
            watchers = {task for task in asyncio.all_tasks() if task.get_name().startswith("watcher for ")}
            ended = [task for task in tasks | watchers if task.done()]
            if ended:
                return "; ".join(sorted(_ending(task) for task in ended))
            if len(watchers) >= expected:
                return watchers
            if watchers:
                # They start together, once kopf knows what the API server serves.
                deadline = min(deadline, asyncio.get_running_loop().time() + _START_LIMIT)
            if asyncio.get_running_loop().time() > deadline:
                return f"the API server has only {len(watchers)} of {expected} resources: are all CRDs installed?"
            await asyncio.sleep(0.05)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for resource in self._resources:
            kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=resource.plural)(
                self._handler(resource)
            )
        return registry

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        settings.scanning.disabled = True
        settings.posting.enabled = False
        settings.posting.loggers = False
        settings.networking.request_timeout = 30
        settings.networking.connect_timeout = 5
        settings.networking.error_backoffs = _Backoffs()
        settings.watching.connect_timeout = 5
        settings.watching.reconnect_backoff = 0.1
        settings.watching.chunk_size = 500
        # A worker for an object that just changed is kept for the next change; a dormant one costs memory.
        settings.queueing.idle_timeout = 2.0
        settings.queueing.exit_timeout = 0.5
        settings.process.ultimate_exiting_timeout = None
        settings.persistence.diffbase_storage = _NoDiffBase()
        settings.persistence.progress_storage = _NoProgress()
        for resource in self._resources:
            if resource.selector:
                settings.watching.label_selectors[resource.group, resource.version, resource.plural] = resource.selector
        return settings

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:
        """Our own connection's credentials, read again whenever the API server says 401."""
        configuration = self._connection.configuration
        scheme, token = await self._connection.token()
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme,
            token=token,
            proxy_url=configuration.proxy,
        )

    def _handler(self, resource: Resource) -> Callable[..., Any]:
        async def on_event(event: Any, **_: Any) -> None:
            try:
                self._handle(resource, event["type"], event["object"])
            except Exception:
                # kopf would keep it to itself.
                log.exception("unexpected error on an event of %s; please report it", resource.plural)

        return on_event


def _ending(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return f"{task.get_name()} was cancelled"
    error = task.exception()
    if error is not None:
        return f"{task.get_name()} ended: {error!r}"
    words = task.result()
    return words if isinstance(words, str) else f"{task.get_name()} ended"
