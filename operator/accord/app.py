"""The composition root: every part is made here, once, and handed to those that need it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aiohttp import web

from accord import settings
from accord.adapters.kubernetes.cluster import KubernetesCluster
from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.leases import KubernetesLeases
from accord.adapters.kubernetes.resources import (
    DESTINATION_RULES,
    HTTP_ROUTES,
    TRAFFIC_POLICIES,
    VIRTUAL_SERVICES,
    Resource,
)
from accord.adapters.prometheus.metrics import PrometheusMetrics
from accord.adapters.routers.envoy import EnvoyRouter
from accord.adapters.routers.gatewayapi import GatewayAPIRouter
from accord.adapters.routers.istio import IstioRouter
from accord.api.base import Manifest
from accord.config import Config, ConfigError, Pod
from accord.domain.plan import ObjectKey
from accord.kinds import KINDS, Entry, Parts, optional, watched
from accord.observability import health
from accord.observability.metrics import OperatorMetrics
from accord.observability.traces import NoTraces, Traces
from accord.ports.clock import Clock, SystemClock
from accord.ports.cluster import Cluster
from accord.ports.router import Router
from accord.runtime.departures import Departures
from accord.runtime.dispatch import Dispatcher
from accord.runtime.fence import FencedCluster
from accord.runtime.index import Index, version
from accord.runtime.kinds import Publishes
from accord.runtime.kopf_watcher import tolerate_generators
from accord.runtime.lease import AlwaysLeader, LeaderElection
from accord.runtime.optional import Served
from accord.runtime.queue import WorkQueue
from accord.runtime.reconcile import Reconciler
from accord.runtime.sampler import Sampler
from accord.runtime.sweep import Sweeper
from accord.runtime.traced import TracedCluster
from accord.runtime.unlisted import Unlisted
from accord.runtime.watches import Watches

log = logging.getLogger(__name__)

_WORKERS = 16
_STOP_LIMIT = 3.0
_RELEASE_LIMIT = 0.5
_WATCHES_LIMIT = 120.0
_ANY = "0.0.0.0"  # noqa: S104 - a pod serves its own network; NetworkPolicy says to whom


class Operator:
    """One replica."""

    def __init__(
        self,
        config: Config,
        pod: Pod,
        connection: Connection,
        metrics: OperatorMetrics,
        *,
        wrap_cluster: Callable[[Cluster], Cluster] = lambda cluster: cluster,
        clock: Clock | None = None,
        table: Sequence[Entry] = KINDS,
    ) -> None:
        """`wrap_cluster` lets a test stand between the reconciler and the API server; `clock` is the machine's;
        `table` is what is reconciled.
        """
        self._config, self._pod, self._connection, self._metrics = config, pod, connection, metrics
        self._clock = clock or SystemClock()
        self._lapse: str | None = None
        self._traces = _traces(config, pod)
        # Renewals must get through however busy the reconciler is.
        self._lease_connection = connection.another()
        self._election = self._make_election()
        self._index = Index()
        self._queue: WorkQueue[ObjectKey] = WorkQueue(metrics)
        self._router = EnvoyRouter(
            settings.envoy(config),
            self._clock,
            on_change=lambda namespace, name: self._queue.add(_key(TRAFFIC_POLICIES, namespace, name)),
            leader=self._leader_address,
            key=lambda: self._election.key,
        )
        self._prometheus = PrometheusMetrics(settings.endpoints(config), metrics)
        self._served = Served(connection, watched(table), optional(table), self._on_discovery)
        routers: dict[str, Router] = {
            "Envoy": self._router,
            "GatewayAPI": GatewayAPIRouter(lambda: self._served.knows(HTTP_ROUTES)),
            "Istio": IstioRouter(
                lambda: self._served.knows(VIRTUAL_SERVICES) and self._served.knows(DESTINATION_RULES), self._clock
            ),
        }
        parts = Parts(self._index, routers, self._served.knows)
        self._kinds = {entry.kind.resource.kind: entry.make(parts) for entry in table}
        self._samplers = [
            Sampler(inquiry, self._prometheus, self._queue.add, self._clock)
            for kind in self._kinds.values()
            for inquiry in kind.inquiries
        ]
        self._dispatcher = Dispatcher(self._index, tuple(self._kinds.values()), self._queue.add, self._on_gone)
        cluster = wrap_cluster(KubernetesCluster(connection, self._clock, pod.name))
        fenced: Cluster = FencedCluster(cluster, self._election)
        self._reconciler = Reconciler(
            self._kinds,
            self._index,
            TracedCluster(fenced, self._traces) if self._traces.on else fenced,
            self._dispatcher.observe,
            self._clock,
            metrics,
            self._traces,
        )
        metrics.show_statuses(self._reported)
        self._departures = Departures(self._index, cluster.get, self._dispatcher)
        self._unlisted = Unlisted(cluster.get, self._dispatcher.observe, self._on_answer)
        self._sweeper = Sweeper(connection, self._served, config.namespaces, self._index, self._departures.gone)
        self._watches = Watches(connection, self._served, config.namespaces, self._on_event, self._sweeper.ask)

    async def run(self, stop: asyncio.Event, listen: Callable[[], None]) -> None:
        """Work until `stop` is set, then hand over. Raises what ends the operator otherwise.

        `listen` is called whenever signals have to be listened to anew, as something else has taken them.
        """
        runners = [
            await _serve(
                web.AppRunner(
                    health.application(self._metrics, alive=self._alive, ready=self._ready),
                    access_log=None,
                    shutdown_timeout=_RELEASE_LIMIT,
                ),
                self._config.http.port,
            ),
            await _serve(self._router.runner(_RELEASE_LIMIT), self._config.xds.port),
        ]
        tasks = {
            asyncio.create_task(coroutine, name=name)
            for name, coroutine in {
                "watches": self._watches.run(listen),
                "router": self._router.run(),
                "lead": self._lead(),
            }.items()
        }
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._shut_down(tasks | {stopping}, runners)
        for task in done - {stopping}:
            task.result()

    async def _lead(self) -> None:
        """Catch up, then take part in the election, and work while leading."""
        await self._sweeper.catch_up()
        self._metrics.synced.set(1)
        log.info("watches synced")
        for kind in self._kinds.values():
            if isinstance(kind, Publishes):
                kind.start_publishing(self._unlisted)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweeper.run(), name="sweeper")
            group.create_task(self._election.run(), name="election")
            while True:
                await self._election.changed.wait()
                self._election.changed.clear()
                if self._election.is_leader:
                    await self._work()

    async def _work(self) -> None:
        """Everything that only the leader does, until it does not lead any more."""
        log.info("became leader: %s", self._pod.identity)
        self._metrics.leader.set(1)
        self._queue.open()
        self._dispatcher.enqueue_all()
        tasks = [asyncio.create_task(self._queue.work(self._reconciler), name=f"worker-{n}") for n in range(_WORKERS)]
        tasks += [asyncio.create_task(sampler.run(), name=f"sampler-{n}") for n, sampler in enumerate(self._samplers)]
        tasks.append(asyncio.create_task(self._router.look(), name="looker"))
        changed = asyncio.create_task(self._election.changed.wait(), name="leadership")
        try:
            done, _ = await asyncio.wait({*tasks, changed}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {changed}:
                task.result()
        finally:
            self._queue.close()
            self._metrics.leader.set(0)
            await _cancel([*tasks, changed])
            self._reconciler.end_term()
            log.info("lost leadership")

    async def _shut_down(self, tasks: set[asyncio.Task[object]], runners: list[web.AppRunner]) -> None:
        """Take no more work, finish the writes at hand, hand over the Lease, release the polls."""
        self._queue.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_LIMIT):
                await self._queue.drained()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._election.release()
        await _cancel(list(tasks))
        await asyncio.gather(*(runner.cleanup() for runner in runners))
        self._prometheus.close()
        if self._traces.on:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_LIMIT):
                    await asyncio.to_thread(self._traces.close)
        await asyncio.gather(self._connection.close(), self._lease_connection.close())
        log.info("stopped")

    def _on_discovery(self) -> None:
        self._dispatcher.enqueue_all()

    def _on_gone(self, key: ObjectKey) -> None:
        """An object of ours is gone: nothing of it is kept."""
        for sampler in self._samplers:
            sampler.forget(key)
        self._queue.forget(key)
        self._reconciler.forget(key)

    def _on_answer(self, owner: ObjectKey) -> None:
        kind = self._kinds[owner.kind]
        if isinstance(kind, Publishes):
            kind.answered(owner)
        self._queue.add(owner)

    def _on_event(self, resource: Resource, type_: str | None, manifest: Manifest) -> None:
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, **manifest}
        if type_ is None and self._sweeper.problem is None:
            # A listing after the first one: the watch was interrupted, and what was deleted meanwhile is not told.
            self._sweeper.ask()
        if type_ == "DELETED":
            self._departures.gone(resource, ObjectKey.of(manifest), manifest["metadata"]["uid"], version(manifest))
        else:
            self._dispatcher.observe(manifest)

    def _reported(self) -> Iterator[tuple[ObjectKey, Manifest]]:
        """The objects whose statuses this replica shows in its metrics: all while it leads, else none."""
        if not self._election.is_leader or self._sweeper.problem is not None:
            return
        for kind in self._kinds.values():
            yield from self._index.all(kind.resource.api_version, kind.resource.kind)

    def _make_election(self) -> LeaderElection | AlwaysLeader:
        chosen = self._config.leader_election
        if not chosen.enabled:
            return AlwaysLeader()
        leases = KubernetesLeases(self._lease_connection, self._pod.namespace, chosen.lease)
        return LeaderElection(
            leases,
            self._pod.identity,
            self._clock,
            settings.timing(self._config),
            namespaces=self._config.namespaces,
            on_reach=self._on_reach,
        )

    def _on_reach(self, problem: str | None) -> None:
        """One line when the API server goes away, one when it is back."""
        if problem is not None and self._lapse is None:
            log.warning("API server unreachable: %s", problem)
        if problem is None and self._lapse is not None:
            log.info("API server reachable again")
            self._sweeper.ask()
        self._lapse = problem

    def _leader_address(self) -> str | None:
        """Base URL of the leader's xDS server, None when that is this replica or not known."""
        holder = self._election.holder
        if holder is None or holder == self._pod.identity or self._election.is_leader:
            return None
        ip = holder.rpartition("_")[2]
        return f"http://[{ip}]:{self._config.xds.port}" if ":" in ip else f"http://{ip}:{self._config.xds.port}"

    def _alive(self) -> str | None:
        """Only what a restart may cure; an API server that is away is not."""
        down = self._watches.down_since
        if down is None or self._sweeper.problem is not None or self._lapse is not None:
            return None
        seconds = time.monotonic() - down
        return f"the watches have not run for {seconds:.0f} s" if seconds > _WATCHES_LIMIT else None

    def _ready(self) -> str | None:
        return self._sweeper.problem


