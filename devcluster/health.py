"""Whether the full cluster works, and what of it does not."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from devcluster import dns, node, paths, processes, settings
from devcluster.errors import DevclusterError


def problems() -> list[str]:
    """What is wrong with the cluster, in words; empty when it is healthy."""
    if not processes.ours():
        return ["it does not run; start it with: python3 -m devcluster up"]
    found = [
        f"{name} is not running ({state['lastEnd']}); see: python3 -m devcluster logs {name}"
        for name, state in component_states().items()
        if not state["running"]
    ]
    if not api_ready():
        return [*found, "the API server does not answer"]
    if not node_ready():
        found.append("the node is not ready")
    if not names_resolve():
        found.append("names of Services do not resolve")
    if not storage_ready():
        found.append("the kubelet does not know the driver of volumes")
    return found


def component_states() -> dict[str, dict[str, Any]]:
    """What the node says of its components: name → running, restarts, lastEnd."""
    try:
        return dict(json.loads((paths.state_dir() / node.STATUS).read_text()))
    except (OSError, ValueError):
        return {}


def node_process() -> int:
    """A process in the node's network and mount namespaces, as `nsenter` wants it."""
    try:
        pid = int((paths.state_dir() / "node.pid").read_text())
    except (OSError, ValueError):
        pid = 0
    if not pid or not processes.is_ours(pid):
        raise DevclusterError("the cluster does not run; start it with: python3 -m devcluster up")
    return pid


def api_ready() -> bool:
    """The API server answers that it is ready."""
    return _get("/readyz") is not None


def node_ready() -> bool:
    """The kubelet reports the Node ready."""
    answer = _get(f"/api/v1/nodes/{settings.NODE}")
    conditions = (answer or {}).get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def names_resolve() -> bool:
    """The resolver answers through its Service: DNS, kube-proxy and the routes work."""
    return dns.resolves(f"kubernetes.default.svc.{settings.DOMAIN}", settings.dns_address())


def storage_ready() -> bool:
    """The kubelet has registered the driver of volumes."""
    answer = _get(f"/apis/storage.k8s.io/v1/csinodes/{settings.NODE}")
    drivers = (answer or {}).get("spec", {}).get("drivers") or ()
    return any(each["name"] == settings.CSI_DRIVER for each in drivers)


def _get(path: str) -> dict[str, Any] | None:
    """What the API server says, or None."""
    pki = paths.state_dir() / "pki"
    try:
        token = json.loads((pki / "tokens.json").read_text())["admin"]
        context = ssl.create_default_context(cafile=str(pki / "apiserver.crt"))
        request = urllib.request.Request(settings.server() + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=3, context=context) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return dict(json.loads(text)) if text.startswith("{") else {"text": text}
