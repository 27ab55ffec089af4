"""What the operator relies on of kopf beyond its documented API. Before its next minor version is taken, read this."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import itertools
import json
import logging
import re
import signal
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kopf._cogs.clients import api
from kopf._core.reactor import orchestration, processing

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import Resource
from accord.runtime import kopf_watcher
from accord.runtime.kopf_watcher import KopfWatcher

ROOT = Path(__file__).resolve().parents[3]
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", selector="a=b")
Seen = tuple[str | None, str, str]
"""Type of an event, name and resourceVersion of its object."""


class ApiServer:
    """Two Deployments, of which one goes unnoticed: the watch ends with 410 Gone, and the next listing has one.

    Each step waits for what must have been seen before, as kopf tells of an object only the newest of a moment.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.selectors: set[str | None] = set()
        self.may_end = asyncio.Event()
        """Whether a watch may end for good."""
        self._news = asyncio.Condition()
        self._listings = self._watches = 0
        self.application = web.Application()
        self.application.add_routes(
            [
                # kopf starts no watch before it knows of Namespaces.
                web.get("/api", self._answer({"versions": ["v1"]})),
                web.get(
                    "/api/v1", self._answer({"resources": [_resource("namespaces", "Namespace", namespaced=False)]})
                ),
                web.get("/apis", self._answer({"groups": [_group()]})),
                web.get("/apis/apps/v1", self._answer({"resources": [_resource("deployments", "Deployment")]})),
                web.get("/apis/apps/v1/deployments", self._deployments),
            ]
        )

    async def until(self, *events: Seen) -> None:
        """All of these were seen."""
        async with asyncio.timeout(120), self._news:
            await self._news.wait_for(lambda: set(events) <= set(self.seen))

    def handle(self, resource: Resource, type_: str | None, manifest: dict[str, Any]) -> None:
        """Note it down; then fail, as no handler should."""
        assert resource is DEPLOYMENTS
        self.seen.append((type_, manifest["metadata"]["name"], manifest["metadata"]["resourceVersion"]))
        self._told = asyncio.create_task(self._tell())
        raise RuntimeError("a fault of ours")

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _deployments(self, request: web.Request) -> web.StreamResponse:
        self.selectors.add(request.query.get("labelSelector"))
        if "watch" not in request.query:
            self._listings += 1
            names = ("goes", "stays") if self._listings == 1 else ("stays",)
            items = [_deployment(name, str(self._listings)) for name in names]
            return web.json_response({"metadata": {"resourceVersion": str(self._listings)}, "items": items})
        self._watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        async for event in self._events(self._watches):
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    async def _events(self, nth: int) -> AsyncIterator[dict[str, Any]]:
        if nth == 1:
            await self.until((None, "goes", "1"), (None, "stays", "1"))
            yield {"type": "ERROR", "object": {"code": 410}}
        else:
            await self.until((None, "stays", "2"))
            yield {"type": "MODIFIED", "object": _deployment("stays", "3")}
            await self.until(("MODIFIED", "stays", "3"))
            yield {"type": "DELETED", "object": _deployment("stays", "4")}
            await self.until(("DELETED", "stays", "4"))
            await self.may_end.wait()
            yield {"type": "ERROR", "object": {"code": 500}}

    @staticmethod
    def _answer(body: dict[str, Any]) -> Callable[[web.Request], Any]:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response(body)

        return answer


def _group() -> dict[str, Any]:
    return {"name": "apps", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}


def _resource(plural: str, kind: str, *, namespaced: bool = True) -> dict[str, Any]:
    verbs = ["list", "watch", "patch"]
    return {"name": plural, "kind": kind, "singularName": "", "namespaced": namespaced, "verbs": verbs}


