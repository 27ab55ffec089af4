"""TrafficPolicy: how the requests of one service are split between its modes.

See docs/reference/trafficpolicy.md for the page generated from this file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from accord.api.base import Duration, Model, Rule, span_rule
from accord.api.v1alpha1.meta import (
    KSTATUS,
    Conditions,
    ConditionType,
    DnsLabel,
    DnsSubdomain,
    LocalObjectReference,
    ObjectMeta,
    PrinterColumn,
    PrometheusEndpoint,
    PromQL,
    Resource,
    Timestamp,
)

Percent = Annotated[int, Field(ge=0, le=100)]
Port = Annotated[int, Field(ge=1, le=65535)]
Strategy = Literal["WeightedRandom", "RoundRobin", "UserPreference"]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", min_length=1, max_length=64)]
"""Name of an HTTP header or cookie: a token of RFC 9110, section 5.6.2."""
HostName = Annotated[
    str, Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]
"""A DNS name in lower case, whose first label may be `*`."""


HealthPath = Annotated[str, Field(pattern=r"^/[!-\"$-~]*$", max_length=256)]
"""Path and query of a health check: printable ASCII without `#`, as it goes onto the wire."""
HOST_PATTERN = r"^[A-Za-z0-9._:\[\]-]+$"
HostHeader = Annotated[str, Field(pattern=HOST_PATTERN, min_length=1, max_length=253)]
"""Value of a Host header: a name or an address, with a port where one is wanted."""


class ModeHealthCheck(Model):
    """How the proxies check the pods of one mode. What is not given follows from the pods' readinessProbe."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.type) || self.type != 'HTTP' || has(self.path)",
            "path is required with type HTTP",
            ".path",
        ),
        Rule(
            "!has(self.type) || self.type != 'TCP' || !has(self.path)",
            "path cannot be used with type TCP: only a connection is opened",
            ".path",
        ),
        Rule("!has(self.host) || has(self.path)", "host needs a path: only an HTTP check sends it", ".host"),
        Rule("!has(self.scheme) || has(self.path)", "scheme needs a path: only an HTTP check uses it", ".scheme"),
    )

    type: Literal["HTTP", "TCP"] | None = None
    """`TCP` only opens a connection. HTTP where `path` is given."""
    path: HealthPath | None = None
    """HTTP path of this mode's health check; a status from 200 to 399 is healthy."""
    port: Port | None = None
    """Port to check, where it is not the one that serves requests."""
    host: HostHeader | None = None
    """Host header of the check; the pod's address and port when not given, as the kubelet sends it."""
    scheme: Literal["HTTP", "HTTPS"] | None = None
    """HTTP when not given. With HTTPS certificates are not verified, as by the kubelet."""


class Mode(Model):
    """One mode of the service: a Deployment, and the share of the traffic that it takes."""

    name: DnsLabel
    """Name of the mode: the value of the `mode` label in metrics and of the sticky cookie."""
    weight: Percent
    """Share of the requests in percent. The weights of all modes sum to 100; 0 means that the mode receives none."""
    deployment_ref: LocalObjectReference
    """The Deployment that serves this mode, in the policy's own namespace."""
    port: Port
    """Container port on which the pods of the Deployment serve HTTP."""
    app_protocol: Literal["http", "kubernetes.io/h2c", "grpc"] | None = None
    """What the pods speak on that port, in the words of a Service's `appProtocol`: HTTP/1.1 (`http`, the default), or
    HTTP/2 without TLS (`kubernetes.io/h2c`), also for gRPC (`grpc`)."""
    health_check: ModeHealthCheck | None = None
    """How the proxies check this mode's pods. By default as the readinessProbe of the container that declares `port`
    does: its path, port, Host header and scheme where it is an HTTP probe, else a TCP connection."""

    @property
    def speaks_http2(self) -> bool:
        """Whether the pods speak HTTP/2."""
        return self.app_protocol not in (None, "http")


class UserPreference(Model):
    """Where a request says which mode it wishes for (strategy UserPreference)."""

    header: HeaderName = "x-accord-mode"
    """Request header that names a mode."""
    cookie: HeaderName = "accord-preference"
    """Cookie that names a mode; the header wins over it."""


