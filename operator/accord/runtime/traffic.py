"""TrafficPolicy in the runtime: gathers what a decision needs, and offers each change to the router at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from pydantic import ValidationError

from accord.adapters.kubernetes.needs import OWN, READ, Needs, Permission
from accord.adapters.kubernetes.resources import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    PODS,
    SERVICES,
    TRAFFIC_POLICIES,
)
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey, Plan
from accord.domain.samples import Answer
from accord.domain.traffic import acceptance, distribution, failures, names
from accord.domain.traffic.failures import Failures
from accord.domain.traffic.membership import known_modes
from accord.domain.traffic.observed import DeploymentView, Endpoint, Measurement, Observed, RouterView
from accord.domain.traffic.progress import Handover
from accord.domain.traffic.resources import mode_service_key, owned
from accord.ports.router import HandsOver, KeepsUp, Proxies, Router
from accord.runtime.book import AnyInquiry, Book, Inquiry
from accord.runtime.index import Change, Index, controller_of, slice_service, version
from accord.runtime.kinds import Traits
from accord.runtime.parsed import Parsed
from accord.runtime.refusals import Refusals
from accord.runtime.unlisted import Unlisted

Decide = Callable[[Observed, datetime], Plan]
_NO_STATUS = (SERVICES.kind, DISRUPTION_BUDGETS.kind)
"""Kinds of whose status nothing is read."""


class TrafficPolicies:
    """The kind TrafficPolicy. Implements `accord.runtime.kinds.Kind`."""

    resource = TRAFFIC_POLICIES
    traits = Traits(
        names.POLICY_LABEL,
        Needs(
            watches=(DEPLOYMENTS, SERVICES, DISRUPTION_BUDGETS, ENDPOINT_SLICES),
            permissions=(
                Permission(DEPLOYMENTS, OWN, "Read the Deployments of the modes; run the router's proxies."),
                Permission(SERVICES, OWN, "A Service for each mode and router."),
                Permission(DISRUPTION_BUDGETS, OWN, "Keep one proxy of a router up during voluntary disruptions."),
                Permission(
                    ENDPOINT_SLICES,
                    READ,
                    "Tell the proxies which pods are ready; check whether a slice that left the watch was deleted or "
                    "lost a label.",
                ),
                Permission(
                    PODS,
                    ("list",),
                    "List the pods of a router, by its selector, only while none of its proxies is ready: why they do "
                    "not come up.",
                ),
            ),
        ),
        is_patient=False,
    )

    def __init__(
        self,
        index: Index,
        routers: Mapping[str, Router],
        decide: Decide,
        measurements: Book[Measurement],
        failures_read: Book[Failures],
    ) -> None:
        """`routers` by `router.type`; `measurements` and `failures_read` are what samplers write in."""
        self._index, self._routers, self._decide = index, routers, decide
        index.keep_status(kind for router in routers.values() for kind in router.reads)
        self._proxies = {type_: router for type_, router in routers.items() if isinstance(router, Proxies)}
        self._measurements, self._failures = measurements, failures_read
        self._parsed = Parsed(TrafficPolicy)
        self.refusals = Refusals()
        self.inquiries: Sequence[AnyInquiry] = (
            Inquiry(replace(distribution.QUESTION, interpret=self.interpret), self.read, measurements),
            Inquiry(failures.QUESTION, self.read, failures_read),
        )
        self._users = index.index_by("trafficpolicy-deployment", _deployments_of)
        self._publishing = False
        self._unlisted: Unlisted | None = None

    def start_publishing(self, unlisted: Unlisted | None = None) -> None:
        """The watches have caught up: offer everything once, and each change from now on.

        Before, endpoints might be missing only because they were not listed yet, and a proxy would lose them. What no
        watch shows although it was there is looked for with `unlisted`.
        """
        self._publishing, self._unlisted = True, unlisted
        for key, manifest in self._index.all(self.resource.api_version, self.resource.kind):
            if unlisted is not None:
                unlisted.ask(self._services_missed(key, manifest), key, manifest["metadata"]["uid"])
            self._publish(key)

    def answered(self, key: ObjectKey) -> None:
        """The API server has said what there is of this policy's Services."""
        self._publish(key)

    def read(self, key: ObjectKey) -> TrafficPolicy | None:
        """The policy as it is known, or None. Raises pydantic.ValidationError where it cannot be read."""
        manifest = self._index.get(key)
        return None if manifest is None else self._parsed.of(manifest)

    def on_change(self, change: Change) -> Iterable[ObjectKey]:
        """Publish, and say which policies are concerned."""
        key = change.key
        if key.kind == self.resource.kind:
            self._publish(key)
            return (key,) if change.new is not None else ()
        if key.kind == ENDPOINT_SLICES.kind:
            concerned = {policy for policy in map(_labelled, (change.old, change.new)) if policy is not None}
            for policy in concerned:
                self._publish(policy)
            return concerned
        if _same(change):
            return ()
        concerned = {policy for policy in map(_owner, (change.old, change.new)) if policy is not None}
        return concerned | set(self._users(key))

    def plan(self, manifest: Manifest, conflicts: Mapping[ObjectKey, str], now: datetime) -> Plan:
        """Gather and decide. A refusal counts only as long as that object is wanted."""
        key = ObjectKey.of(manifest)
        return self.refusals.decide(key, lambda: self._decide(self._gather(key, manifest, conflicts, now), now))

    def awaited_pods(self, manifest: Manifest) -> str | None:
        """Those of the router, where they do not come up. Implements `LooksAtPods`."""
        with contextlib.suppress(ValidationError):
            policy = self._parsed.of(manifest)
            router = self._proxies.get(policy.spec.router.type)
            if router is not None:
                return router.awaited_pods(policy, self._index.children(policy.metadata.uid))
        return None

    def pods_seen(self, manifest: Manifest, pods: Iterable[Manifest]) -> None:
        """The router keeps what the next decision reads of them."""
        policy = self._parsed.of(manifest)
        router = self._proxies.get(policy.spec.router.type)
        if router is not None:
            router.pods_seen(policy, pods)

    def interpret(self, policy: TrafficPolicy, answer: Answer, now: datetime) -> Measurement:
        """What Prometheus says about the traffic, and what the router counted itself."""
        router = self._proxies.get(policy.spec.router.type)
        measured = distribution.interpret(policy, answer, now)
        return (
            measured
            if router is None
            else replace(measured, proxies=router.counted(policy, policy.spec.monitoring.window))
        )

    def forget(self, key: ObjectKey) -> None:
        """Drop what was remembered of a policy that is gone."""
        self._parsed.forget(key)
        self.refusals.forget(key)

    def _publish(self, key: ObjectKey) -> None:
        if not self._publishing:
            return
        manifest = self._index.get(key)
        if manifest is None:
            for router in self._proxies.values():
                router.forget(key.namespace, key.name)
            return
        try:
            policy = self._parsed.of(manifest)
        except ValueError:
            # The pass over it says so in its status; what was published stays.
            return
        chosen = self._proxies.get(policy.spec.router.type)
        for router in self._proxies.values():
            if router is not chosen:
                router.forget(key.namespace, key.name)
        if chosen is None:
            return
        slices = {mode: self._slices(policy, names.mode_service(key.name, mode)) for mode in known_modes(policy)}
        proxies = self._slices(policy, names.router(key.name))
        seen = [version(manifest), *(version(s) for group in (*slices.values(), proxies) for s in group)]
        unseen = self._unseen(policy)
        endpoints = {mode: _endpoints(group) for mode, group in slices.items() if mode not in unseen}
        chosen.publish(policy, endpoints, _endpoints(proxies), max(seen))

    def _gather(
        self, key: ObjectKey, manifest: Manifest, conflicts: Mapping[ObjectKey, str], now: datetime
    ) -> Observed:
        policy = self._parsed.of(manifest)
        router, deployments = self._router_view(policy), {}
        for mode in policy.spec.modes:
            live = self._index.get(_deployment(key.namespace, mode.deployment_ref.name))
            if live is not None:
                deployments[mode.deployment_ref.name] = DeploymentView.of(live)
        return Observed(
            policy=policy,
            deployments=deployments,
            children=dict(self._index.children(policy.metadata.uid)),
            endpoints={
                mode: _endpoints(self._slices(policy, names.mode_service(key.name, mode)))
                for mode in known_modes(policy)
            },
            unseen=self._unseen(policy),
            orphans=self._orphans(policy, router),
            router=router,
            measurement=self._measurements.get(key),
            failures=self._failures_of(key, policy, now),
            conflicts=conflicts,
            refusals=self.refusals.of(key),
        )

    def _router_view(self, policy: TrafficPolicy) -> RouterView:
        router, live = self._routers.get(policy.spec.router.type), self._index.children(policy.metadata.uid)
        if router is None:
            return RouterView(unsupported=(acceptance.no_router(policy, self._routers),))
        view = RouterView(
            objects=router.objects(policy, live),
            kept_up=router.kept_up(policy, live) if isinstance(router, KeepsUp) else (),
            address=router.address(policy),
            unsupported=router.unsupported(policy),
            progress=router.progress(policy, live),
        )
        proxies = self._proxies.get(policy.spec.router.type)
        if isinstance(router, HandsOver):
            return replace(view, handover=Handover(left=router.left(policy, live)))
        if proxies is None:
            return view
        return replace(view, handover=proxies.handover(policy), seen=proxies.seen(policy))

    def _failures_of(self, key: ObjectKey, policy: TrafficPolicy, now: datetime) -> Failures | None:
        proxies = self._proxies.get(policy.spec.router.type)
        counted = None if proxies is None else partial(proxies.counted, policy)
        return failures.by_proxies(policy, self._failures.get(key), counted, now)

    def _unseen(self, policy: TrafficPolicy) -> frozenset[str]:
        """Modes that had pods, and of whose Service no EndpointSlice is known though it is there, or may be.

        The controller makes one for each Service, be it empty. Without one the label that both are watched by has been
        lost, or the Service was made a moment ago.
        """
        children = self._index.children(policy.metadata.uid)

        def is_unseen(mode: str) -> bool:
            key = mode_service_key(policy, mode)
            there = key in children or (self._unlisted is not None and key in self._unlisted)
            return there and not self._slices(policy, key.name)

        return frozenset(mode.name for mode in policy.status.modes if mode.ready_pods and is_unseen(mode.name))

    def _orphans(self, policy: TrafficPolicy, router: RouterView) -> dict[ObjectKey, Manifest]:
        """Objects of this policy without an owner, but for Deployments, which are not watched by label."""
        namespace, name = policy.metadata.namespace, policy.metadata.name
        own = (ObjectKey(r.api_version, r.kind, namespace, names.router(name)) for r in (SERVICES, DISRUPTION_BUDGETS))
        wanted = (ObjectKey.of(owned(policy, each)) for each in router.objects if each["kind"] != DEPLOYMENTS.kind)
        keys = (*(mode_service_key(policy, mode) for mode in known_modes(policy)), *own, *wanted)
        found = ((key, self._index.get(key)) for key in keys)
        return {
            key: live
            for key, live in found
            if live is not None and controller_of(live) is None and _owner(live) == _policy(namespace, name)
        }

    def _services_missed(self, key: ObjectKey, manifest: Manifest) -> list[ObjectKey]:
        """Services that this policy had when its status was written, and that the index does not know."""
        try:
            policy = self._parsed.of(manifest)
        except ValueError:
            return []
        had = [mode_service_key(policy, mode.name) for mode in policy.status.modes]
        if had:
            had.append(ObjectKey(SERVICES.api_version, SERVICES.kind, key.namespace, names.router(key.name)))
        return [service for service in had if self._index.get(service) is None]

    def _slices(self, policy: TrafficPolicy, service: str) -> tuple[Manifest, ...]:
        return self._index.slices(policy.metadata.namespace, service)


