"""How the proxies check the pods of a mode.

What the spec gives wins. Else the pods are checked as the kubelet checks them, by the HTTP readinessProbe of the
container that serves the mode; where there is none that a proxy could repeat, a TCP connection is enough: a check that
says less never takes a mode out of service that Kubernetes calls ready.

Routing must follow from one object alone (see `routing`), and the probe is in another. So the leader records what it
found in `status.routing.healthChecks`, and every replica reads it there; until then a connection is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import HOST_PATTERN, HealthCheckInForce, Mode, TrafficPolicySpec
from accord.domain.traffic.observed import ContainerView, DeploymentView

_LONGEST = 1024


@dataclass(frozen=True)
class Check:
    """One health check. `port` None: that which serves requests. `host` None: address and port of the pod."""

    path: str | None = None
    port: int | None = None
    host: str | None = None
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    service: str | None = None
    """Of a gRPC check: the service that is asked about, empty for the whole server."""
    http2: bool = False
    """Whether the pods speak HTTP/2, whatever the check."""

    def __str__(self) -> str:
        """`GET /healthz`, `TCP connection to port 9000`."""
        port = "" if self.port is None else f" {'on' if self.path else 'to'} port {self.port}"
        if self.service is not None:
            return f"gRPC health check{f' of {self.service}' if self.service else ''}{port}"
        if self.path is None:
            return f"TCP connection{port}"
        return f"{'HTTPS ' if self.scheme == 'HTTPS' else ''}GET {self.path}{port}"


CONNECTION = Check()
"""A TCP connection to the port that serves requests."""


def given(spec: TrafficPolicySpec, mode: Mode) -> Check | None:
    """What the spec itself says about a mode's check; None where that follows from its pods."""
    said = _given(spec, mode)
    return None if said is None else spoken(mode, said)


def spoken(mode: Mode, check: Check) -> Check:
    """`check` with what the spec says that the pods of the mode speak."""
    return replace(check, http2=mode.speaks_http2)


def _given(spec: TrafficPolicySpec, mode: Mode) -> Check | None:
    own, shared = mode.health_check, spec.load_balancing.health_check.path
    port = None if own is None or own.port == mode.port else own.port
    if own is not None and own.path is not None:
        return Check(own.path, port, own.host, own.scheme or "HTTP")
    if own is not None and own.type == "TCP":
        return Check(port=port)
    return Check(shared, port) if shared is not None else None


def wanted(
    spec: TrafficPolicySpec, deployments: Mapping[str, DeploymentView], recorded: Iterable[HealthCheckInForce]
) -> dict[str, Check]:
    """The check of each mode of the spec, as it shall be recorded.

    While a rollout replaces pods by others with another probe, both kinds must pass: a connection is enough then.
    """
    before = read(recorded)
    return {mode.name: _wanted(spec, mode, deployments.get(mode.deployment_ref.name), before) for mode in spec.modes}


def _wanted(
    spec: TrafficPolicySpec, mode: Mode, deployment: DeploymentView | None, recorded: Mapping[str, Check]
) -> Check:
    explicit = given(spec, mode)
    if explicit is not None:
        return explicit
    if deployment is None:
        return spoken(mode, recorded.get(mode.name, CONNECTION))
    found = of_pods(mode, deployment)
    if deployment.rolling and recorded.get(mode.name) != found:
        return spoken(mode, _at_port(CONNECTION, mode))
    return found


def of_pods(mode: Mode, deployment: DeploymentView) -> Check:
    """The check that repeats the readinessProbe of the container that serves the mode."""
    container = _serving(mode, deployment.containers)
    found = CONNECTION if container is None else _of_probe(container, mode)
    return spoken(mode, _at_port(found, mode))


def _at_port(check: Check, mode: Mode) -> Check:
    own = None if mode.health_check is None else mode.health_check.port
    return check if own is None else replace(check, port=None if own == mode.port else own)


def _serving(mode: Mode, containers: tuple[ContainerView, ...]) -> ContainerView | None:
    """The container that declares the mode's port, else the only one."""
    declares = [container for container in containers if mode.port in container.ports.values()]
    if declares:
        return declares[0]
    return containers[0] if len(containers) == 1 else None


def _of_probe(container: ContainerView, mode: Mode) -> Check:
    serving = mode.port
    grpc: Manifest | None = (container.readiness or {}).get("grpc")
    if grpc and grpc.get("port") == serving and mode.speaks_http2:
        return Check(service=grpc.get("service") or "")
    get: Manifest | None = (container.readiness or {}).get("httpGet")
    if not get or get.get("host"):  # another host than the pod: not what the proxies can reach
        return CONNECTION
    port = _number(get.get("port"), container)
    headers = {header["name"].lower(): header.get("value", "") for header in get.get("httpHeaders") or ()}
    host = headers.pop("host", None)
    path = "/" + quote(get.get("path") or "/", safe="/!\"$%&'()*+,:;=?@[]^`{|}~<>\\").lstrip("/")
    if port is None or headers or len(path) > _LONGEST or (host and not re.fullmatch(HOST_PATTERN, host)):
        return CONNECTION
    scheme: Literal["HTTP", "HTTPS"] = "HTTPS" if get.get("scheme") == "HTTPS" else "HTTP"
    return Check(path, None if port == serving else port, host or None, scheme)


def _number(port: object, container: ContainerView) -> int | None:
    """A probe's port as a number; None for a name that the container does not declare."""
    if isinstance(port, int):
        return port
    text = str(port or "")
    return int(text) if text.isascii() and text.isdigit() else container.ports.get(text)


def record(checks: Mapping[str, Check]) -> list[HealthCheckInForce]:
    """As `status.routing.healthChecks` holds it."""
    return [
        HealthCheckInForce(
            mode=mode,
            type="GRPC" if check.service is not None else "TCP" if check.path is None else "HTTP",
            app_protocol="kubernetes.io/h2c" if check.http2 else None,
            service=check.service or None,
            path=check.path,
            port=check.port,
            host=check.host,
            scheme="HTTPS" if check.scheme == "HTTPS" else None,
        )
        for mode, check in checks.items()
    ]


def read(recorded: Iterable[HealthCheckInForce]) -> dict[str, Check]:
    """The inverse of `record`."""
    return {
        entry.mode: Check(
            entry.path,
            entry.port,
            entry.host,
            entry.scheme or "HTTP",
            (entry.service or "") if entry.type == "GRPC" else None,
            entry.app_protocol is not None,
        )
        for entry in recorded
    }