class StickySession(Model):
    """Same user, same mode, for an absolute time."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("ttl", "1s", "8760h"),
        Rule(
            "self.sameSite != 'None' || self.secure",
            "sameSite None needs secure: browsers refuse such a cookie otherwise",
            ".sameSite",
        ),
    )

    enabled: bool = True
    """Whether a user stays with the mode that answered first."""
    ttl: Duration = timedelta(hours=1)
    """How long, counted from the first answer; a visit does not prolong it."""
    cookie: HeaderName = "accord-mode"
    """Name of the cookie that holds the mode."""
    secure: bool = False
    """Mark the cookie `Secure`: browsers send it over HTTPS only. For a router behind a gateway that ends TLS."""
    same_site: Literal["Lax", "Strict", "None"] = "Lax"
    """`SameSite` of the cookie: `None` for a service that pages of other sites embed."""
    header: HeaderName | None = None
    """Request header that identifies a user (say `x-user-id`), for clients without cookies: the mode is chosen by a
    consistent hash of its value."""


class HealthCheck(Model):
    """Active health check of every pod by every proxy."""

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("interval", "1s", "1h"),)

    path: HealthPath | None = None
    """HTTP path, on the port that serves requests, for every mode that gives none itself; a status from 200 to 399 is
    healthy. When not given, each mode is checked as its readinessProbe does."""
    interval: Duration = timedelta(seconds=30)
    """Time between two checks of one pod."""


class LoadBalancing(Model):
    """How the requests of one mode spread over its pods."""

    algorithm: Literal["LeastConnections", "RoundRobin", "Random"] = "LeastConnections"
    """`LeastConnections` sends a request to the less busy of two random pods."""
    health_check: HealthCheck = HealthCheck()
    """Active health check of every pod by every proxy."""
    max_queue_size: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Pending requests a mode may hold in one proxy before it answers 503 at once."""


LabelValue = Annotated[str, Field(pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(json_schema_extra={"maxProperties": 64})]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=16384)]], Field(json_schema_extra={"maxProperties": 64})
]


def _kept_rules(*reserved: str) -> tuple[Rule, ...]:
    """Nobody replaces the labels by which the router's pods are found, or what the operator notes."""
    names = ", ".join(f"'{name}'" for name in reserved)
    message = "must not have a key that the operator sets itself: accord.dev/…"
    return (
        Rule(
            f"self.labels.all(k, !k.startsWith('accord.dev/') && !(k in [{names}]))",
            f"labels {message}, {', '.join(reserved)}",
            ".labels",
        ),
        Rule("self.annotations.all(k, !k.startsWith('accord.dev/'))", f"annotations {message}", ".annotations"),
    )


_RESERVED = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by",
)


class RouterService(Model):
    """What the router's Service has besides port and type."""

    rules: ClassVar[tuple[Rule, ...]] = _kept_rules(*_RESERVED)

    labels: Labels = {}
    """Labels of the Service."""
    annotations: Annotations = {}
    """Annotations of the Service, for load balancers say."""
    load_balancer_class: Annotated[
        str | None, Field(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=253)
    ] = None
    """`loadBalancerClass` of a Service of type LoadBalancer. The API server does not allow to change it later."""


class RouterPods(Model):
    """What the proxies' pods have besides what the operator needs, and where they may run."""

    rules: ClassVar[tuple[Rule, ...]] = _kept_rules(*_RESERVED)

    labels: Labels = {}
    """Labels of the pods."""
    annotations: Annotations = {}
    """Annotations of the pods. They win over the operator's own `prometheus.io/…`."""
    node_selector: Labels = {}
    """Labels of the nodes that may run the pods."""
    tolerations: Annotated[list[dict[str, Any]], Field(json_schema_extra={"x-accord-schema": "Tolerations"})] = []
    """Taints that the pods tolerate (core/v1 Toleration)."""
    affinity: Annotated[dict[str, Any] | None, Field(json_schema_extra={"x-accord-schema": "Affinity"})] = None
    """Affinity of the pods (core/v1 Affinity). With or without it they are spread over nodes where that is possible."""
    priority_class_name: DnsSubdomain | None = None
    """PriorityClass of the pods."""
    image_pull_secrets: Annotated[
        list[LocalObjectReference], Field(max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]})
    ] = []
    """Secrets in the policy's namespace with credentials for the registry of the proxy's image."""


