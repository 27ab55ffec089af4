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
    """Health check of one mode's pods by the proxies. What is not set follows the pods' readinessProbe."""

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
    """`TCP` only opens a connection (default: `HTTP` if `path` is set)."""
    path: HealthPath | None = None
    """HTTP path of the check. A status from 200 to 399 is healthy."""
    port: Port | None = None
    """Port to check (default: the port that serves requests)."""
    host: HostHeader | None = None
    """Host header of the check (default: the pod's address and port, as the kubelet sends it)."""
    scheme: Literal["HTTP", "HTTPS"] | None = None
    """Scheme of the check (default: `HTTP`). Certificates are not verified, as by the kubelet."""


class Mode(Model):
    """One mode of the service: a Deployment and its share of the traffic."""

    name: DnsLabel
    """Name of the mode, also in the metric label `mode` and in the sticky cookie."""
    weight: Percent
    """Share of the requests in percent. The weights of all modes must sum to 100; a mode of weight 0 gets none."""
    deployment_ref: LocalObjectReference
    """Deployment that serves this mode, in the policy's namespace."""
    port: Port
    """Container port on which the pods serve HTTP."""
    app_protocol: Literal["http", "kubernetes.io/h2c", "grpc"] | None = None
    """Protocol of the pods on that port, as in a Service's `appProtocol`: `http` (HTTP/1.1, the default),
    `kubernetes.io/h2c` (HTTP/2 without TLS) or `grpc`."""
    health_check: ModeHealthCheck | None = None
    """Health check of this mode's pods by the proxies (default: the readinessProbe of the container that declares
    `port`: path, port, Host header and scheme of an HTTP probe, else a TCP connection)."""

    @property
    def speaks_http2(self) -> bool:
        """Whether the pods speak HTTP/2."""
        return self.app_protocol not in (None, "http")


class UserPreference(Model):
    """Where a request names its preferred mode (strategy `UserPreference`)."""

    header: HeaderName = "x-accord-mode"
    """Request header that names a mode."""
    cookie: HeaderName = "accord-preference"
    """Cookie that names a mode. The header takes precedence."""


class StickySession(Model):
    """Session stickiness: a user stays with one mode for a fixed time."""

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
    """How long a user stays with a mode, counted from the first response. Later requests do not extend it."""
    cookie: HeaderName = "accord-mode"
    """Name of the cookie that contains the mode."""
    secure: bool = False
    """Set `Secure` on the cookie: browsers then send it over HTTPS only. For a router behind a gateway that terminates
    TLS."""
    same_site: Literal["Lax", "Strict", "None"] = "Lax"
    """`SameSite` of the cookie. `None` if pages of other sites embed the service."""
    header: HeaderName | None = None
    """Request header that identifies a user, such as `x-user-id`, for clients without cookies. The mode is chosen by a
    consistent hash of its value."""


class HealthCheck(Model):
    """Active health checks: every proxy checks every pod."""

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("interval", "1s", "1h"),)

    path: HealthPath | None = None
    """HTTP path, on the port that serves requests, for modes without a path of their own. A status from 200 to 399 is
    healthy (default: the readinessProbe of each mode)."""
    interval: Duration = timedelta(seconds=30)
    """Time between two checks of a pod."""


class LoadBalancing(Model):
    """Load balancing between the pods of a mode."""

    algorithm: Literal["LeastConnections", "RoundRobin", "Random"] = "LeastConnections"
    """`LeastConnections` picks the less busy of two random pods."""
    health_check: HealthCheck = HealthCheck()
    """Active health checks: every proxy checks every pod."""
    max_queue_size: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Limit of pending requests, per mode and proxy. Further requests get 503 at once."""


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
    """Additional settings of the router's Service."""

    rules: ClassVar[tuple[Rule, ...]] = _kept_rules(*_RESERVED)

    labels: Labels = {}
    """Additional labels of the Service."""
    annotations: Annotations = {}
    """Additional annotations of the Service, for example for a cloud load balancer."""
    load_balancer_class: Annotated[
        str | None, Field(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=253)
    ] = None
    """`loadBalancerClass` of a Service of type LoadBalancer. The API server does not allow changes to it."""