def _traces(config: Config, pod: Pod) -> Traces:
    """Raises ConfigError where they are wanted and the packages for them are not there."""
    if config.traces.endpoint is None:
        return NoTraces()
    try:
        from accord.observability.opentelemetry import OpenTelemetryTraces
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"traces.endpoint: package {error.name} not found: install accord-operator[traces]"
        ) from error
    return OpenTelemetryTraces(config.traces.endpoint, config.traces.ratio, pod.identity, pod.namespace)


def _key(resource: Resource, namespace: str, name: str) -> ObjectKey:
    return ObjectKey(resource.api_version, resource.kind, namespace, name)


async def _serve(runner: web.AppRunner, port: int) -> web.AppRunner:
    await runner.setup()
    await web.TCPSite(runner, _ANY, port).start()
    return runner


async def _cancel(tasks: list[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Make = Callable[[Config, Pod, Connection, OperatorMetrics], Operator]


async def serve(
    config: Config, pod: Pod, kubeconfig: Path | str | None, context: str | None, make: Make = Operator
) -> None:
    """Run one replica until SIGTERM or SIGINT. Raises ConnectionNotFoundError. Tests make other ones."""
    metrics = OperatorMetrics()
    connection = await Connection.open(metrics, kubeconfig, context)
    await run_until_signal(make(config, pod, connection, metrics))


async def run_until_signal(operator: Operator) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

    tolerate_generators(loop)
    listen()
    await operator.run(stop, listen)
