"""What is known about one TrafficPolicy when a decision is made about it: facts only, gathered by the runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain import podstatus
from accord.domain.plan import ObjectKey, Refusal
from accord.domain.traffic.progress import NOBODY, Handover, Progress

if TYPE_CHECKING:
    from accord.domain.traffic.failures import Failures


@dataclass(frozen=True)
class ContainerView:
    """The part of a container that health checks depend on."""

    ports: Mapping[str, int] = field(default_factory=dict)
    """Container ports by name; one without a name is under its number."""
    readiness: Manifest | None = None
    """The readinessProbe (core/v1 Probe), None without one."""

    @classmethod
    def of(cls, container: Manifest) -> ContainerView:
        """The view of a container in a pod template."""
        ports = {port.get("name") or str(port["containerPort"]): port["containerPort"] for port in _ports(container)}
        return cls(ports, container.get("readinessProbe"))


@dataclass(frozen=True)
class DeploymentView:
    """The part of an apps/v1 Deployment that routing depends on."""

    name: str
    match_labels: Mapping[str, str]
    has_match_expressions: bool = False
    replicas: int = 1
    ready_replicas: int = 0
    ports: tuple[int, ...] = ()
    """Container ports that the pod template declares; may be empty, declaring them is optional."""
    containers: tuple[ContainerView, ...] = ()
    rolling: bool = False
    """Whether pods of an earlier pod template may still serve."""
    refused: str | None = None
    """Why the API server does not take its pods: a quota, an admission policy."""

    @classmethod
    def of(cls, manifest: Manifest) -> DeploymentView:
        """The view of a live Deployment, or of a manifest of one, whose absent fields have their defaults."""
        spec = manifest.get("spec") or {}
        selector = spec.get("selector") or {}
        pod = (spec.get("template") or {}).get("spec") or {}
        containers = [*(pod.get("containers") or ()), *_sidecars(pod)]
        replicas = spec.get("replicas")
        status = manifest.get("status") or {}
        return cls(
            name=manifest["metadata"]["name"],
            match_labels=dict(selector.get("matchLabels") or {}),
            has_match_expressions=bool(selector.get("matchExpressions")),
            replicas=1 if replicas is None else replicas,
            ready_replicas=status.get("readyReplicas") or 0,
            ports=tuple(port["containerPort"] for container in containers for port in _ports(container)),
            containers=tuple(ContainerView.of(container) for container in containers),
            rolling=_is_rolling(manifest["metadata"].get("generation"), status),
            refused=podstatus.refusal(status),
        )


def _ports(container: Manifest) -> Iterable[Manifest]:
    return container.get("ports") or ()


def _sidecars(pod: Manifest) -> Iterable[Manifest]:
    """Init containers that keep running beside the others."""
    return (each for each in pod.get("initContainers") or () if each.get("restartPolicy") == "Always")


def _is_rolling(generation: int | None, status: Manifest) -> bool:
    """Whether pods of two templates may be there: the newest is not observed yet, or has not replaced all pods."""
    observed = status.get("observedGeneration")
    if observed is None:
        return False
    return (generation or 0) > observed or (status.get("updatedReplicas") or 0) < (status.get("replicas") or 0)


@dataclass(frozen=True)
class Endpoint:
    """One pod behind a Service (discovery.k8s.io/v1 Endpoint)."""

    address: str
    ready: bool
    pod: str = ""
    port: int | None = None
    """Port of the slice that lists the pod; None where only the spec's is known."""


@dataclass(frozen=True)
class Tally:
    """What the proxies counted of one mode within the window."""

    requests: int
    """Requests that its pods got from them, each attempt once: what the pods count as well."""
    answered: int = 0
    """Requests that were routed to the mode and answered, be it by another one."""
    errors: int = 0
    """Of those, answered to the client with 500 or above."""
    retries: int = 0
    """Attempts that failed and were repeated on another pod or mode."""
    failures: int = 0
    """Attempts of `requests` that a pod of the mode answered with 500 or above, or not at all."""


