"""What is relied on of kopf, and what is done against it. The only importer of kopf.

Of kopf 1.45: it names the tasks of its watches and keeps them to itself, takes SIGTERM and SIGINT, reports each retry
of each watch, keeps an error of a handler to itself, leaves generators to the end of the loop, and remembers each
object for good. A repeated listing says nothing of what is no longer in it. `tests/unit/runtime/test_kopf.py` fails
where another version differs in that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import Resource
from accord.api.base import Manifest

log = logging.getLogger(__name__)

Handler = Callable[[Resource, str | None, Manifest], None]
"""Resource, type of the event (None for an object of a listing), object."""

_WATCH_TASK = "watcher for "


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


class _NoMemories(ResourceMemories):
    """kopf keeps a record of each object, of its retries and daemons. Here are none, and a cluster has many objects."""

    async def recall(self, raw_body: Any, **more: Any) -> ResourceMemory:
        return await super().recall(raw_body, **{**more, "ephemeral": True})


class KopfWatcher:
    """kopf, to watch these resources in the given namespaces (all when empty). Nothing of it writes."""

    def __init__(
        self, connection: Connection, resources: Sequence[Resource], namespaces: Sequence[str], handle: Handler
    ) -> None:
        self._connection, self._resources, self._namespaces = connection, resources, namespaces
        self._handle = handle

    async def start(self, took_signals: Callable[[], None]) -> set[asyncio.Task[Any]]:
        """Start it; returns its tasks but those of the watches, which begin later.

        `took_signals` is called when it has taken SIGTERM and SIGINT for itself.
        """
        # It reports each retry of each watch; the operator itself says once that the API server does not answer.
        logging.getLogger("kopf").setLevel(logging.DEBUG if log.isEnabledFor(logging.DEBUG) else logging.CRITICAL)
        tasks = await kopf.spawn_tasks(**self._arguments())
        took_signals()
        return set(tasks)

    @property
    def expected(self) -> int:
        """How many watches there are to be."""
        return len(self._resources) * max(1, len(self._namespaces))

    def watches(self) -> set[asyncio.Task[Any]]:
        """The task of each watch that runs. They start together, once kopf knows what the API server serves."""
        return {task for task in asyncio.all_tasks() if task.get_name().startswith(_WATCH_TASK)}

    def _arguments(self) -> dict[str, Any]:
        return {
            "registry": self._registry(),
            "settings": self._settings(),
            "memories": _NoMemories(),
            "standalone": True,
            "clusterwide": not self._namespaces,
            "namespaces": list(self._namespaces),
            # For kopf's peering, which is not used. Else kopf asks for the user's name, and a container has none.
            "identity": "accord",
        }

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
        # Of a listing one chunk is in memory at a time, each object as the API server has it.
        settings.watching.chunk_size = 100
        # So is an object as long as it has a worker. It must wait a moment for its event, and need not for the next.
        settings.queueing.idle_timeout = 0.1
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


def tolerate_generators(loop: asyncio.AbstractEventLoop) -> None:
    """Keep quiet about the generators of kopf's watches: it leaves them to the end of the loop, which they do not take
    well.
    """

    def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "asyncgen" in context:
            log.debug("%s", context["message"])
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(complain)