class EnvoyRouter(Model):
    """The built-in router: Envoy proxies that the operator runs for this policy."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("drainTime", "5s", "24h"),
        Rule(
            "!has(self.service) || !has(self.service.loadBalancerClass) || self.serviceType == 'LoadBalancer'",
            "service.loadBalancerClass needs serviceType LoadBalancer",
            ".service.loadBalancerClass",
        ),
    )

    replicas: Annotated[int, Field(ge=1, le=50)] = 2
    """Number of proxies. From two on, a PodDisruptionBudget lets only one go at a time."""
    scaling: Literal["Fixed", "External"] = "Fixed"
    """`External` leaves the number of proxies to an autoscaler, or to `kubectl scale`, once they are there: `replicas`
    is what they begin with."""
    drain_time: Duration = timedelta(seconds=30)
    """How long a proxy that stops goes on serving the requests it has. What takes longer, a stream say, is cut then; a
    pod always takes this long to stop."""
    trusted_hops: Annotated[int, Field(ge=0, le=10)] = 0
    """Number of proxies before this router whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed and reach the
    pods: 1 behind a gateway that ends TLS. With 0 the headers of clients are replaced."""
    port: Port = 80
    """Port of the router's Service."""
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the router's Service."""
    service: RouterService | None = None
    """What else the router's Service has."""
    pods: RouterPods | None = None
    """What else the proxies' pods have, and where they may run."""
    resources: Annotated[
        dict[str, Any] | None, Field(json_schema_extra={"x-accord-schema": "ResourceRequirements"})
    ] = None
    """Resource requests and limits of the proxy container (core/v1 ResourceRequirements)."""


class GatewayAPIRouter(Model):
    """HTTPRoutes for an existing Gateway."""

    parent_refs: Annotated[
        list[LocalObjectReference],
        Field(min_length=1, max_length=8, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]}),
    ]
    """Gateways in the policy's namespace."""
    hostnames: Annotated[list[HostName], Field(max_length=16)] = []
    """Host names to serve; all when empty."""


class IstioRouter(Model):
    """VirtualService and DestinationRule for an Istio mesh."""

    hosts: Annotated[list[HostName], Field(min_length=1, max_length=16)]
    """Hosts of the VirtualService."""
    gateways: Annotated[list[DnsLabel], Field(max_length=16)] = []
    """Istio Gateways in the policy's namespace. The mesh's own sidecars when empty."""


class Router(Model):
    """What carries the traffic."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type != 'GatewayAPI' || has(self.gatewayAPI)",
            "gatewayAPI is required with type GatewayAPI",
            ".gatewayAPI",
        ),
        Rule("self.type != 'Istio' || has(self.istio)", "istio is required with type Istio", ".istio"),
    )

    type: Literal["Envoy", "GatewayAPI", "Istio"] = "Envoy"
    """`Envoy` is built in and needs nothing else in the cluster."""
    envoy: EnvoyRouter = EnvoyRouter()
    """Settings of type Envoy."""
    gateway_api: Annotated[GatewayAPIRouter | None, Field(alias="gatewayAPI")] = None
    """Settings of type GatewayAPI."""
    istio: IstioRouter | None = None
    """Settings of type Istio."""


class Monitoring(Model):
    """Measuring what the traffic really does: by the service's counter in Prometheus, else by the proxies'."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("window", "10s", "24h"),
        span_rule("interval", "1s", "1h"),
    )

    endpoint: PrometheusEndpoint = "default"
    """Name of a Prometheus endpoint that the installer of the operator configured. A URL cannot be given here."""
    window: Duration = timedelta(minutes=5)
    """Window over which requests are counted."""
    interval: Annotated[Duration, Field(json_schema_extra={"x-accord-default": "60s"})] = timedelta(seconds=60)
    """Time between two measurements."""
    alert_deviation: Annotated[float, Field(gt=0, le=100, json_schema_extra={"x-accord-min": 0.1})] = 10
    """Alert when a mode's measured share is further from its target than this, in percentage points, and the number
    of requests rules out chance."""
    requests_per_session: Annotated[int, Field(ge=1, le=10_000)] = 10
    """With sticky sessions, requests of one user are one choice, not many: how many requests a session makes on
    average. The number of independent observations is the number of requests divided by this."""
    query: PromQL | None = None
    """PromQL that returns the number of requests in the window, one series a mode with label `mode`. `$namespace`,
    `$modes` (a regular expression of all mode names) and `$window` are filled in."""