class RouterPods(Model):
    """Additional settings of the router's pods."""

    rules: ClassVar[tuple[Rule, ...]] = _kept_rules(*_RESERVED)

    labels: Labels = {}
    """Additional labels of the pods."""
    annotations: Annotations = {}
    """Additional annotations of the pods. They override the operator's own `prometheus.io/…`."""
    node_selector: Labels = {}
    """`nodeSelector` of the pods."""
    tolerations: Annotated[list[dict[str, Any]], Field(json_schema_extra={"x-accord-schema": "Tolerations"})] = []
    """Tolerations of the pods (core/v1 Toleration)."""
    affinity: Annotated[dict[str, Any] | None, Field(json_schema_extra={"x-accord-schema": "Affinity"})] = None
    """Affinity of the pods (core/v1 Affinity). In any case they are spread over nodes if possible."""
    priority_class_name: DnsSubdomain | None = None
    """PriorityClass of the pods."""
    image_pull_secrets: Annotated[
        list[LocalObjectReference], Field(max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]})
    ] = []
    """Secrets with registry credentials for the proxy image, in the policy's namespace."""


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
    """Number of proxies. With two or more, a PodDisruptionBudget allows one eviction at a time."""
    scaling: Literal["Fixed", "External"] = "Fixed"
    """`External` leaves the number of proxies to a HorizontalPodAutoscaler or `kubectl scale`; `replicas` is then the
    initial number."""
    drain_time: Duration = timedelta(seconds=30)
    """How long a terminating proxy keeps serving open requests. Longer ones, such as streams, are cut off. Every pod
    takes this long to terminate."""
    trusted_hops: Annotated[int, Field(ge=0, le=10)] = 0
    """Number of trusted proxies in front of the router. Their `X-Forwarded-For` and `X-Forwarded-Proto` are passed on
    to the pods: 1 behind a gateway that terminates TLS. With 0 these headers are replaced."""
    port: Port = 80
    """Port of the router's Service."""
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the router's Service."""
    service: RouterService | None = None
    """Additional settings of the router's Service."""
    pods: RouterPods | None = None
    """Additional settings of the router's pods."""
    resources: Annotated[
        dict[str, Any] | None, Field(json_schema_extra={"x-accord-schema": "ResourceRequirements"})
    ] = None
    """Resource requests and limits of the proxy container (core/v1 ResourceRequirements)."""


def _same(field: str) -> str:
    """CEL: an optional field of `p` and `q` is the same. A conditional would lose the bound of the string's length."""
    return f"has(q.{field}) == has(p.{field}) && (!has(q.{field}) || q.{field} == p.{field})"


_SAME_PARENT = f"q.group == p.group && q.kind == p.kind && q.name == p.name && {_same('__namespace__')}"