def _deployment(namespace: str, name: str) -> ObjectKey:
    return ObjectKey(DEPLOYMENTS.api_version, DEPLOYMENTS.kind, namespace, name)


def _policy(namespace: str, name: str) -> ObjectKey:
    return ObjectKey(TRAFFIC_POLICIES.api_version, TRAFFIC_POLICIES.kind, namespace, name)


def _deployments_of(manifest: Manifest) -> list[ObjectKey]:
    """The Deployments of a policy. They are read from the raw object, readable or not."""
    if manifest["kind"] != TRAFFIC_POLICIES.kind:
        return []
    named = ((mode.get("deploymentRef") or {}).get("name") for mode in (manifest.get("spec") or {}).get("modes") or ())
    return [_deployment(manifest["metadata"]["namespace"], name) for name in named if name]


def _labelled(manifest: Manifest | None) -> ObjectKey | None:
    """The policy that a slice serves: the labels of its Service were copied to it."""
    if manifest is None or not slice_service(manifest):
        return None
    name = (manifest["metadata"].get("labels") or {}).get(names.POLICY_LABEL)
    return _policy(manifest["metadata"]["namespace"], name) if name else None


def _owner(manifest: Manifest | None) -> ObjectKey | None:
    """The policy that controls an object, or that its label names where somebody removed the reference."""
    if manifest is None:
        return None
    meta = manifest["metadata"]
    controller = controller_of(manifest)
    if controller is not None:
        ours = (controller["apiVersion"], controller["kind"]) == (TRAFFIC_POLICIES.api_version, TRAFFIC_POLICIES.kind)
        return _policy(meta["namespace"], controller["name"]) if ours else None
    name = (meta.get("labels") or {}).get(names.POLICY_LABEL)
    return _policy(meta["namespace"], name) if name else None