class CacheTTL(Model):
    """Cache lifetimes that are published to the applications."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("normalTTL", "1s", "8760h"),
        span_rule("downshiftTTL", "1s", "8760h"),
    )

    normal_ttl: Annotated[Duration, Field(alias="normalTTL")] = timedelta(hours=1)
    """Lifetime while the circuit is closed."""
    downshift_ttl: Annotated[Duration, Field(alias="downshiftTTL")] = timedelta(minutes=5)
    """Lifetime while the mode is downshifted."""


class Share(Model):
    """A mode that takes a part of the shifted traffic."""

    mode: DnsLabel
    """Name of a mode other than the watched one."""
    weight: Percent
    """Its part of the shifted share, in percent."""


class CircuitBreaker(Model):
    """Downshift: after failures of one mode, its share goes to other modes for a while."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("window", "1s", "1h"),
        span_rule("cooldown", "1s", "24h"),
        Rule(
            "size(self.shiftTo) == 0 || self.shiftTo.map(s, s.weight).sum() == 100",
            "the weights of shiftTo must sum to 100",
            ".shiftTo",
            "'the weights of shiftTo must sum to 100, not %d'.format([self.shiftTo.map(s, s.weight).sum()])",
        ),
        Rule(
            "self.shiftTo.all(s, s.mode != self.mode)",
            "shiftTo must not name the watched mode: its share goes to other modes",
            ".shiftTo",
        ),
    )

    mode: DnsLabel
    """The mode that is watched."""
    failures: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Failures within the window that open the circuit."""
    window: Duration = timedelta(minutes=1)
    """Window over which failures are counted."""
    cooldown: Duration = timedelta(minutes=5)
    """How long the mode stays downshifted."""
    shift_to: Annotated[
        list[Share], Field(max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["mode"]})
    ] = []
    """Where the mode's share goes; the fallback mode when empty."""
    recovery: Literal["Immediate", "Ramp"] = "Immediate"
    """How the share comes back after the cooldown: at once, or in steps."""
    query: PromQL | None = None
    """PromQL that returns the number of failures in the window, as one value. `$namespace`, `$mode` and `$window` are
    filled in."""
    cache: CacheTTL = CacheTTL()
    """Cache lifetimes that are published to the applications."""