class ParentReference(Model):
    """A Gateway, or a listener of it, as in an HTTPRoute's `parentRefs`."""

    group: DnsSubdomain = "gateway.networking.k8s.io"
    """API group of the parent."""
    kind: Annotated[str, Field(pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", min_length=1, max_length=63)] = (
        "Gateway"
    )
    """Kind of the parent."""
    namespace: DnsLabel | None = None
    """Namespace of the parent (default: the policy's). A Gateway says in `allowedRoutes` which namespaces it serves."""
    name: DnsSubdomain
    """Name of the parent."""
    section_name: DnsSubdomain | None = None
    """Name of a listener (default: all listeners)."""


PathPrefix = Annotated[str, Field(pattern=r"^/[-A-Za-z0-9/._~!$&'()*+:@=]*$", max_length=1024)]
"""A path prefix as an HTTPRoute takes it, without what would end a cookie's `Path`."""


class GatewayAPIRouter(Model):
    """An HTTPRoute that the operator owns, attached to Gateways that exist already."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.parentRefs.all(p, self.parentRefs.exists_one(q, {_SAME_PARENT} && {_same('sectionName')}))",
            "parentRefs must not name the same Gateway and listener twice",
            ".parentRefs",
        ),
        Rule(
            f"self.parentRefs.all(p, has(p.sectionName) || self.parentRefs.exists_one(q, {_SAME_PARENT}))",
            "parentRefs that name the same Gateway need a sectionName each",
            ".parentRefs",
        ),
        Rule(
            "!self.pathPrefix.contains('//') && !self.pathPrefix.matches('/[.][.]?(/|$)')",
            "pathPrefix must not contain '//', '/.' or '/..' as a segment",
            ".pathPrefix",
        ),
    )

    parent_refs: Annotated[list[ParentReference], Field(min_length=1, max_length=8)]
    """Gateways that serve this policy."""
    hostnames: Annotated[list[HostName], Field(max_length=16)] = []
    """Host names to serve (default: all)."""
    path_prefix: PathPrefix = "/"
    """Path prefix to serve. The sticky cookie is valid below it."""


_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
IstioHost = Annotated[str, Field(pattern=rf"^(\*|(\*\.)?{_LABEL}(\.{_LABEL})*)$", min_length=1, max_length=253)]
"""A DNS name in lower case, whose first label may be `*`, or `*` alone."""
IstioGateway = Annotated[str, Field(pattern=rf"^({_LABEL}/)?{_LABEL}$", min_length=1, max_length=127)]
"""`namespace/name`, or a name alone."""


class IstioRouter(Model):
    """A VirtualService and DestinationRules that the operator owns, for gateways and sidecars of an Istio mesh."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.hosts.all(h, h != '*') || (size(self.gateways) > 0 && self.gateways.all(g, g != 'mesh'))",
            "host '*' needs gateways, and is not possible for the mesh",
            ".hosts",
        ),
    )

    hosts: Annotated[list[IstioHost], Field(min_length=1, max_length=16)]
    """Hosts to serve: host names of a gateway, Services of the mesh. `*` is possible for gateways alone."""
    gateways: Annotated[list[IstioGateway], Field(max_length=16)] = []
    """Istio Gateways that serve this policy, as `namespace/name`, or `name` in the policy's namespace. `mesh` stands
    for the sidecars (default: `mesh` alone)."""


class Router(Model):
    """What routes the traffic."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type != 'GatewayAPI' || has(self.gatewayAPI)",
            "gatewayAPI is required with type GatewayAPI",
            ".gatewayAPI",
        ),
        Rule("self.type != 'Istio' || has(self.istio)", "istio is required with type Istio", ".istio"),
    )

    type: Literal["Envoy", "GatewayAPI", "Istio"] = "Envoy"
    """`Envoy` is built in and requires nothing else in the cluster. `GatewayAPI` uses Gateways that exist already,
    `Istio` the gateways and sidecars of a mesh."""
    envoy: EnvoyRouter = EnvoyRouter()
    """Settings of type Envoy."""
    gateway_api: Annotated[GatewayAPIRouter | None, Field(alias="gatewayAPI")] = None
    """Settings of type GatewayAPI."""
    istio: IstioRouter | None = None
    """Settings of type Istio."""

    @property
    def trusted_hops(self) -> int:
        """Number of trusted proxies in front of the router."""
        return self.envoy.trusted_hops if self.type == "Envoy" else 0


class Monitoring(Model):
    """Measurement of the actual split: from the service's counter in Prometheus, else from the proxies' counters."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("window", "10s", "24h"),
        span_rule("interval", "1s", "1h"),
    )

    endpoint: PrometheusEndpoint = "default"
    """Name of a Prometheus endpoint in the operator's configuration. URLs are not allowed."""
    window: Duration = timedelta(minutes=5)
    """Window over which requests are counted."""
    interval: Annotated[Duration, Field(json_schema_extra={"x-accord-default": "60s"})] = timedelta(seconds=60)
    """Time between two measurements."""
    alert_deviation: Annotated[float, Field(gt=0, le=100, json_schema_extra={"x-accord-min": 0.1})] = 10
    """Alert if the measured share of a mode differs from its target by more than this, in percentage points, and the
    number of requests rules out chance."""
    requests_per_session: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Average number of requests per session. With sticky sessions the requests of one session are a single
    observation, so the number of requests is divided by this."""
    query: PromQL | None = None
    """PromQL that returns the number of requests in the window, one series per mode with label `mode`. `$namespace`,
    `$modes` (a regular expression for all mode names) and `$window` are substituted."""


class CacheTTL(Model):
    """Lifetimes of cached answers, for the applications behind the router."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("normalTTL", "1s", "8760h"),
        span_rule("downshiftTTL", "1s", "8760h"),
    )

    normal_ttl: Annotated[Duration, Field(alias="normalTTL")] = timedelta(hours=1)
    """Lifetime while the circuit is closed."""
    downshift_ttl: Annotated[Duration, Field(alias="downshiftTTL")] = timedelta(minutes=5)
    """Lifetime while the mode is downshifted."""


