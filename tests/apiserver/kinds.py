"""Our kinds on an API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from devcluster.kubectl import Kubectl
from tests.apiserver.rig import GROUP, KINDS, Api, wait_until

from accord.api.crd import files


class Server(Protocol):
    """An API server, by the file that names it."""

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def kubectl(self) -> Kubectl: ...


def install_kinds(control_plane: Server) -> Api:
    """Apply the CRDs and wait until they are served; returns a client that knows them."""
    control_plane.kubectl("apply", "--server-side", "-f", "-", input="---\n".join(files().values()))

    def established() -> bool:
        found = json.loads(control_plane.kubectl("get", "crd", "-o", "json"))["items"]
        conditions = [
            (condition["type"], condition["status"])
            for crd in found
            if crd["spec"]["group"] == "accord.dev"
            for condition in crd.get("status", {}).get("conditions") or ()
        ]
        return conditions.count(("Established", "True")) == 3

    wait_until(established, 20, "CRDs are not established")
    api = Api(control_plane.kubeconfig)
    wait_until(lambda: _served(api), 20, "the kinds are not served")
    return api


def _served(api: Api) -> bool:
    """A kind that is established is refused for a moment all the same."""
    try:
        return all(api.get(f"{GROUP}/{kind}") for kind in KINDS)
    except AssertionError:
        return False
