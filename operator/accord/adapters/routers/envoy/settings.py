"""What the installer of the operator chooses for all proxies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EnvoySettings:
    """Image of the proxies, where they find the operator, and the ports inside their pods.

    `listen_address` is where the proxies bind, `127.0.0.1` in tests. The admin interface is never bound to anything
    but the pod's loopback. `verify_peers`: polls are answered, and believed, only from the address of the pod that they
    name. `run_as_user` is None where the platform assigns a user to the pods.
    """

    image: str
    image_pull_policy: str = "IfNotPresent"
    xds_host: str = "accord-xds.accord-system.svc"
    xds_port: int = 18000
    listen_address: str = "0.0.0.0"  # noqa: S104 - the proxy serves the pod's network
    http_port: int = 8080
    probe_port: int = 8081
    admin_port: int = 9901
    verify_peers: bool = True
    run_as_user: int | None = 65532