class Share(Model):
    """A mode that takes part of the shifted traffic."""

    mode: DnsLabel
    """Name of a mode other than the watched one."""
    weight: Percent
    """Percentage of the shifted share."""


_LONGEST_COOLDOWN = timedelta(hours=24)
_DOUBLINGS = 3


class CircuitBreaker(Model):
    """Downshift: after failures of one mode, its share goes to other modes for a while."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("window", "1s", "1h"),
        span_rule("cooldown", "1s", "24h"),
        span_rule("maxCooldown", "1s", "24h", optional=True),
        Rule(
            "!has(self.maxCooldown) || duration(self.maxCooldown) >= duration(self.cooldown)",
            "maxCooldown must not be shorter than cooldown",
            ".maxCooldown",
        ),
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
        Rule(
            "self.countedBy == 'Service' || !has(self.query)",
            "query applies only to countedBy Service",
            ".query",
        ),
    )

    mode: DnsLabel
    """Mode to watch."""
    counted_by: Literal["Service", "Proxies"] = "Service"
    """Who counts the failures. `Service`: the pods of the mode, through Prometheus. `Proxies`: the router, without
    Prometheus and within two seconds: answers of 500 and above, and requests that broke off, each attempt once."""
    failures: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Failures within the window that open the circuit."""
    failure_rate: Annotated[float | None, Field(gt=0, le=100, json_schema_extra={"x-accord-min": 0.1})] = None
    """Open the circuit only if the failures are also at least this percentage of the mode's requests within the window
    (default: any percentage)."""
    minimum_requests: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Open the circuit only if the mode got at least this many requests within the window."""
    window: Duration = timedelta(minutes=1)
    """Window over which failures are counted."""
    cooldown: Duration = timedelta(minutes=5)
    """How long the mode stays downshifted before its recovery begins. Doubled each time the recovery fails."""
    max_cooldown: Duration | None = None
    """Upper limit of the doubled cooldown (default: 8 times `cooldown`, at most 24h)."""
    shift_to: Annotated[
        list[Share], Field(max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["mode"]})
    ] = []
    """Modes that take over the share (default: the fallback mode)."""
    recovery: Literal["Immediate", "Ramp"] = "Immediate"
    """How the share returns after the cooldown: `Immediate` at once, `Ramp` in steps of 10, 50 and 100 %, each while no
    failures are counted. The circuit closes after one window at the whole share without too many failures."""
    query: PromQL | None = None
    """PromQL that returns the number of failures in the window, as one value. `$namespace`, `$mode` and `$window` are
    substituted (default: the increase of `llm_failures_total` with the labels `namespace` and `mode`)."""
    cache: CacheTTL = CacheTTL()
    """Lifetimes of cached answers. The router passes the current one to the pods of all modes, in seconds, in request
    header `x-accord-cache-ttl`; of several circuit breakers the shortest."""

    @property
    def longest_cooldown(self) -> timedelta:
        """Upper limit of the doubled cooldown, with the default filled in. Never less than `cooldown`."""
        limit = self.max_cooldown or min(self.cooldown * 2**_DOUBLINGS, _LONGEST_COOLDOWN)
        return max(limit, self.cooldown)


class ModeWeight(Model):
    """Share of one mode during a phase."""

    mode: DnsLabel
    """Name of a mode of this policy."""
    weight: Percent
    """Share of the requests in percent."""


class PhaseGate(Model):
    """What must hold before the next phase begins. What is not known, holds not."""

    within_target: bool = False
    """Whether condition `WithinTarget` must be True."""
    circuit_closed: bool = False
    """Whether all circuit breakers must be closed."""
    max_error_rate: Annotated[float | None, Field(ge=0, le=100)] = None
    """Highest percentage of requests that the router answered with a status of 500 or above."""


class RolloutPhase(Model):
    """A part of a rollout, with weights of its own."""

    rules: ClassVar[tuple[Rule, ...]] = (
        span_rule("duration", "1s", "8760h"),
        Rule(
            "self.weights.map(w, w.weight).sum() == 100",
            "the weights of a phase must sum to 100",
            ".weights",
            "'the weights of a phase must sum to 100, not %d'.format([self.weights.map(w, w.weight).sum()])",
        ),
    )

    name: DnsLabel
    """Name of the phase. A phase that was completed under this name is not repeated."""
    duration: Duration
    """How long the phase lasts at least."""
    weights: Annotated[
        list[ModeWeight], Field(min_length=1, max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["mode"]})
    ]
    """Shares during the phase, in place of those of the modes. They must sum to 100; a mode that is not listed gets
    none."""
    pause: bool = False
    """Stay in this phase after its duration, until this is `false`."""
    gate: PhaseGate | None = None
    """What must hold before the next phase begins (default: only `duration`)."""


def _breaker_rules() -> tuple[Rule, ...]:
    """Rules of a circuit breaker that are about the modes: for the first, and for each of the further ones."""
    fallback = "(has(self.fallbackMode) ? self.fallbackMode : self.modes[0].name)"
    checks = (
        ("self.modes.exists(m, m.name == {0}.mode)", "mode must be the name of a mode", ".mode"),
        (
            "{0}.shiftTo.all(s, self.modes.exists(m, m.name == s.mode))",
            "shiftTo must name modes of this policy",
            ".shiftTo",
        ),
        (
            "size({0}.shiftTo) > 0 || {0}.mode != " + fallback,
            "shiftTo is required here: the watched mode is the fallback mode itself",
            ".shiftTo",
        ),
    )
    one, each = "self.circuitBreaker", "self.circuitBreakers"
    return (
        *(
            Rule(f"!has({one}) || {rule.format(one)}", f"circuitBreaker.{message}", f".circuitBreaker{path}")
            for rule, message, path in checks
        ),
        *(
            Rule(f"{each}.all(b, {rule.format('b')})", f"circuitBreakers: {message}", ".circuitBreakers")
            for rule, message, _ in checks
        ),
        Rule(
            f"!has({one}) || {each}.all(b, b.mode != {one}.mode)",
            "circuitBreakers must not name the mode of circuitBreaker: a mode has one circuit breaker",
            ".circuitBreakers",
        ),
    )


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
            "userPreference.cookie and stickySession.cookie must differ: the sticky cookie would be a preference",
            ".userPreference.cookie",
        ),
        *_breaker_rules(),
        Rule(
            "self.phases.all(p, p.weights.all(w, self.modes.exists(m, m.name == w.mode)))",
            "the weights of phases must name modes of this policy",
            ".phases",
        ),
    )

    modes: Annotated[
        list[Mode], Field(min_length=1, max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]})
    ]
    """Modes of the service. Their weights must sum to 100."""
    strategy: Strategy = "WeightedRandom"
    """`WeightedRandom` draws a mode for each new session. `RoundRobin` follows a fixed weighted cycle. `UserPreference`
    uses the mode that the request names, else draws one."""
    user_preference: UserPreference = UserPreference()
    """Where a request names its preferred mode."""
    sticky_session: StickySession = StickySession()
    """Session stickiness: a user stays with one mode for a fixed time."""
    fallback_mode: DnsLabel | None = None
    """Mode that takes over if another fails or has no ready pods (default: the first mode)."""
    load_balancing: LoadBalancing = LoadBalancing()
    """Load balancing between the pods of a mode."""
    router: Router = Router()
    """What routes the traffic."""
    monitoring: Monitoring = Monitoring()
    """Measurement of the actual split."""
    circuit_breaker: CircuitBreaker | None = None
    """Downshift: after failures of one mode, its share goes to other modes for a while."""
    circuit_breakers: Annotated[
        list[CircuitBreaker], Field(max_length=15, json_schema_extra={"x-kubernetes-list-map-keys": ["mode"]})
    ] = []
    """Further circuit breakers, for other modes."""
    phases: Annotated[
        list[RolloutPhase], Field(max_length=16, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]})
    ] = []
    """Phases of a rollout, one after the other, each with its own weights. After the last one the weights of the modes
    apply."""
    suspend: bool = False
    """Freeze routing: changes of the spec have no effect until this is `false` again."""

    @property
    def fallback(self) -> str:
        """Name of the fallback mode, with the default filled in."""
        return self.fallback_mode or self.modes[0].name

    @property
    def breakers(self) -> tuple[CircuitBreaker, ...]:
        """All circuit breakers, at most one for each mode."""
        return (*(() if self.circuit_breaker is None else (self.circuit_breaker,)), *self.circuit_breakers)


class ModeStatus(Model):
    """Target and actual share of one mode."""

    name: str
    """Name of the mode."""
    target: float
    """Share in the spec, in percent. While a new mode warms up, the share before the change."""
    effective: float
    """Share that the router is set to, in percent, after fallback and downshift."""
    actual: float | None = None
    """Share measured over the window, in percent. Absent without a measurement."""
    deviation: float | None = None
    """actual − target, in percentage points."""
    alert: bool = False
    """Whether the deviation exceeds the threshold and chance is ruled out."""
    ready_pods: int = 0
    """Pods that are ready to serve."""
    healthy_pods: int | None = None
    """Pods that get requests: they pass the proxies' health checks and are not ejected. If the proxies differ, the
    highest number. Absent while the proxies cannot be read."""
    ejected_pods: int | None = None
    """Pods that pass the health checks but get no requests for now, because they failed too many."""
    requests: int | None = None
    """Requests within the window that the proxies sent to this mode's pods, retries included. Updated when it changes
    by 10 %. Absent, like the next two fields, while the proxies cannot be read."""
    errors: float | None = None
    """Percentage of the requests routed to this mode that got a status of 500 or above."""
    retries: float | None = None
    """Attempts that failed and were retried on another pod or mode, in percent of the requests routed to this mode."""


class Downshift(Model):
    """Whether a circuit breaker keeps traffic away from a mode."""

    active: bool = False
    """Whether a mode gets less than its share now."""
    since: Timestamp | None = None
    """When the circuit opened last."""
    until: Timestamp | None = None
    """When the recovery begins, or began."""
    reason: str | None = None
    """What opened the circuit."""


class CircuitBreakerStatus(Model):
    """State of one circuit breaker."""

    mode: DnsLabel
    """Watched mode."""
    phase: Literal["Closed", "Open", "HalfOpen"]
    """`Closed`: the mode gets its share. `Open`: it gets nothing. `HalfOpen`: it is recovering."""
    share: Percent
    """Percentage of its weight that the mode gets."""
    since: Timestamp
    """When this phase or step began."""
    until: Timestamp | None = None
    """When the cooldown ends. Absent unless `Open`."""
    opened: Timestamp | None = None
    """When the circuit opened last."""
    openings: Annotated[int, Field(ge=0)] = 0
    """How often it has opened without recovering for long. Each time doubles the cooldown."""
    downshifts: Annotated[int, Field(ge=0)] = 0
    """How often it has opened in all."""
    cooldown: Duration | None = None
    """Cooldown of the last opening."""
    failures: int | None = None
    """Failures within the window that opened it last."""
    requests: int | None = None
    """Requests within that window. Absent if they were not counted."""
    reason: str | None = None
    """What opened it last."""
    shift_to: Annotated[list[Share], Field(max_length=16)] = []
    """Modes that take over its share, by the spec that was accepted last (default: the fallback mode)."""
    cache_ttl: Annotated[Duration | None, Field(alias="cacheTTL")] = None
    """Current lifetime of cached answers."""


class PhaseStatus(Model):
    """Position in the rollout."""

    name: DnsLabel | None = None
    """Current phase. Absent after the last one."""
    state: Literal["Running", "Paused", "Waiting", "Completed"]
    """`Paused`: its duration is over and `pause` is set. `Waiting`: its duration is over and its gate does not hold."""
    since: Timestamp
    """When the phase began."""
    until: Timestamp | None = None
    """When its duration is over, or was."""
    next: str | None = None
    """Name of the next phase. Absent if the weights of the modes follow."""
    message: str | None = None
    """What the next phase waits for."""
    completed: Annotated[list[DnsLabel], Field(max_length=16)] = []
    """Phases that are over."""


InForceReason = Literal["Spec", "Phase", "Suspended", "NotAccepted", "Warming", "CircuitOpen", "Fallback"]


class SharesInForce(Model):
    """Shares that requests are split by now, and why."""

    shares: Annotated[dict[str, float], Field(json_schema_extra={"maxProperties": 32})]
    """Share of each mode that gets any, in percent."""
    reason: InForceReason
    """`Spec`: as specified. `Phase`: those of a phase of the rollout. `Suspended`, `NotAccepted`: the shares before,
    because the spec is suspended or not accepted. `Warming`: the shares before, until the router can send requests to a
    new mode. `CircuitOpen`: other modes get the share of one whose circuit breaker opened. `Fallback`: other modes get
    the share of one without pods that answer."""
    since: Timestamp
    """When these shares came into force for this reason."""
    until: Timestamp | None = None
    """When they end, if that is known."""


class HealthCheckInForce(Model):
    """Current health check of one mode."""

    mode: DnsLabel
    """Name of the mode."""
    type: Literal["HTTP", "TCP", "GRPC"]
    """`TCP` only opens a connection. `GRPC` asks `grpc.health.v1.Health`."""
    app_protocol: str | None = None
    """Protocol of the pods (default: `http`)."""
    path: str | None = None
    """HTTP path."""
    service: str | None = None
    """Service in a gRPC health check (default: the whole server)."""
    port: int | None = None
    """Port that is checked (default: the port that serves requests)."""
    host: str | None = None
    """Host header (default: the pod's address and port)."""
    scheme: Literal["HTTP", "HTTPS"] | None = None
    """Scheme of the check (default: `HTTP`)."""


class RoutingInForce(Model):
    """Current routing, apart from the shares. Kept while the policy is suspended or not accepted."""

    strategy: Strategy
    """Current strategy."""
    user_preference: UserPreference
    """Where requests name their preferred mode."""
    sticky_session: StickySession
    """Current session stickiness."""
    fallback_mode: DnsLabel
    """Current fallback mode."""
    load_balancing: LoadBalancing
    """Current load balancing."""
    health_checks: Annotated[list[HealthCheckInForce], Field(max_length=32)] = []
    """Current health check of each mode."""
    trusted_hops: int = 0
    """Number of trusted proxies in front of the router."""
    since: Timestamp
    """When the shares last changed."""


class TrafficPolicyStatus(Model):
    """Observed routing."""

    observed_generation: int | None = None
    """`metadata.generation` of the spec that this status describes."""
    conditions: Conditions = []
    """Conditions of the policy, following kstatus."""
    modes: Annotated[list[ModeStatus], Field(max_length=32)] = []
    """Modes known to the proxies, including those that are being removed."""
    in_force: SharesInForce | None = None
    """Shares that requests are split by now, and why."""
    routing: RoutingInForce | None = None
    """Current routing, apart from the shares in `modes`."""
    target: str | None = None
    """Target shares in the order of the modes, as `60/30/10`."""
    actual: str | None = None
    """Measured shares in the order of the modes."""
    counted_by: Literal["Service", "Proxies"] | None = None
    """Source of `actual`: `Service`, the counters of the modes' pods in Prometheus, or, if these count nothing,
    `Proxies`."""
    address: str | None = None
    """Where clients reach the router, as `host:port`."""
    downshift: Downshift | None = None
    """Whether a circuit breaker keeps traffic away from a mode."""
    circuit_breakers: Annotated[list[CircuitBreakerStatus], Field(max_length=16)] = []
    """State of each circuit breaker."""
    phase: PhaseStatus | None = None
    """Position in the rollout. Absent without `spec.phases`."""
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
        PrinterColumn("Phase", ".status.phase.name", priority=1),
        PrinterColumn("Age", ".metadata.creationTimestamp", type="date"),
    )

    conditions: ClassVar[tuple[ConditionType, ...]] = (
        ConditionType("Accepted", "The router supports everything in the spec."),
        ConditionType(
            "ResolvedRefs", "The Deployments exist and can be selected, and no required name is taken by another owner."
        ),
        ConditionType(
            "ModesAvailable", "Every mode with a share has ready pods that pass the health checks of the proxies."
        ),
        ConditionType("Programmed", "All ready proxies have accepted the routing of this generation."),
        ConditionType("WithinTarget", "The measured shares match the targets. Unknown without a measurement."),
        ConditionType(
            "CircuitsClosed",
            "No circuit breaker keeps traffic away from a mode. Present only with circuit breakers; Unknown while "
            "failures cannot be read.",
        ),
        ConditionType("PhasesCompleted", "The last phase is over. Present only with `spec.phases`."),
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
