"""The operator's configuration file: what the installer decides. Every key has a default except the Envoy image."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from accord.api.base import Duration
from accord.api.kubeyaml import UnreadableError, parse

Port = Annotated[int, Field(ge=0, le=65535)]
HeaderName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"), AfterValidator(lambda name: _free(name))
]
HeaderValue = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]


_TAKEN = ("accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding")
EVERY_NAMESPACE = "*"


def _free(name: str) -> str:
    if name.lower() in _TAKEN:
        raise ValueError(f"{name} cannot be set: it belongs to the connection")
    return name


class ConfigError(Exception):
    """The configuration cannot be used; the message names file, field and problem."""


class _Section(BaseModel):
    """A misspelt key must not pass for a default."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class PrometheusEndpoint(_Section):
    """A Prometheus server that policies may refer to."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    timeout: Duration = timedelta(seconds=5)
    bearer_token_file: Path | None = None
    """File with the bearer token; read for each query."""
    ca_file: Path | None = None
    """CA certificates for this endpoint, PEM."""
    headers: dict[HeaderName, HeaderValue] = {}
    """Headers sent with each query, such as the tenant in X-Scope-OrgID."""
    header_files: dict[HeaderName, Path] = {}
    """Headers whose values are read from files, for secrets; read for each query."""
    max_response_mib: Annotated[int, Field(ge=1, le=1024)] = 8
    """Maximum size of a response, in MiB."""
    custom_query_namespaces: list[str] | None = None
    """Namespaces whose objects may use custom queries, `*` for all. See `Config.custom_query_namespaces`."""

    @model_validator(mode="after")
    def _one_value_each(self) -> PrometheusEndpoint:
        token = ["Authorization"] if self.bearer_token_file is not None else []
        names = [name.lower() for name in (*self.headers, *self.header_files, *token)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"header given twice: {', '.join(twice)}")
        return self


class Prometheus(_Section):
    """Metrics endpoints by name. A policy names an endpoint, never a URL."""

    endpoints: dict[str, PrometheusEndpoint] = {}


class Envoy(_Section):
    """The proxy that the built-in router runs."""

    image: str = "envoyproxy/envoy:distroless-v1.40.0"
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    run_as_user: Annotated[int, Field(ge=1)] | None = 65532
    """User and group ID of the proxies; None if the platform assigns one."""


class Xds(_Section):
    """xDS server, from which proxies fetch their configuration."""

    host: str = "accord-xds.accord-system.svc"
    """Address that proxies connect to."""
    port: Port = 18000
    verify_peers: bool = True
    """Accept a poll only from the address of the pod that it names. Disable if a mesh or a network plugin hides pod
    addresses from the operator; then restrict access by a NetworkPolicy."""


class Http(_Section):
    """`/healthz`, `/readyz`, `/metrics`."""

    port: Port = 8080


class LeaderElection(_Section):
    """As in client-go: a candidate takes over when a Lease was not renewed for `leaseDuration`; a leader that cannot
    renew stops writing after `renewDeadline`; everybody tries every `retryPeriod`.
    """

    enabled: bool = True
    lease: str = "accord"
    lease_duration: Duration = timedelta(seconds=10)
    renew_deadline: Duration = timedelta(seconds=7)
    retry_period: Duration = timedelta(seconds=2)

    @model_validator(mode="after")
    def _ordered(self) -> LeaderElection:
        if not self.retry_period < self.renew_deadline < self.lease_duration:
            raise ValueError("must hold: retryPeriod < renewDeadline < leaseDuration")
        return self


class Log(_Section):
    """Log lines on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class Traces(_Section):
    """Spans of what the operator does, for an OpenTelemetry collector. Needs the packages of the extra `traces`."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    """Base URL of a receiver of OTLP over HTTP, such as http://otel-collector.observability:4318 (default: none)."""
    ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Part of the passes that is sent. Of a rollback all is sent."""


class Config(_Section):
    """Everything in the file."""

    namespaces: list[str] = []
    """Namespaces to watch (default: all)."""
    prometheus: Prometheus = Prometheus()
    envoy: Envoy = Envoy()
    xds: Xds = Xds()
    http: Http = Http()
    leader_election: LeaderElection = LeaderElection()
    log: Log = Log()
    traces: Traces = Traces()

    def custom_query_namespaces(self, endpoint: PrometheusEndpoint) -> frozenset[str] | None:
        """Namespaces that may bring queries of their own; None: all.

        A custom query is asked with the operator's credentials, so it can read what its author cannot. Unless the
        installer says otherwise it is allowed where that gives nothing away: at an endpoint that is asked without
        credentials, or where the operator works for chosen namespaces only.
        """
        chosen = endpoint.custom_query_namespaces
        if chosen is not None:
            return None if EVERY_NAMESPACE in chosen else frozenset(chosen)
        with_credentials = endpoint.bearer_token_file is not None or bool(endpoint.headers or endpoint.header_files)
        return frozenset() if with_credentials and not self.namespaces else None


@dataclass(frozen=True)
class Pod:
    """Who this replica is (downward API: POD_NAME, POD_IP, POD_NAMESPACE)."""

    name: str
    ip: str
    namespace: str

    @property
    def identity(self) -> str:
        """Value of `holderIdentity` in the Lease."""
        return f"{self.name}_{self.ip}"

    @classmethod
    def from_environment(cls) -> Pod:
        """Outside a pod: the host's name and loopback. Raises ConfigError for an address that is none."""
        name = os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"
        ip = os.environ.get("POD_IP") or "127.0.0.1"
        try:
            ipaddress.ip_address(ip)
        except ValueError as error:
            raise ConfigError(f"environment variable POD_IP: {error}") from error
        return cls(name, ip, os.environ.get("POD_NAMESPACE") or "default")


def load(path: Path | None) -> Config:
    """The configuration in that file, or all defaults. Raises ConfigError."""
    if path is None:
        return Config()
    try:
        documents = [each for each in parse(path.read_bytes()) if each is not None]
    except OSError as error:
        raise ConfigError(f"{path}: cannot read: {error.strerror}") from error
    except UnreadableError as error:
        raise ConfigError(f"{path}: {error}") from error
    if len(documents) > 1:
        raise ConfigError(f"{path}: more than one document")
    try:
        return Config.model_validate(next(iter(documents), None) or {})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'document'}: {_said(problem['type'], problem['msg'])}"
            for problem in error.errors()
        )
        raise ConfigError(f"{path}: {problems}") from error


def _said(problem: str, message: str) -> str:
    """In the words for a manifest, where there is the same mistake."""
    return {"extra_forbidden": "unknown field", "missing": "is required"}.get(problem, message)
