"""Which Go modules the programs come from: what the cluster is made of, and what tests run beside a control plane.

The folder in `tools/` of the same name pins the version.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Module:
    """One folder in `tools/` and the programs that come from it: name → Go package."""

    name: str
    programs: dict[str, str]
    stamp: tuple[str, ...] = ()
    """Go variables that carry the version; without them Kubernetes reports v0.0.0 and clients refuse to talk."""
    version_of: str = ""
    """The module whose version is stamped and shown."""
    cgo: bool = False
    tags: str = ""
    minutes: float = 1.0
    """What a cold build takes on two cores; shown so that nobody thinks it hangs."""


MODULES = (
    Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, version_of="go.etcd.io/etcd/server/v3", minutes=1),
    Module(
        "kubernetes",
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kubectl",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
            )
        },
        stamp=("k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion"),
        version_of="k8s.io/kubernetes",
        minutes=7,
    ),
    Module(
        "containerd",
        {
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
        version_of="github.com/containerd/containerd/v2",
        minutes=2,
    ),
    Module(
        "runc",
        {"runc": "github.com/opencontainers/runc"},
        version_of="github.com/opencontainers/runc",
        cgo=True,
        tags="seccomp",
        minutes=0.5,
    ),
    Module("coredns", {"coredns": "github.com/coredns/coredns"}, version_of="github.com/coredns/coredns", minutes=2),
    Module(
        "csi-provisioner",
        {"csi-provisioner": "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"},
        version_of="github.com/kubernetes-csi/external-provisioner/v6",
        minutes=2.5,
    ),
    Module(
        "csi-snapshotter",
        {
            name: f"github.com/kubernetes-csi/external-snapshotter/v8/cmd/{name}"
            for name in ("csi-snapshotter", "snapshot-controller")
        },
        version_of="github.com/kubernetes-csi/external-snapshotter/v8",
        minutes=2.5,
    ),
    Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}, version_of="helm.sh/helm/v4", minutes=1.5),
    Module(
        "kubeconform",
        {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"},
        version_of="github.com/yannh/kubeconform",
        minutes=0.2,
    ),
)

STORES = (
    Module(
        "prometheus",
        {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
        version_of="github.com/prometheus/prometheus",
        # Named targets are all that the tests scrape; each discovery brings a cloud's libraries.
        tags="remove_all_sd",
        minutes=5,
    ),
    Module(
        "victoriametrics",
        {"victoria-metrics": "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"},
        version_of="github.com/VictoriaMetrics/VictoriaMetrics",
        minutes=2,
    ),
)
"""Stores of metrics that `make test-stores` asks. No part of the cluster, and built for nothing else."""

QUEUES = (
    Module(
        "kueue",
        {"kueue": "sigs.k8s.io/kueue/cmd/kueue"},
        version_of="sigs.k8s.io/kueue",
        minutes=8,
    ),
)
"""What admits the Jobs of a queue, for the tests that run it beside a control plane. No part of the cluster either."""

ENGINES = (
    Module(
        "kuberay",
        {"ray-operator": "github.com/ray-project/kuberay/ray-operator"},
        version_of="github.com/ray-project/kuberay/ray-operator",
        minutes=5,
    ),
)
"""What runs trainings on Ray, for the tests that run it beside a control plane. No part of the cluster."""

GATEWAYS = (
    Module(
        "istio",
        {
            "pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery",
            "istioctl": "istio.io/istio/istioctl/cmd/istioctl",
        },
        version_of="istio.io/istio",
        minutes=20,
    ),
)
"""Control planes of gateways that `tests/gateways` run. No part of the cluster."""

GITOPS = (
    Module(
        "argocd",
        # One program: what it is called decides which of Argo CD's components it is.
        {"argocd": "github.com/argoproj/argo-cd/v3/cmd"},
        version_of="github.com/argoproj/argo-cd/v3",
        minutes=9,
    ),
)
"""What brings manifests from Git into a cluster, for `tests/argocd`. No part of the cluster."""

FLUX = tuple(
    Module(
        f"flux-{name}",
        {f"{name}-controller": f"github.com/fluxcd/{name}-controller"},
        version_of=f"github.com/fluxcd/{name}-controller",
        minutes=8,
    )
    for name in ("source", "kustomize")
)
"""The other one that does so, for `tests/flux`: what fetches them, and what applies them."""

COLLECTORS = (
    Module(
        "otel-collector",
        {"otel-collector": "accord.dev/devcluster/tools/otel-collector"},
        version_of="go.opentelemetry.io/collector/otelcol",
        minutes=3,
    ),
)
"""What takes spans, for `make test-collector`. No part of the cluster."""

CHECKERS = (
    Module(
        "gitleaks",
        {"gitleaks": "github.com/zricethezav/gitleaks/v8"},
        version_of="github.com/zricethezav/gitleaks/v8",
        minutes=0.5,
    ),
)
"""What `make check` runs beside the cluster's programs."""


ALL = (*MODULES, *STORES, *QUEUES, *ENGINES, *GATEWAYS, *GITOPS, *FLUX, *COLLECTORS, *CHECKERS)
"""Everything that can be built."""
