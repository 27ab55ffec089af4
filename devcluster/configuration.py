"""The files that the node's components read. README.md says why where a setting surprises."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from devcluster import programs, settings

CNI_PROGRAMS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")


def files(state: Path, snapshotter: str) -> dict[str, str]:
    """The files without secrets: path below the state directory → text."""
    return {
        "containerd.toml": _containerd(state, snapshotter),
        "cni/10-pods.conflist": json.dumps(_cni(), indent=1),
        "kubelet.json": json.dumps(_kubelet(state), indent=1),
        "kube-proxy.json": json.dumps(_kube_proxy(state), indent=1),
        "Corefile": _corefile(state),
        "resolv.conf": f"nameserver {settings.dns_address()}\n",
        "nftables": _nftables(),
    }


def objects() -> list[dict[str, Any]]:
    """What the API server must hold so that names of Services resolve."""
    meta = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": name, "protocol": name.upper(), "port": 53} for name in ("udp", "tcp")]
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"clusterIP": settings.dns_address(), "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [settings.node_address()], "conditions": {"ready": True}}],
            "ports": [{**port, "port": settings.DNS_PORT} for port in ports],
        },
    ]


def cni_directory() -> str | None:
    """Where Debian and others put the CNI plugins."""
    return next((place for place in CNI_PROGRAMS if os.access(f"{place}/ptp", os.X_OK)), None)


def kubeconfig(state: Path, name: str) -> Path:
    """Where the kubeconfig of one of the users of `components.USERS` is."""
    return state / "kubeconfig" / f"{name}.yaml"


def _containerd(state: Path, snapshotter: str) -> str:
    place = state / "containerd"
    return f"""version = 3
root = '{place}/root'
state = '{place}/state'
disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.internal.v1.tracing']
[grpc]
  address = '{place}/containerd.sock'
[plugins.'io.containerd.internal.v1.opt']
  path = '{place}/opt'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['{cni_directory()}']
    conf_dir = '{state}/cni'
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = 'io.containerd.runc.v2'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = '{programs.path("runc")}'
        Root = '{place}/runc'
[plugins.'io.containerd.cri.v1.images']
  snapshotter = '{snapshotter}'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '{settings.PAUSE_IMAGE}'
"""


def _cni() -> dict[str, Any]:
    # ptp and not bridge: on a bridge the answer of a pod to another one that called it through a Service takes the
    # short way past connection tracking, unless the kernel has br_netfilter
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "ranges": [[{"subnet": settings.pods()}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}]}


def _kubelet(state: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.node_address(),
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.CGROUP}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": f"unix://{state}/containerd/containerd.sock",
        "clusterDNS": [settings.dns_address()],
        "clusterDomain": settings.DOMAIN,
        "resolvConf": f"{state}/resolv.conf",
        "evictionHard": {"memory.available": "100Mi"},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "15s"},
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "maxPods": 250,
        "podLogsDir": f"{state}/pod-logs",
        "serializeImagePulls": False,
        "rotateCertificates": False,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "volumePluginDir": f"{state}/volume-plugins",
    }


def _kube_proxy(state: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": settings.node_address(),
        "clientConnection": {"kubeconfig": str(kubeconfig(state, "proxy"))},
        "clusterCIDR": settings.pods(),
        "hostnameOverride": settings.NODE,
        # the limits of connection tracking belong to the machine, not to the node
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "100ms"},
    }


def _corefile(state: Path) -> str:
    # two blocks: within one, `template` would answer before `kubernetes` is asked
    return f"""{settings.DOMAIN}:{settings.DNS_PORT} in-addr.arpa:{settings.DNS_PORT} {{
  bind {settings.node_address()}
  errors
  kubernetes {settings.DOMAIN} in-addr.arpa {{
    kubeconfig {kubeconfig(state, "dns")}
    ttl 5
  }}
}}
.:{settings.DNS_PORT} {{
  bind {settings.node_address()}
  errors
  template ANY ANY . {{
    rcode NXDOMAIN
  }}
}}
"""


def _nftables() -> str:
    # the kubelet lets everybody in (nothing signs client certificates here), so only the node itself may reach it
    return """table inet devcluster {
  chain input {
    type filter hook input priority 0; policy accept;
    iifname != "lo" tcp dport 10250 drop
  }
}
"""
