"""From one policy and its endpoints to the offers for its proxies, and back to how far they have come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from accord.adapters.routers.envoy import looking
from accord.adapters.routers.envoy.acknowledgements import WARM_AFTER, AckStore
from accord.adapters.routers.envoy.bootstrap import STATISTICS
from accord.adapters.routers.envoy.clusters import clusters
from accord.adapters.routers.envoy.endpoints import Target, all_endpoints, mode_endpoints
from accord.adapters.routers.envoy.listeners import listener
from accord.adapters.routers.envoy.programming import Programming, ProxyState
from accord.adapters.routers.envoy.routes import route_configuration
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.adapters.routers.envoy.snapshot import Snapshot
from accord.adapters.routers.envoy.xds import ALL_ENDPOINTS, Key, Kind
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.traffic.acceptance import no_router
from accord.domain.traffic.health import Check
from accord.domain.traffic.observed import Endpoint, Unsupported
from accord.domain.traffic.routing import RoutingIntent, routing_intent

_CLUSTERS, _LISTENERS, _ROUTES = Key(Kind.CLUSTERS), Key(Kind.LISTENERS), Key(Kind.ROUTES)
_ALL = Key(Kind.ENDPOINTS, ALL_ENDPOINTS)

TYPE = "Envoy"
"""Its `router.type`."""


def unsupported(policy: TrafficPolicy) -> tuple[Unsupported, ...]:
    """What Envoy cannot do: of the fields of its own policies nothing. The policy of another router is not one."""
    return () if policy.spec.router.type == TYPE else (no_router(policy, [TYPE]),)


class Published:
    """Everything about one policy that the discovery server needs."""

    def __init__(self, settings: EnvoySettings) -> None:
        self.snapshot = Snapshot()
        self.acks = AckStore(self.snapshot)
        self.addresses: dict[str, set[str]] = {}
        """Names of the router's pods by address. Ready or not: a new proxy asks before it can be."""
        self._settings = settings
        self._proxies: tuple[Endpoint, ...] = ()
        self._window = timedelta(0)
        self._failures: dict[str, float] = {}
        """Modes whose failures the proxies count, each with the seconds of its breaker's window."""
        self._intent: RoutingIntent | None = None
        self._ports: dict[str, int] = {}
        self._targets: dict[str, tuple[Target, ...]] = {}
        self._checks: dict[str, Check] = {}
        self._shares = ""
        self._polls_from: dict[str, str] = {}
        self._published_at: datetime | None = None

    def update(
        self,
        policy: TrafficPolicy,
        endpoints: Mapping[str, tuple[Endpoint, ...]],
        proxies: tuple[Endpoint, ...],
        revision: int,
        now: datetime,
    ) -> list[Key]:
        """Take in the state of the cluster; returns what is offered differently now.

        Only what can have changed is made anew: endpoints of a mode when they changed, all else when the policy did.
        """
        self._proxies = tuple(sorted(proxies, key=lambda proxy: proxy.pod))
        self.acks.proxies = frozenset(proxy.pod for proxy in proxies)
        self._polls_from = {pod: address for pod, address in self._polls_from.items() if pod in self.acks.proxies}
        changed: list[Key] = []
        before = self._intent
        self._window = policy.spec.monitoring.window
        self._failures = {
            breaker.mode: breaker.window.total_seconds()
            for breaker in policy.spec.breakers
            if breaker.counted_by == "Proxies"
        }
        self._ports.update({mode.name: mode.port for mode in policy.spec.modes})
        wanted = routing_intent(policy, accepted=not unsupported(policy))
        # Weights that sum to nothing cannot be routed; the proxies keep what they have.
        intent = wanted if wanted is not None and wanted.weights else before
        if intent is None:
            return []
        self._intent = intent
        if intent != before:
            changed += self._offer_intent(intent, _revision(policy, revision))
        changed += self._offer_endpoints(intent, endpoints, revision, renewed=intent != before)
        for key in changed:
            if key.kind is Kind.ENDPOINTS:
                self.acks.offered(key, now)
        if _CLUSTERS in changed:
            self.acks.renewed(Kind.ENDPOINTS)
        if _LISTENERS in changed:
            self.acks.renewed(Kind.ROUTES)
        if self._published_at is None or any(key.kind is not Kind.ENDPOINTS for key in changed):
            self._published_at = now
        return changed

    def _offer_intent(self, intent: RoutingIntent, revision: int) -> list[Key]:
        contents = {
            _CLUSTERS: clusters(intent),
            _LISTENERS: [listener(self._settings, intent)],
            _ROUTES: [route_configuration(intent)],
        }
        self.snapshot.withdraw_endpoints({*intent.clusters, ALL_ENDPOINTS})
        self._targets = {mode: targets for mode, targets in self._targets.items() if mode in intent.clusters}
        self._checks = {mode: check for mode, check in self._checks.items() if mode in intent.clusters}
        self._ports = {mode: port for mode, port in self._ports.items() if mode in intent.clusters}
        return [key for key, resources in contents.items() if self.snapshot.put(key, resources, revision)]

    def _offer_endpoints(
        self, intent: RoutingIntent, endpoints: Mapping[str, tuple[Endpoint, ...]], revision: int, *, renewed: bool
    ) -> list[Key]:
        """A mode that `endpoints` does not have keeps what was offered last, be that nothing: a poll for it waits."""
        changed = []
        touched = renewed
        for mode in intent.clusters:
            if mode not in endpoints and mode not in self._targets:
                continue
            targets = self._ready(mode, endpoints[mode]) if mode in endpoints else self._targets[mode]
            check = intent.checks[mode]
            if self._targets.get(mode) == targets and self._checks.get(mode) == check:
                continue
            touched = True
            self._targets[mode], self._checks[mode] = targets, check
            key = Key(Kind.ENDPOINTS, mode)
            if self.snapshot.put(key, [mode_endpoints(mode, targets, check)], revision, tag=bool(targets)):
                changed.append(key)
        known = all(mode in self._targets for mode in intent.weights)
        if touched and known and self.snapshot.put(_ALL, [all_endpoints(intent, self._targets)], revision):
            changed.append(_ALL)
        return changed

    def _ready(self, mode: str, endpoints: tuple[Endpoint, ...]) -> tuple[Target, ...]:
        """The ready pods. The slices know their port; the spec's may be ahead of them, or gone with the mode."""
        ports = {endpoint: endpoint.port or self._ports.get(mode) for endpoint in endpoints if endpoint.ready}
        return tuple(sorted({Target(endpoint.address, port) for endpoint, port in ports.items() if port}))

    def turned_away(self, pod: str, address: str) -> bool:
        """Note from where polls come in the name of a pod that is never heard itself. True when this is news.

        The first address counts: whoever can reach the operator can say such things, and make it write a status once.
        """
        if pod not in self.acks.proxies or pod in self._polls_from or self.acks.has_heard(pod):
            return False
        self._polls_from[pod] = address
        return True

    def refused(self, pod: str, key: Key) -> str:
        """Digest of the current offer of `key` if that proxy refuses it, else empty."""
        return self.snapshot.offers[key].version.digest if key in self.acks.refuses(pod) else ""

    def look_at(self) -> looking.Target | None:
        """Where the ready proxies tell what they see; None where there is nothing to be seen."""
        if self._intent is None:
            return None
        window, interval = self._window.total_seconds(), self._intent.health_interval.total_seconds()
        return looking.Target(
            {proxy.pod: self._statistics(proxy) for proxy in self._proxies if proxy.ready},
            looking.pause(interval, window, counts_failures=bool(self._failures)),
            window,
            self._failures,
        )

    def _statistics(self, proxy: Endpoint) -> str:
        host = f"[{proxy.address}]" if ":" in proxy.address else proxy.address
        return f"http://{host}:{self._settings.probe_port}{STATISTICS}"

    @property
    def modes(self) -> tuple[str, ...]:
        """Modes that the proxies know of."""
        return self._intent.clusters if self._intent is not None else ()

    def programming(self, now: datetime) -> Programming:
        """How far the ready proxies have come."""
        if self._intent is None:
            return Programming(proxies=tuple(self._state(proxy) for proxy in self._proxies))
        ready = [proxy.pod for proxy in self._proxies if proxy.ready]
        return Programming(
            published_at=self._published_at,
            proxies=tuple(self._state(proxy) for proxy in self._proxies),
            warm=frozenset(
                mode for mode in self._intent.clusters if all(self._is_warm(pod, mode, now) for pod in ready)
            ),
            routes_settled=all(self._runs_routes(pod) for pod in ready),
        )

    def _state(self, proxy: Endpoint) -> ProxyState:
        heard = self.acks.has_heard(proxy.pod)
        refused = ", ".join(sorted(str(key) for key in self.acks.refuses(proxy.pod)))
        return ProxyState(
            name=proxy.pod,
            ready=proxy.ready,
            accepted=bool(self.snapshot.offers)
            and not refused
            and self._runs_routes(proxy.pod)
            and self._runs(proxy.pod, _LISTENERS),
            rejected=(
                f"proxy {proxy.pod} refuses the {refused} offered to it and keeps what it had; its log says why"
                if refused
                else None
            ),
            polls_from=None if heard else self._polls_from.get(proxy.pod),
        )

    def _runs(self, pod: str, key: Key) -> bool:
        offer = self.snapshot.offers.get(key)
        return offer is not None and self.acks.runs(pod, key) == offer.version.digest

    def _runs_routes(self, pod: str) -> bool:
        return self._runs(pod, _ROUTES) and self._runs(pod, _CLUSTERS)

    def _is_warm(self, pod: str, mode: str, now: datetime) -> bool:
        key = Key(Kind.ENDPOINTS, mode)
        since = self.acks.filled_since(pod, key)
        if since is not None:
            return now - since >= WARM_AFTER
        return not self._targets.get(mode) and self._runs(pod, key)


def _revision(policy: TrafficPolicy, otherwise: int) -> int:
    """What depends on the policy alone has its resourceVersion, so that all replicas give it the same version."""
    text = policy.metadata.resource_version
    return int(text) if text.isascii() and text.isdigit() else otherwise