class TrafficPolicySpec(Model):
    """Desired routing of one service."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.modes.map(m, m.weight).sum() == 100",
            "the weights of all modes must sum to 100",
            ".modes",
            "'the weights of all modes must sum to 100, not %d'.format([self.modes.map(m, m.weight).sum()])",
        ),
        Rule(
            "!has(self.fallbackMode) || self.modes.exists(m, m.name == self.fallbackMode)",
            "fallbackMode must be the name of a mode",
            ".fallbackMode",
        ),
        Rule(
            "self.modes.all(m, m.name != 'router')",
            "a mode cannot be named router: its Service would have the name of the router's; choose another name",
            ".modes",
        ),
        Rule(
            "self.modes.all(m, m.name != 'accord-xds')",
            "a mode cannot be named accord-xds: the proxies call the operator so; choose another name",
            ".modes",
        ),
        Rule(
            "self.modes.all(m, self.modes.exists_one(n, "
            "n.deploymentRef.name == m.deploymentRef.name && n.port == m.port))",
            "two modes cannot have the same deploymentRef and port: their traffic could not be told apart",
            ".modes",
        ),
        Rule(
            "self.userPreference.cookie != self.stickySession.cookie",
            "userPreference.cookie and stickySession.cookie must differ: the sticky cookie would become a wish",
            ".userPreference.cookie",
        ),
        Rule(
            "!has(self.circuitBreaker) || self.modes.exists(m, m.name == self.circuitBreaker.mode)",
            "circuitBreaker.mode must be the name of a mode",
            ".circuitBreaker.mode",
        ),
        Rule(
            "!has(self.circuitBreaker) || self.circuitBreaker.shiftTo.all(s, self.modes.exists(m, m.name == s.mode))",
            "circuitBreaker.shiftTo must name modes of this policy",
            ".circuitBreaker.shiftTo",
        ),
        Rule(
            "!has(self.circuitBreaker) || size(self.circuitBreaker.shiftTo) > 0 || "
            "self.circuitBreaker.mode != (has(self.fallbackMode) ? self.fallbackMode : self.modes[0].name)",
            "circuitBreaker.shiftTo is required here: the watched mode is the fallback mode itself",
            ".circuitBreaker.shiftTo",
        ),
    )

    modes: Annotated[
        list[Mode], Field(min_length=1, max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]})
    ]
    """The modes of the service. Their weights sum to 100."""
    strategy: Strategy = "WeightedRandom"
    """`WeightedRandom` draws a mode for each new session. `RoundRobin` goes through a fixed weighted cycle.
    `UserPreference` grants the request's own wish, and draws where there is none."""
    user_preference: UserPreference = UserPreference()
    """Where a request says which mode it wishes for."""
    sticky_session: StickySession = StickySession()
    """Same user, same mode, for an absolute time."""
    fallback_mode: DnsLabel | None = None
    """Mode that answers where the chosen one fails or has no ready pod. The first mode when not given."""
    load_balancing: LoadBalancing = LoadBalancing()
    """How the requests of one mode spread over its pods."""
    router: Router = Router()
    """What carries the traffic."""
    monitoring: Monitoring = Monitoring()
    """Measuring what the traffic really does."""
    circuit_breaker: CircuitBreaker | None = None
    """Downshift: after failures of one mode, its share goes to other modes for a while."""
    suspend: bool = False
    """Keep routing as it is and change nothing."""

    @property
    def fallback(self) -> str:
        """Name of the fallback mode, with the default filled in."""
        return self.fallback_mode or self.modes[0].name


class ModeStatus(Model):
    """What one mode was asked to take and what it takes."""

    name: str
    """Name of the mode."""
    target: float
    """Share that the spec asks for, in percent. While a new mode warms up, the share before the change."""
    effective: float
    """Share that the router is set to, after fallback and downshift, in percent."""
    actual: float | None = None
    """Share measured over the window, in percent; `countedBy` says by whom. Absent without a measurement."""
    deviation: float | None = None
    """actual − target, in percentage points."""
    alert: bool = False
    """Whether the deviation is over the threshold and not explained by chance."""
    ready_pods: int = 0
    """Pods that are ready to serve."""
    healthy_pods: int | None = None
    """Pods that take requests: they pass the proxies' health checks and are not ejected. Where the proxies differ, as
    the one sees that sees most. Absent while they have not been asked."""
    ejected_pods: int | None = None
    """Pods that pass the health checks and take no requests for now, because they failed too many."""
    requests: int | None = None
    """Requests within the window that the proxies sent to this mode's pods, repeated ones included. It is written when
    it changes by a tenth. Absent, as the next two, while the proxies do not tell."""
    errors: float | None = None
    """Requests routed to this mode that were answered with 500 or above, in percent."""
    retries: float | None = None
    """Attempts that failed and were repeated on another pod or mode, in percent of the requests routed to this mode."""


class Downshift(Model):
    """State of the circuit breaker."""

    active: bool = False
    """Whether the mode is downshifted now."""
    since: Timestamp | None = None
    """When the circuit opened last."""
    until: Timestamp | None = None
    """When the mode recovers, or did."""
    reason: str | None = None
    """What opened the circuit."""


