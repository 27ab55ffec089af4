"""Reads the cluster and Prometheus for the page, as long as somebody looks at it, and carries out what is asked for."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, get_args

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.resources import Resource
from accord.adapters.prometheus.endpoint import Endpoint, PrometheusEndpoint, reading
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.meta import GROUP
from accord.api.v1alpha1.trainingrun import TrainingRun
from accord.cli import acting, connection, selection
from accord.cli.dashboard import actions, curves
from accord.cli.dashboard.curves import Curves, Spells
from accord.cli.dashboard.facts import Facts, Key
from accord.cli.dashboard.guard import Asked
from accord.cli.errors import InputError
from accord.cli.selection import Selection
from accord.cli.status import showing
from accord.cli.status.forest import READ
from accord.cli.status.seen import Seen
from accord.cli.status.showing import Reading
from accord.domain.samples import Answer
from accord.ports.cluster import ClusterError

EVERY = 2.0
"""Seconds between two looks at the objects, as of `accord status --watch`."""
_IDLE = 20.0
"""Seconds without a question of any page after which nothing is read: a browser asks every two seconds, one in the
background at least every now and then."""
_RIGHTS_EVERY, _CHARTS_EVERY = 60.0, 15.0
_RETRY = 5.0  # seconds until rights that could not be asked for are asked for again
_TIMEOUT = 10.0  # seconds that a query may take
_AT_ONCE = 4
_ALL = Selection(None, None)
_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")
_SERVICES = Resource("", "v1", "services", "Service")
_UNAUTHORIZED = 401


@dataclass(frozen=True)
class Prometheus:
    """Where metrics are: a URL, or a Service behind the API server."""

    url: str | None = None
    service: tuple[str, str] | None = None
    """Namespace, and name with port."""

    @classmethod
    def of(cls, args: argparse.Namespace) -> Prometheus | None:
        """None where none is named. InputError."""
        if args.prometheus is not None:
            return cls(url=args.prometheus)
        if args.prometheus_service is None:
            return None
        namespace, slash, rest = args.prometheus_service.partition("/")
        name, colon, port = rest.partition(":")
        if not (slash and colon and namespace and name and port) or "/" in rest:
            raise InputError(f"--prometheus-service {args.prometheus_service!r} must be NAMESPACE/SERVICE:PORT")
        return cls(service=(namespace, rest))


@dataclass
class Watcher:
    """What is known, kept up to date by `run`."""

    args: argparse.Namespace
    target: connection.Target
    prometheus: Prometheus | None
    facts: Facts = field(init=False)
    _api: Connection = field(init=False)
    _reading: Reading = field(default_factory=lambda: Reading({}, {}))
    _asked: float = 0.0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _rights_at: float = 0.0
    _reviewed: frozenset[tuple[str, str]] = frozenset()
    _charts: asyncio.Task[None] | None = None
    _charts_at: float = 0.0

    def __post_init__(self) -> None:
        self.facts = Facts(
            self.target.context or "service account",
            None if self.args.all_namespaces else self.target.namespace,
            {},
            self._command,
            asks_prometheus=self.prometheus is not None,
            reach=self.args.range,
        )

    async def begin(self, api: Connection) -> None:
        """The first look. Raises ClusterError where nothing can be read."""
        self._api = api
        self._reading = await showing.read(api, self.facts.namespace, _ALL)
        self._take(self._reading)
        await self._review()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._wake.wait()
            self._wake.clear()
            if time.monotonic() - self._asked > _IDLE:
                # Nobody looks.
                await self._wake.wait()
                continue
            await self._look()

    def looked_at(self) -> None:
        """Some page asked."""
        now = time.monotonic()
        if now - self._asked > _IDLE:
            self._wake.set()
        self._asked = now

    async def close(self) -> None:
        """Ends what runs."""
        if self._charts is not None:
            self._charts.cancel()
            await asyncio.gather(self._charts, return_exceptions=True)
        await self._api.close()

    async def act(self, asked: Asked) -> str:
        """Do what a button says, and say what was done. Raises ClusterError, CommandError."""
        name = next((each for each in get_args(actions.Name) if each == asked.action), None)
        if name is None:
            raise InputError(f"unknown action {asked.action!r}")
        kind = selection.kind_of(asked.kind)
        if self.facts.namespace not in (None, asked.namespace):
            raise InputError(f"namespace {asked.namespace} is not shown here")
        decide = actions.unchanged(actions.decision(name, kind, asked.step), asked.patch)
        _, decided, _ = await acting.carry_out(
            self._api, acting.resource_of(kind), asked.namespace, asked.name, _of_kind(decide, kind)
        )
        self._wake.set()
        return f"{kind} {asked.namespace}/{asked.name}: {decided.said}"

    def _command(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any]) -> str:
        return acting.command(self.args, acting.resource_of(kind), namespace, name, patch)

    async def _look(self) -> None:
        found = await showing.read(self._api, self.facts.namespace, _ALL, patient=True)
        if any(error.status == _UNAUTHORIZED for error in found.refused.values()):
            # A token that a kubeconfig's program gave has run out.
            await self._reconnect()
            found = await showing.read(self._api, self.facts.namespace, _ALL, patient=True)
        self._reading = showing.keep(self._reading, found)
        self._take(found)
        await self._review()
        is_due = time.monotonic() - self._charts_at > _CHARTS_EVERY and (self._charts is None or self._charts.done())
        if self.prometheus is not None and is_due:
            self._charts_at = time.monotonic()
            self._charts = asyncio.create_task(self._draw(self.prometheus))

    def _take(self, found: Reading) -> None:
        errors = found.refused.values()
        is_lost = len(found.refused) == len(READ[None]) and all(not error.status for error in errors)
        self.facts = replace(
            self.facts,
            objects=self._reading.objects,
            refused={kind: str(error) for kind, error in found.refused.items()},
            is_lost=is_lost,
            read_at=self.facts.read_at if is_lost else datetime.now(UTC),
        )

    async def _reconnect(self) -> None:
        with contextlib.suppress(ClusterError, InputError):
            again = await connection.opened(self.target)
            before, self._api = self._api, again
            await before.close()

    async def _review(self) -> None:
        """What the user may change, asked again once a minute and for each namespace that is new."""
        wanted = frozenset(
            (str(each["metadata"]["namespace"]), kind)
            for kind, objects in self._reading.objects.items()
            for each in objects
        )
        if wanted <= self._reviewed and time.monotonic() - self._rights_at < _RIGHTS_EVERY:
            return
        self._reviewed, self._rights_at = wanted, time.monotonic()
        everywhere = dict(
            zip(READ[None], await asyncio.gather(*(self._may("", kind) for kind in READ[None])), strict=True)
        )
        rights = {(namespace, kind): True for namespace, kind in wanted if everywhere[kind]}
        asked = sorted(wanted - rights.keys())
        answers = await asyncio.gather(*(self._may(*key) for key in asked))
        rights |= {key: may for key, may in zip(asked, answers, strict=True) if may is not None}
        if None in answers:
            self._rights_at += _RETRY - _RIGHTS_EVERY
        self.facts = replace(self.facts, rights=rights)

    async def _may(self, namespace: str, kind: str) -> bool | None:
        """Whether the user may patch; None where that cannot be known."""
        resource = acting.resource_of(kind)
        attributes = {"group": GROUP, "resource": resource.plural, "verb": "patch", "namespace": namespace}
        body = {
            "apiVersion": _REVIEWS.api_version,
            "kind": _REVIEWS.kind,
            "spec": {"resourceAttributes": attributes},
        }
        try:
            answer = await self._api.request("create", "POST", _REVIEWS, _REVIEWS.path(None), body=body)
        except ClusterError:
            return None
        return bool((answer.get("status") or {}).get("allowed"))

    async def _draw(self, prometheus: Prometheus) -> None:
        """Curves and spells of everything that is shown."""
        gate = asyncio.Semaphore(_AT_ONCE)
        models = [Seen.of(kind, each).model for kind, objects in self._reading.objects.items() for each in objects]
        runs = [each for each in models if isinstance(each, TrainingRun)]
        policies = [each for each in models if isinstance(each, CheckpointPolicy)]
        reach = self.args.range

        async def ask(promql: str) -> Answer:
            async with gate:
                return await self._ask(prometheus, promql)

        async def of_run(run: TrainingRun) -> tuple[Key, Curves]:
            return _key(run), curves.curves(run, await ask(curves.of_run(run, reach)))

        async def of_policy(policy: CheckpointPolicy) -> tuple[Key, Spells]:
            return _key(policy), curves.spells(policy, await ask(curves.of_policy(policy, reach)), reach)

        found = await asyncio.gather(*map(of_run, runs))
        spells = await asyncio.gather(*map(of_policy, policies))
        self.facts = replace(self.facts, curves=dict(found), spells=dict(spells))

    async def _ask(self, prometheus: Prometheus, promql: str) -> Answer:
        if prometheus.url is not None:
            return await asyncio.to_thread(_ask_url, prometheus.url, promql)
        assert prometheus.service is not None  # noqa: S101
        namespace, name = prometheus.service
        path = f"{_SERVICES.path(namespace, name)}/proxy/api/v1/query"
        try:
            body = await self._api.request("get", "GET", _SERVICES, path, query={"query": promql})
        except ClusterError as error:
            return Answer(failure="Unreachable", message=str(error))
        return reading(body, (body.get("data") or {}).get("result"), "matrix")


def _key(model: TrainingRun | CheckpointPolicy) -> Key:
    return model.metadata.namespace, model.metadata.name


def _of_kind(decide: acting.Decide, kind: str) -> acting.Decide:
    return lambda manifest: decide({**manifest, "kind": kind})


def _ask_url(url: str, promql: str) -> Answer:
    client = PrometheusEndpoint(Endpoint(url, timeout=_TIMEOUT))
    try:
        return client.query(promql, "matrix")
    finally:
        client.close()