@dataclass(frozen=True)
class Counted:
    """What all proxies together counted within the window.

    `Unknown`: some ready proxy does not tell, or none is there. `Pending`: they were not asked twice yet.
    """

    state: Literal["Known", "Pending", "Unknown"] = "Unknown"
    modes: Mapping[str, Tally] = field(default_factory=dict)
    unattributed: int = 0
    """Requests of which it is not known which mode got them."""
    seconds_old: float = field(default=0.0, compare=False)
    """Since they were asked last. The same figures are no news for being older."""


@dataclass(frozen=True)
class Measurement:
    """What Prometheus answered, last time it was asked, and what the proxies had counted then.

    `requests` is the number of requests of each mode in the window, as its pods count them; a mode without a series is
    absent. `NoEndpoint`: there is no Prometheus of that name.
    """

    outcome: Literal["Measured", "NoTraffic", "NoMetric", "NoEndpoint", "QueryFailed", "Stale"]
    at: datetime
    requests: Mapping[str, float] = field(default_factory=dict)
    message: str = ""
    proxies: Counted = Counted()


@dataclass(frozen=True)
class Sight:
    """How the proxies see the pods of one mode. Where they differ, each figure is of the proxy that sees the best."""

    pods: int
    """Pods that they know."""
    passing: int
    """Pods that pass the health check."""
    healthy: int
    """Pods that take requests: they pass the health check and are not ejected."""


@dataclass(frozen=True)
class CutOff:
    """Proxies that reach no pod of a mode, while others reach some."""

    proxies: tuple[str, ...]
    """Names of their pods, in order."""
    of: int
    """How many proxies there are in all that tell of the mode."""
    lasting: bool = False
    """Whether that has been so for longer than the first checks of a proxy or a pod take."""


@dataclass(frozen=True)
class Seen:
    """What the router itself sees of the pods."""

    sights: Mapping[str, Sight] = field(default_factory=dict)
    """By mode; one of which nobody could tell is absent."""
    cut_off: Mapping[str, CutOff] = field(default_factory=dict)
    """Modes that some of its proxies reach no pod of."""
    looked: bool = True
    """False while it has not been asked since this replica leads: what the status says of the pods stays."""


@dataclass(frozen=True)
class Unsupported:
    """A field that the chosen router cannot honour (or not yet)."""

    field: str
    reason: str
    message: str


@dataclass(frozen=True)
class RouterView:
    """The chosen router as the decision sees it: what it wants in the cluster, cannot do, and has done."""

    objects: tuple[Manifest, ...] = ()
    address: str | None = None
    unsupported: tuple[Unsupported, ...] = ()
    progress: Progress = NOBODY
    handover: Handover = field(default_factory=Handover)
    seen: Seen = Seen()
    kept_up: tuple[Manifest, ...] = ()
    """Of a policy whose spec is not followed: live objects, with another mode in place of one that lost its pods."""


@dataclass(frozen=True)
class Observed:
    """One policy and everything around it, at one moment."""

    policy: TrafficPolicy
    deployments: Mapping[str, DeploymentView]
    """The Deployments that the modes refer to, by name; a missing one is absent."""
    children: Mapping[ObjectKey, Manifest]
    """Live objects whose controller is this policy."""
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    """Endpoints of each mode's Service, by mode name, ready or not."""
    router: RouterView
    measurement: Measurement | None = None
    failures: Failures | None = None
    """What was read last about the modes that have circuit breakers."""
    conflicts: Mapping[ObjectKey, str] = field(default_factory=dict)
    """Objects that exist under a name we need and belong to somebody else: who, in words."""
    refusals: Mapping[ObjectKey, Refusal] = field(default_factory=dict)
    """Objects that the API server did not take, last time it was asked, or that somebody else insists on."""
    unseen: frozenset[str] = frozenset()
    """Modes of which no EndpointSlice is known although their Service is there, or may be: nothing is known of their
    pods, and the proxies keep those that they have.
    """
    orphans: Mapping[ObjectKey, Manifest] = field(default_factory=dict)
    """Live objects with this policy's labels that somebody took the owner reference from."""