class HealthCheckInForce(Model):
    """How the proxies check the pods of one mode now."""

    mode: DnsLabel
    """Name of the mode."""
    type: Literal["HTTP", "TCP", "GRPC"]
    """`TCP` only opens a connection. `GRPC` asks `grpc.health.v1.Health`."""
    app_protocol: str | None = None
    """What the pods speak; `http` when absent."""
    path: str | None = None
    """HTTP path."""
    service: str | None = None
    """Service that a gRPC check asks about; the whole server when absent."""
    port: int | None = None
    """Port that is checked, where it is not the one that serves requests."""
    host: str | None = None
    """Host header; the pod's address and port when absent."""
    scheme: Literal["HTTP", "HTTPS"] | None = None
    """HTTP when absent."""


class RoutingInForce(Model):
    """How requests are routed now, besides the shares: kept while a policy is suspended or not accepted."""

    strategy: Strategy
    """The strategy in force."""
    user_preference: UserPreference
    """Where wishes are read."""
    sticky_session: StickySession
    """The stickiness in force."""
    fallback_mode: DnsLabel
    """The fallback mode in force."""
    load_balancing: LoadBalancing
    """The load balancing in force."""
    health_checks: Annotated[
        list[HealthCheckInForce], Field(max_length=32, json_schema_extra={"x-kubernetes-list-map-keys": ["mode"]})
    ] = []
    """How the pods of each mode are checked."""
    trusted_hops: int = 0
    """Number of proxies before the router that are believed."""
    since: Timestamp
    """When the shares changed last. Requests from before it were split otherwise."""


class TrafficPolicyStatus(Model):
    """Observed routing."""

    observed_generation: int | None = None
    """`metadata.generation` of the spec that this status speaks of."""
    conditions: Conditions = []
    """What is true of the policy, in the terms of kstatus."""
    modes: Annotated[
        list[ModeStatus], Field(max_length=32, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]})
    ] = []
    """The modes that are programmed, those on their way out included."""
    routing: RoutingInForce | None = None
    """How the router splits requests, besides the shares in `modes`."""
    target: str | None = None
    """Target shares in the order of the modes, as `60/30/10`."""
    actual: str | None = None
    """Measured shares in the order of the modes."""
    counted_by: Literal["Service", "Proxies"] | None = None
    """Whose counters `actual` comes from: those of the modes' own pods in Prometheus, or, where these count nothing,
    those of the proxies."""
    address: str | None = None
    """Where clients reach the router, as `host:port`."""
    downshift: Downshift | None = None
    """State of the circuit breaker."""
    last_report: Timestamp | None = None
    """When the shares in this status were measured (RFC 3339)."""


class TrafficPolicy(Resource):
    """Splits the requests of one service between the Deployments of its modes."""

    kind: ClassVar[str] = "TrafficPolicy"
    plural: ClassVar[str] = "trafficpolicies"
    short_names: ClassVar[tuple[str, ...]] = ("tp",)
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        PrinterColumn("Strategy", ".spec.strategy"),
        PrinterColumn("Target", ".status.target"),
        PrinterColumn("Actual", ".status.actual"),
        PrinterColumn("Downshifted", ".status.downshift.active", type="boolean"),
        PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
    )

    conditions: ClassVar[tuple[ConditionType, ...]] = (
        ConditionType("Accepted", "The spec asks for nothing that the router cannot do."),
        ConditionType(
            "ResolvedRefs", "The Deployments exist and can be selected, and no name is taken by another owner."
        ),
        ConditionType("ModesAvailable", "Every mode that is to receive traffic has a ready pod."),
        ConditionType("Programmed", "Every ready proxy has accepted the routing of this generation."),
        ConditionType("WithinTarget", "The measured shares are those asked for; Unknown without a measurement."),
        *KSTATUS,
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        *Resource.rules,
        Rule(
            "self.metadata.name.matches('^[a-z]')",
            "metadata.name must begin with a letter: the names of the policy's Services begin with it",
        ),
    )

    metadata: ObjectMeta
    spec: TrafficPolicySpec
    status: TrafficPolicyStatus = TrafficPolicyStatus()
