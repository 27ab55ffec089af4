"""Names and addresses of the full cluster. One per machine.

The cluster's node is a network, mount and process namespace of its own, like a container without the image. All its
links, addresses, nftables tables and mounts live in there and vanish with its first process, however that ends; on the
machine itself there is one veth link, one directory in each cgroup hierarchy and the state directory.
"""

from __future__ import annotations

import ipaddress
import os

from devcluster.errors import DevclusterError

NAME = os.environ.get("ACCORD_DEVCLUSTER_NAME", "accord-devcluster")
"""Names the state directory, the cgroups and the marker. Another name, with another network, is another cluster: the
tests of this package run beside the one of the demo.
"""
LINK = "accord0" if NAME == "accord-devcluster" else NAME[:15]
"""The machine's end of the veth pair; the node's end is `eth0`."""
CGROUP = NAME
NODE = "accord"
"""Name of the one Node."""
MARKER = "ACCORD_DEVCLUSTER"
"""Environment variable carried by every process of the node: how they are recognised, never by their names."""
APISERVER_PORT = 6443
DNS_PORT = 10053
PAUSE_IMAGE = "localhost/pause:1"
DOMAIN = "cluster.local"
CSI_DRIVER = "dir.csi.accord.dev"
"""Name of the driver that makes volumes and snapshots."""
STORAGE_CLASS = "accord-dir"
"""The default class: a volume is made when a pod wants it, as with most disks of clouds."""
STORAGE_CLASS_AT_ONCE = "accord-dir-at-once"
"""The same driver; a volume is made as soon as it is claimed."""
SNAPSHOT_CLASS = "accord-dir"
"""The default class of VolumeSnapshots."""
KUBELET_TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""Settings of the whole machine that a kubelet insists on. The node is shown these values, so that it changes none."""
MOUNT_POINTS = ("/var/lib/kubelet", "/var/lib/cni")
"""Directories that must exist so that the node can put its own over them; removed again if they were made for it."""


def network() -> ipaddress.IPv4Network:
    """The /14 that node, pods and services are taken from; `ACCORD_DEVCLUSTER_NETWORK` moves it."""
    given = os.environ.get("ACCORD_DEVCLUSTER_NETWORK", "10.192.0.0/14")
    try:
        parsed = ipaddress.IPv4Network(given)
    except ValueError as problem:
        raise DevclusterError(f"ACCORD_DEVCLUSTER_NETWORK={given}: {problem}") from problem
    if parsed.prefixlen != 14:
        raise DevclusterError(f"ACCORD_DEVCLUSTER_NETWORK={given} must be a /14, for example 10.192.0.0/14")
    return parsed


def _part(index: int) -> ipaddress.IPv4Network:
    return list(network().subnets(new_prefix=16))[index]


def node_address() -> str:
    """The node: the API server answers here."""
    return str(_part(0)[1])


def host_address() -> str:
    """The machine's end of the link."""
    return str(_part(0)[2])


def pods() -> str:
    """Addresses of pods; the machine has a route to them."""
    return str(_part(1))


def services() -> str:
    """Addresses of Services; the machine has a route to them too."""
    return str(_part(2))


def dns_address() -> str:
    """The cluster's resolver."""
    return str(_part(2)[10])


def server() -> str:
    """URL of the API server."""
    return f"https://{node_address()}:{APISERVER_PORT}"