def _deployment(name: str, revision: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": name, "uid": name, "resourceVersion": revision}}


class _Connection:
    """To a server of plain HTTP, without credentials."""

    def __init__(self, host: str) -> None:
        keys = ("ssl_ca_cert", "cert_file", "key_file", "proxy")
        self.configuration = SimpleNamespace(host=host, verify_ssl=True, **dict.fromkeys(keys))

    async def token(self) -> tuple[str, str]:
        return "Bearer", "t"


def watcher(handle: kopf_watcher.Handler = lambda *_: None, host: str = "") -> KopfWatcher:
    return KopfWatcher(cast("Connection", _Connection(host)), (DEPLOYMENTS,), (), handle)


def settings() -> kopf.OperatorSettings:
    return watcher()._settings()


@pytest.fixture
def _kopf_logger() -> Iterator[None]:
    level = logging.getLogger("kopf").level
    yield
    logging.getLogger("kopf").setLevel(level)


@pytest.mark.usefixtures("_kopf_logger")
async def test_kopf_watches_as_is_relied_on(caplog: pytest.LogCaptureFixture) -> None:
    loop, server, taken = asyncio.get_running_loop(), ApiServer(), []

    def take_back() -> None:
        taken.extend(loop.remove_signal_handler(number) for number in (signal.SIGTERM, signal.SIGINT))

    async with TestServer(server.application) as http:
        kopf_ = watcher(server.handle, str(http.make_url("")).rstrip("/"))
        tasks = await kopf_.start(take_back)
        try:
            # kopf has taken the signals when it has started, and not later.
            assert taken == [True, True]
            await server.until((None, "stays", "1"))
            # Its tasks are found by their names, and are not among those that it returns.
            watches = kopf_.watches()
            assert len(watches) == kopf_.expected == 1
            assert not watches & tasks
            # A watch that ends for good ends its task, and no other.
            server.may_end.set()
            async with asyncio.timeout(120):
                await asyncio.wait(watches)
            assert "500" in repr(next(iter(watches)).exception())
            assert not [task.get_name() for task in tasks if task.done()]
            assert not kopf_.watches()
        finally:
            for task in tasks | kopf_.watches():
                task.cancel()
            await asyncio.wait(tasks)
    # Objects of a listing have no type, also of a repeated one; of what is gone from it kopf does not speak.
    assert sorted(server.seen[:2], key=str) == [(None, "goes", "1"), (None, "stays", "1")]
    assert server.seen[2:] == [(None, "stays", "2"), ("MODIFIED", "stays", "3"), ("DELETED", "stays", "4")]
    assert server.selectors == {"a=b"}
    # An error of a handler is reported and ends nothing; all that kopf says itself is kept back.
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.name for record in told] == ["accord.runtime.kopf_watcher"] * 5


def test_generators_that_are_left_to_the_end_of_the_loop_are_no_error(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    kopf_watcher.tolerate_generators(loop)
    loop.call_exception_handler({"message": "a generator", "asyncgen": None})
    assert not caplog.records
    loop.call_exception_handler({"message": "a fault"})
    assert [record.getMessage() for record in caplog.records] == ["a fault"]
    loop.close()


def test_kopf_is_pinned_to_the_minor_version_that_is_known() -> None:
    minor = ".".join(version("kopf").split(".")[:2])
    pin = rf"kopf~={re.escape(minor)}\.\d+"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [entry for entry in project if re.fullmatch(pin, entry)]
    assert re.search(rf"^{pin}$", (ROOT / "requirements" / "operator.in").read_text(), re.MULTILINE)
    assert f"Of kopf {minor}: " in (kopf_watcher.__doc__ or "")


def test_the_tasks_of_the_watches_have_the_names_by_which_they_are_found() -> None:
    assert f'name=f"{kopf_watcher._WATCH_TASK}{{' in inspect.getsource(orchestration)


def test_every_setting_that_is_made_is_one_that_kopf_knows() -> None:
    """A dataclass takes any attribute: one that was renamed would be without effect, and without a word."""

    def unknown(section: Any, path: str) -> Iterator[str]:
        known = {field.name for field in dataclasses.fields(section)}
        for name, value in vars(section).items():
            if name not in known:
                yield f"{path}.{name}"
            elif dataclasses.is_dataclass(value):
                yield from unknown(value, f"{path}.{name}")

    made = settings()
    assert not list(unknown(made, "settings"))
    assert made.watching.label_selectors["apps", "v1", "deployments"] == "a=b"


def test_retries_go_on_without_an_end() -> None:
    delays = settings().networking.error_backoffs
    assert len(list(itertools.islice(iter(cast("kopf_watcher._Backoffs", delays)), 1000))) == 1000
    # kopf takes one delay after the other, and does not count them beforehand.
    assert "settings.networking.error_backoffs" in inspect.getsource(api)


def test_tasks_are_made_with_the_arguments_that_are_given() -> None:
    given = watcher()._arguments()
    assert {"registry", "settings", "memories", "standalone", "clusterwide", "namespaces", "identity"} == given.keys()
    inspect.signature(kopf.spawn_tasks).bind(**given)


async def test_nothing_is_remembered_of_an_object_once_its_event_is_handled() -> None:
    memories = watcher()._arguments()["memories"]
    first = await memories.recall({"metadata": {"uid": "u"}}, noticed_by_listing=True, memobase=kopf.Memo())
    assert first.noticed_by_listing
    assert await memories.recall({"metadata": {"uid": "u"}}, noticed_by_listing=False) is not first
    assert not list(memories.iter_all_memories())
    # All that a processor asks for; a storage of another name would be without effect.
    assert set(re.findall(r"memories\.(\w+)", inspect.getsource(processing))) <= {"recall", "forget"}


def test_storages_that_keep_nothing_are_complete() -> None:
    assert kopf_watcher._NoDiffBase().fetch() is None
    assert kopf_watcher._NoProgress().fetch() is None