def _same(change: Change) -> bool:
    """Whether nothing changed that a decision reads. Of a status that is kept something is."""
    if change.old is None or change.new is None:
        return False
    ignored = ("status",) if change.new["kind"] in _NO_STATUS else ()
    return _essence(change.old, ignored) == _essence(change.new, ignored)


def _essence(manifest: Manifest, ignored: tuple[str, ...]) -> Manifest:
    meta = {name: value for name, value in manifest["metadata"].items() if name != "resourceVersion"}
    return {**{name: value for name, value in manifest.items() if name not in ignored}, "metadata": meta}


def _endpoints(slices: Iterable[Manifest]) -> tuple[Endpoint, ...]:
    """Endpoints in a stable order, each address once. `ready` unset means ready (discovery.k8s.io/v1)."""
    found: dict[str, Endpoint] = {}
    for manifest in slices:
        for endpoint in manifest.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready")
            pod = (endpoint.get("targetRef") or {}).get("name", "")
            for address in endpoint.get("addresses") or ():
                known = found.get(address)
                # A pod that moves between slices may be in both for a moment.
                if known is None or not known.ready:
                    found[address] = Endpoint(address, ready is not False, pod, _port(manifest))
    return tuple(found[address] for address in sorted(found))


def _port(manifest: Manifest) -> int | None:
    """The port of a slice whose Service has one port: that on which the pods serve now, whatever the spec says."""
    ports = manifest.get("ports") or []
    return ports[0].get("port") if len(ports) == 1 else None
