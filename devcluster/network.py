"""The link between the machine and the node, seen from the machine."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from devcluster import settings
from devcluster.commands import run
from devcluster.errors import DevclusterError
from devcluster.waiting import wait_for


def check() -> None:
    """A sentence when the link's name or the addresses are somebody else's."""
    link = _link()
    if link is not None and not _is_ours(link):
        raise DevclusterError(
            f"there is a network link {settings.LINK} here that this cluster did not make; remove it."
        )
    wanted = settings.network()
    for route in json.loads(run("ip", "-j", "-4", "route", "show", "table", "all") or "[]"):
        destination = route.get("dst", "default")
        if destination == "default" or route.get("dev") == settings.LINK:
            continue
        if ipaddress.IPv4Network(destination, strict=False).subnet_of(wanted):  # ours is more specific than a wider one
            raise DevclusterError(
                f"the network {wanted} is in use here ({destination} on {route.get('dev', 'another link')}); "
                "choose another /14: ACCORD_DEVCLUSTER_NETWORK=10.128.0.0/14"
            )


def connect(namespace_pid: int) -> None:
    """Make the veth pair, with its other end in the network namespace of that process, and the routes."""
    run("ip", "link", "add", settings.LINK, "type", "veth", "peer", "name", "eth0", "netns", str(namespace_pid))
    run("ip", "link", "set", settings.LINK, "alias", settings.NAME, "up")
    run("ip", "addr", "add", f"{settings.host_address()}/30", "dev", settings.LINK)
    for destination in (settings.pods(), settings.services()):
        run("ip", "route", "add", destination, "via", settings.node_address(), "dev", settings.LINK, "onlink")


def disconnect() -> None:
    """The link is gone when this returns: it goes by itself soon after the node's last process."""
    link = _link()
    if link is None or not _is_ours(link):
        return
    try:
        run("ip", "link", "del", settings.LINK)
    except DevclusterError:
        wait_for(f"removal of {settings.LINK}", lambda: _link() is None, seconds=10)


def exists() -> bool:
    """Whether our link is there."""
    link = _link()
    return link is not None and _is_ours(link)


def _link() -> dict[str, Any] | None:
    for link in json.loads(run("ip", "-j", "-d", "link", "show") or "[]"):
        if link.get("ifname") == settings.LINK:
            return dict(link)
    return None


def _is_ours(link: dict[str, Any]) -> bool:
    # the alias is set just after the link is made: a kill in between leaves a bare veth without an address
    kind = link.get("linkinfo", {}).get("info_kind")
    return bool(kind == "veth" and link.get("ifalias", settings.NAME) == settings.NAME)
