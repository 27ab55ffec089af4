"""The port `accord.ports.router.Proxies` for the built-in Envoy router."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from aiohttp import web

from accord.adapters.routers.envoy import looking, objects, offering, progress
from accord.adapters.routers.envoy import pods as router_pods
from accord.adapters.routers.envoy.acknowledgements import WARM_AFTER
from accord.adapters.routers.envoy.door import GuardedRunner, canonical_address
from accord.adapters.routers.envoy.forwarding import Ack, Forwarder
from accord.adapters.routers.envoy.looking import Looker, Target
from accord.adapters.routers.envoy.offering import Published
from accord.adapters.routers.envoy.polling import Poll
from accord.adapters.routers.envoy.programming import Programming
from accord.adapters.routers.envoy.server import DiscoveryServer, Hold
from accord.adapters.routers.envoy.settings import EnvoySettings
from accord.adapters.routers.envoy.snapshot import Offer, Version
from accord.adapters.routers.envoy.waiting import Waiters
from accord.adapters.routers.envoy.xds import Kind
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.conditions import find
from accord.domain.plan import ObjectKey
from accord.domain.traffic import names
from accord.domain.traffic.observed import Counted, Endpoint, Seen, Unsupported
from accord.domain.traffic.progress import Handover, Progress
from accord.ports.clock import Clock

_MOST_BEHIND = 10_000
_TRUST_AFTER = timedelta(seconds=60)
"""A replica that knows less than a proxy is behind, but not for a whole minute: then resourceVersions were reset
(a restored backup), and what this replica knows is the truth."""


class EnvoyRouter:
    """Proxies of all policies with router type Envoy. All calls belong on one event loop."""

    def __init__(
        self,
        settings: EnvoySettings,
        clock: Clock,
        *,
        on_change: Callable[[str, str], None],
        leader: Callable[[], str | None],
        key: Callable[[], str | None],
    ) -> None:
        """`on_change(namespace, policy)`: `progress` may answer differently now.

        `leader()`: base URL of the leader when that is another replica, None when it is this one or not known.
        `key()`: by which the leader knows its standbys, None where there are none.
        """
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._policies: dict[tuple[str, str], Published] = {}
        self._waiters = Waiters()
        self._key = key
        self._forwarder = Forwarder(leader, key, self._everything)
        self._addresses: dict[str, set[tuple[str, str, str]]] = {}
        self._behind: dict[tuple[str, str, str, object], datetime] = {}
        self._obstacles: dict[tuple[str, str], router_pods.Obstacle] = {}
        self._looker = Looker(self._look_at, lambda who: self._on_change(*who))

    def runner(self, shutdown_timeout: float) -> web.AppRunner:
        """Discovery and acknowledgements, to be served on `settings.xds_port`."""
        application = DiscoveryServer(self, self._waiters).application()
        return GuardedRunner(application, self.knows, shutdown_timeout=shutdown_timeout)

    async def run(self) -> None:
        """Pass acknowledgements on to the leader until cancelled."""
        await self._forwarder.run()

    async def look(self) -> None:
        """Ask the proxies what they see of the pods, until cancelled. For the leader: only it writes status."""
        await self._looker.run(list(self._policies))

    @property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """Nothing but that pods of its Deployment are refused, which is kept of every Deployment."""
        return ()

    def unsupported(self, policy: TrafficPolicy) -> tuple[Unsupported, ...]:
        """Fields of this spec that the router cannot honour."""
        return offering.unsupported(policy)

    def objects(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> tuple[Manifest, ...]:
        """Service and Deployment, and a PodDisruptionBudget from two replicas on."""
        return objects.objects(policy, self._settings, live)

    def address(self, policy: TrafficPolicy) -> str | None:
        """The router's Service, as clients in the cluster name it."""
        meta = policy.metadata
        return f"{names.router(meta.name)}.{meta.namespace}.svc:{policy.spec.router.envoy.port}"

    def publish(
        self,
        policy: TrafficPolicy,
        endpoints: Mapping[str, tuple[Endpoint, ...]],
        proxies: tuple[Endpoint, ...],
        revision: int,
    ) -> None:
        """Offer the configuration for this state, and answer the polls that wait for it."""
        who = (policy.metadata.namespace, policy.metadata.name)
        published = self._policies.get(who)
        if published is None:
            published = self._policies[who] = Published(self._settings)
        self._follow(who, published.addresses, proxies)
        changed = published.update(policy, endpoints, proxies, revision, self._clock.now())
        for key in changed:
            self._waiters.wake((*who, key))
        if changed:
            self._looker.hasten(who)

    def forget(self, namespace: str, name: str) -> None:
        """The policy is gone. Its proxies keep what they have until their pods are deleted."""
        published = self._policies.pop((namespace, name), None)
        if published is not None:
            self._follow((namespace, name), published.addresses, ())
        self._looker.forget((namespace, name))
        self._obstacles.pop((namespace, name), None)
        for where in [where for where in self._behind if where[:2] == (namespace, name)]:
            del self._behind[where]

    def progress(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> Progress:
        """How far the proxies have come with the routing of this policy."""
        who = (policy.metadata.namespace, policy.metadata.name)
        refused = router_pods.refused(live.get(_deployment(policy)))
        return progress.progress(policy, self.programming(*who), self._clock.now(), refused, self._obstacles.get(who))

    def handover(self, policy: TrafficPolicy) -> Handover:
        """Which modes are warm, and whether routes from before are still in use."""
        return progress.handover(self.programming(policy.metadata.namespace, policy.metadata.name))

    def seen(self, policy: TrafficPolicy) -> Seen:
        """How the proxies see the pods of each mode, as of the last look at them."""
        return progress.seen(self.programming(policy.metadata.namespace, policy.metadata.name))

    def awaited_pods(self, policy: TrafficPolicy, live: Mapping[ObjectKey, Manifest]) -> str | None:
        """Those of the proxies, while none of them is ready."""
        who = (policy.metadata.namespace, policy.metadata.name)
        self._obstacles.pop(who, None)
        deployment, told = live.get(_deployment(policy)), find(policy.status.conditions, "Programmed")
        # The first status says only that none is ready: pods take a moment.
        if deployment is None or told is None or told.status == "True" or self.programming(*who).has_ready_proxy:
            return None
        labels = deployment["spec"]["selector"]["matchLabels"]
        return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))

    def pods_seen(self, policy: TrafficPolicy, found: Iterable[Manifest]) -> None:
        """Keep what the next decision reads of them."""
        obstacle = router_pods.obstacle(found)
        if obstacle is not None:
            self._obstacles[policy.metadata.namespace, policy.metadata.name] = obstacle

    def programming(self, namespace: str, name: str) -> Programming:
        """How far the ready proxies have come."""
        who = (namespace, name)
        published = self._policies.get(who)
        if published is None:
            return Programming()
        return replace(
            published.programming(self._clock.now()),
            sights=self._looker.sights(who, published.modes),
            cut_off=self._looker.cut_off(who, published.modes),
            looked=self._looker.looked(who),
        )

    def counted(self, policy: TrafficPolicy) -> Counted:
        """The requests that the proxies counted within `monitoring.window`, as of the last look at them."""
        who = (policy.metadata.namespace, policy.metadata.name)
        published = self._policies.get(who)
        if published is None:
            return Counted()
        return self._looker.counted(who, published.modes, policy.spec.monitoring.window.total_seconds())

    def _follow(self, who: tuple[str, str], known: dict[str, set[str]], proxies: tuple[Endpoint, ...]) -> None:
        """Keep the addresses of all proxies; `known` are this policy's, by address with the names of their pods."""
        now: dict[str, set[str]] = {}
        for proxy in proxies:
            now.setdefault(canonical_address(proxy.address), set()).add(proxy.pod)
        for address, pods in known.items():
            gone = {(*who, pod) for pod in pods - now.get(address, set())}
            left = self._addresses.get(address, set())
            left -= gone
            if not left:
                self._addresses.pop(address, None)
        for address, pods in now.items():
            known_here = self._addresses.setdefault(address, set())
            known_here |= {(*who, pod) for pod in pods}
            if address not in known:
                self._waiters.wake(address)
        known.clear()
        known.update(now)

    # What the discovery server asks.

    def knows(self, address: str) -> bool:
        """Whether this is the address of a pod of any router."""
        return not self._settings.verify_peers or address in self._addresses

    def admits(self, poll: Poll, address: str) -> bool:
        """Whether the pod that the poll names is one of that policy's router, and has this address."""
        pod = (poll.namespace, poll.policy, poll.pod)
        return not self._settings.verify_peers or pod in self._addresses.get(address, ())

    def trusts(self, key: str) -> bool:
        """Whether this is the key by which the leader knows its standbys."""
        expected = self._key()
        return expected is not None and hmac.compare_digest(expected.encode(), key.encode("utf-8", "surrogateescape"))

    def turned_away(self, named: tuple[str, str, str], address: str) -> None:
        """Somebody polled in the name of that pod, from an address that is no pod's."""
        namespace, policy, pod = named
        published = self._policies.get((namespace, policy))
        if published is not None and published.turned_away(pod, address):
            self._on_change(namespace, policy)

    def hear(self, poll: Poll) -> None:
        """A proxy polls this replica."""
        published = self._policies.get((poll.namespace, poll.policy))
        if published is None or poll.key not in published.snapshot.offers:
            return
        news = published.acks.hear(poll.pod, poll.key, poll.version, self._clock.now())
        refused = published.refused(poll.pod, poll.key)
        self._forwarder.add(Ack(poll.namespace, poll.policy, poll.pod, poll.key, poll.version, refused))
        if news:
            self._changed(poll.namespace, poll.policy, poll.key.kind)

    def hear_ack(self, ack: Ack) -> None:
        """Another replica passes on what a proxy said."""
        published = self._policies.get((ack.namespace, ack.policy))
        if (
            published is not None
            and ack.key in published.snapshot.offers
            and published.acks.hear_ack(ack.pod, ack.key, ack.version, ack.refused, self._clock.now())
        ):
            self._changed(ack.namespace, ack.policy, ack.key.kind)

    def answer(self, poll: Poll) -> Offer | Hold:
        """The offer to send now, else how long to hold the poll."""
        published = self._policies.get((poll.namespace, poll.policy))
        offer = published.snapshot.offers.get(poll.key) if published else None
        if published is None or offer is None:
            return Hold()
        now = self._clock.now()
        where = (poll.namespace, poll.policy, poll.pod, poll.key)
        standing = offer.against(poll.version)
        if standing != "older":
            self._behind.pop(where, None)
        if standing == "same":
            return Hold()
        if standing == "older" and now - self._since_when_behind(where, now) < _TRUST_AFTER:
            return Hold(behind=True)
        pause = published.acks.pause(poll.pod, poll.key, offer, now)
        if pause is not None:
            return Hold(pause.total_seconds())
        published.acks.sent(poll.pod, poll.key, offer)
        return offer

    def _look_at(self, who: tuple[str, str]) -> Target | None:
        published = self._policies.get(who)
        return None if published is None else published.look_at() or Target({}, looking.pause(0, 0))

    def _since_when_behind(self, where: tuple[str, str, str, object], now: datetime) -> datetime:
        if len(self._behind) > _MOST_BEHIND:
            self._behind.clear()
        return self._behind.setdefault(where, now)

    def _changed(self, namespace: str, policy: str, kind: Kind) -> None:
        self._on_change(namespace, policy)
        if kind is Kind.ENDPOINTS:
            later = WARM_AFTER.total_seconds() + 0.01
            asyncio.get_running_loop().call_later(later, self._on_change, namespace, policy)

    def _everything(self) -> Iterator[Ack]:
        for (namespace, policy), published in self._policies.items():
            for pod, key, record in published.acks.everything():
                version = Version(0, record.runs) if record.runs else None
                yield Ack(namespace, policy, pod, key, version, record.refused)


def _deployment(policy: TrafficPolicy) -> ObjectKey:
    return ObjectKey("apps/v1", "Deployment", policy.metadata.namespace, names.router(policy.metadata.name))
