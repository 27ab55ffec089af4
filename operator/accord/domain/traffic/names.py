"""Names of everything that a TrafficPolicy owns.

Deterministic, valid as DNS-1035 labels (Service names; at most 63 characters, a letter first), and distinct for
distinct policies wherever a name had to be changed to be valid. Two policies may still meet in one name (`shop` with
mode `eu-fast`, and `shop-eu` with mode `fast`): then the second one reports a conflict and takes nothing over.
"""

from __future__ import annotations

import hashlib
import re

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "accord"
POLICY_LABEL = "accord.dev/traffic-policy"
MODE_LABEL = "accord.dev/mode"
PORT_NAME = "http"
"""Name of the one port of a mode's Service, and so of the port in its EndpointSlices."""
SERVICE_PORT = 80
"""Number of the one port of a mode's Service. The same for every mode, so that a changed container port changes no
key of the port list: server-side apply could not tell our former port from one that somebody else added."""

_LIMIT = 63
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def _hashed(readable: str, identity: str) -> str:
    """The beginning of `readable` and a hash of `identity`, 63 characters together at most."""
    return f"{readable[: _LIMIT - 9].rstrip('-.')}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def _label(name: str) -> str:
    """`name` itself where it is a DNS-1035 label; else a valid one that only this name leads to."""
    if len(name) <= _LIMIT and _DNS_1035.fullmatch(name):
        return name
    readable = name.replace(".", "-")
    return _hashed(readable if readable[0].isalpha() else f"p{readable}", name)


def mode_service(policy: str, mode: str) -> str:
    """The Service of one mode."""
    return _label(f"{policy}-{mode}")


def router(policy: str) -> str:
    """The router's Deployment, Service and PodDisruptionBudget."""
    return _label(f"{policy}-router")


def labels(policy: str, mode: str | None = None) -> dict[str, str]:
    """The labels of an object that `policy` owns. The CRD keeps names of policies within the limit of a label value."""
    common = {MANAGED_BY_LABEL: MANAGED_BY, POLICY_LABEL: policy}
    return common if mode is None else common | {MODE_LABEL: mode}
