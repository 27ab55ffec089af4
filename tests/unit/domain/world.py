"""A world small enough to think about: an API server, a few proxies and pods, and the operator that may be killed.

Proxies take what is offered when told to, all of it, and keep what they have until then. A proxy knows the pods of a
mode from the moment it took a configuration with that mode's cluster.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.unit.domain.builders import NOW, ROUTER, deployment, edited, manifest, router

from accord.adapters.routers.envoy.offering import unsupported
from accord.adapters.routers.envoy.programming import Programming, ProxyState
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import Event, ObjectKey, Plan
from accord.domain.traffic.decide import decide
from accord.domain.traffic.names import MODE_LABEL
from accord.domain.traffic.observed import Endpoint, Observed
from accord.domain.traffic.routing import RoutingIntent, routing_intent

WARM = timedelta(seconds=2)


@dataclass
class Proxy:
    """One Envoy."""

    name: str
    ready: bool = True
    runs: RoutingIntent | None = None
    knows: dict[str, datetime] = field(default_factory=dict)

    def take(self, offered: RoutingIntent | None, now: datetime) -> None:
        if offered is not None:
            self.runs = offered
            self.knows = {mode: self.knows.get(mode, now) for mode in offered.clusters}

    def warm(self, now: datetime) -> set[str]:
        return {mode for mode, since in self.knows.items() if now - since >= WARM}


class World:
    def __init__(self, shares: dict[str, int], proxies: int = 2) -> None:
        self.now = NOW
        self.policy: Manifest = manifest(shares)
        self.children: dict[ObjectKey, Manifest] = {}
        self.scaled: dict[str, int] = {}
        self.proxies = [Proxy(f"p{i}") for i in range(proxies)]
        self.offered: RoutingIntent | None = None
        self.published_at: datetime | None = None
        self.events: list[Event] = []
        self.status_writes = 0
        self.vandalised: set[str] = set()

    # What users, pods and proxies do.

    def edit(self, shares: dict[str, int] | None = None, **spec: Any) -> None:
        self.policy = edited(self.policy, shares, **spec)
        self.publish()

    def answer(self, *names: str) -> None:
        """These proxies (all, if none is named) take what is offered."""
        for proxy in self.proxies:
            if not names or proxy.name in names:
                proxy.take(self.offered, self.now)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # What the operator does.

    def read(self) -> TrafficPolicy:
        return TrafficPolicy.model_validate(copy.deepcopy(self.policy))

    def publish(self) -> None:
        """As every replica does at each change of the policy."""
        policy = self.read()
        intent = routing_intent(policy, accepted=not unsupported(policy)) or self.offered
        if intent != self.offered:
            self.offered, self.published_at = intent, self.now

    def gather(self) -> Observed:
        policy = self.read()
        ready = [proxy for proxy in self.proxies if proxy.ready]
        clusters = set(self.offered.clusters) if self.offered else set()
        names = {mode.name for mode in policy.spec.modes} | {mode.name for mode in policy.status.modes}
        served = {child["metadata"]["labels"].get(MODE_LABEL) for child in self.children.values()}
        return Observed(
            policy=policy,
            deployments={
                name: deployment(name, replicas=self.scaled.get(name, 1), ready_replicas=self.scaled.get(name, 1))
                for name in (mode.deployment_ref.name for mode in policy.spec.modes)
            },
            children=copy.deepcopy(self.children),
            endpoints={
                name: tuple(Endpoint(f"10.0.0.{i}", True) for i in range(self.scaled.get(name, 1)))
                for name in names & served
            },
            router=router(
                objects=(ROUTER,),
                policy=self.policy,
                now=self.now,
                state=Programming(
                    published_at=self.published_at,
                    proxies=tuple(ProxyState(p.name, p.ready, p.runs == self.offered) for p in self.proxies),
                    warm=frozenset(clusters.intersection(*(proxy.warm(self.now) for proxy in ready))),
                    routes_settled=all(proxy.runs == self.offered for proxy in ready),
                ),
            ),
        )

    def decide(self) -> Plan:
        self.publish()
        return decide(self.gather(), self.now)

    def step(self, writes: int | None = None) -> Plan:
        """One pass; killed after that many writes, if given."""
        plan = self.decide()
        left = 1_000 if writes is None else writes
        for wanted in plan.apply[:left]:
            self.children[ObjectKey.of(wanted)] = {**wanted, "status": {}}
        left -= len(plan.apply)
        for key in plan.delete[: max(left, 0)]:
            self.children.pop(key)
        left -= len(plan.delete)
        if left > 0 and plan.status is not None and plan.status != self.policy.get("status"):
            self.policy = {**self.policy, "status": plan.status}
            self.status_writes += 1
            self.publish()
        if left > 1:
            self.events.extend(plan.events)
        return plan

    def settle(self) -> Plan:
        """Everybody does their part until nothing moves."""
        for _ in range(8):
            for proxy in self.proxies:
                proxy.ready = True
            self.answer()
            self.step()
            self.wait(1)
        return self.decide()

    # What must be true.

    def services(self) -> set[str]:
        labels = (child["metadata"]["labels"].get(MODE_LABEL) for child in self.children.values())
        return {label for label in labels if label is not None}

    def status(self) -> dict[str, float]:
        return {mode["name"]: mode["target"] for mode in self.policy.get("status", {}).get("modes", [])}
