"""What runs in the node, and with which flags. README.md says why where a flag surprises."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from devcluster import configuration, credentials, csibuild, programs, settings, storage

USERS = {
    "admin": ("admin", "system:masters"),
    "node": (f"system:node:{settings.NODE}", "system:nodes"),
    "controller-manager": ("system:kube-controller-manager", "devcluster"),
    "scheduler": ("system:kube-scheduler", "devcluster"),
    "proxy": ("system:kube-proxy", "devcluster"),
    "dns": ("system:coredns", "devcluster"),
    "storage": (storage.USER, "devcluster"),
}
"""kubeconfig name → user and group; Kubernetes binds roles to the system: users by itself, except for the last two."""
KUBELET = Path("/var/lib/kubelet")
CSI_SOCKET = KUBELET / "plugins" / settings.CSI_DRIVER / "csi.sock"
CSI_FLAGS = ("--leader-election=false", "--kube-api-qps=50", "--kube-api-burst=100")


@dataclass(frozen=True)
class Component:
    """A program of the node and the files that must exist before it starts."""

    name: str
    command: list[str]
    needs: tuple[Path, ...] = ()


def components(state: Path) -> list[Component]:
    """In the order of starting."""
    address = settings.node_address()
    pki = state / "pki"
    certificate = pki / "apiserver.crt"
    kubeconfigs = {name: configuration.kubeconfig(state, name) for name in USERS}
    socket = state / "containerd" / "containerd.sock"
    return [
        Component(
            "etcd",
            [
                str(programs.path("etcd")),
                f"--data-dir={state / 'etcd'}",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--unsafe-no-fsync",
            ],
        ),
        Component(
            "kube-apiserver",
            [
                str(programs.path("kube-apiserver")),
                "--etcd-servers=http://127.0.0.1:2379",
                f"--secure-port={settings.APISERVER_PORT}",
                f"--bind-address={address}",
                f"--advertise-address={address}",
                f"--cert-dir={pki}",
                f"--service-cluster-ip-range={settings.services()}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={pki / 'sa.key'}",
                f"--service-account-signing-key-file={pki / 'sa.key'}",
                f"--token-auth-file={pki / 'tokens.csv'}",
                "--authorization-mode=Node,RBAC",
                "--allow-privileged=true",
                "--kubelet-preferred-address-types=InternalIP",
            ],
        ),
        Component(
            "containerd",
            [str(programs.path("containerd")), f"--config={state / 'containerd.toml'}"],
        ),
        Component(
            "kube-controller-manager",
            [
                str(programs.path("kube-controller-manager")),
                f"--kubeconfig={kubeconfigs['controller-manager']}",
                f"--service-account-private-key-file={pki / 'sa.key'}",
                f"--root-ca-file={certificate}",
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--secure-port=0",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
            (kubeconfigs["controller-manager"],),
        ),
        Component(
            "kube-scheduler",
            [
                str(programs.path("kube-scheduler")),
                f"--kubeconfig={kubeconfigs['scheduler']}",
                "--leader-elect=false",
                "--secure-port=0",
            ],
            (kubeconfigs["scheduler"],),
        ),
        Component(
            "kubelet",
            [
                str(programs.path("kubelet")),
                f"--config={state / 'kubelet.json'}",
                f"--kubeconfig={kubeconfigs['node']}",
                f"--hostname-override={settings.NODE}",
                f"--node-ip={address}",
                f"--root-dir={KUBELET}",
                f"--cert-dir={KUBELET / 'pki'}",
            ],
            (kubeconfigs["node"], socket),
        ),
        Component(
            "kube-proxy",
            [str(programs.path("kube-proxy")), f"--config={state / 'kube-proxy.json'}"],
            (kubeconfigs["proxy"],),
        ),
        Component(
            "coredns",
            [str(programs.path("coredns")), f"-conf={state / 'Corefile'}"],
            (kubeconfigs["dns"],),
        ),
        *_storage(state, kubeconfigs["storage"]),
    ]


def served(state: Path) -> Path:
    """A file that is there once the API server knows our objects and the kinds of snapshots."""
    return state / "served"


def _storage(state: Path, kubeconfig: Path) -> list[Component]:
    """The driver, and what makes PersistentVolumeClaims and VolumeSnapshots into calls of it."""
    helper = [f"--kubeconfig={kubeconfig}", *CSI_FLAGS]
    of_driver = [f"--csi-address={CSI_SOCKET}", "--timeout=60s"]
    no_groups = "--feature-gates=CSIVolumeGroupSnapshot=false"
    needs = (kubeconfig, served(state))
    return [
        Component(
            "csi-driver",
            [
                str(csibuild.python()),
                "-m",
                "devcluster.csi",
                f"--name={settings.CSI_DRIVER}",
                f"--node={settings.NODE}",
                f"--data={state / 'csi'}",
                f"--socket={CSI_SOCKET}",
                f"--registration-socket={KUBELET / 'plugins_registry' / settings.CSI_DRIVER}-reg.sock",
            ],
        ),
        Component("csi-provisioner", [str(programs.path("csi-provisioner")), *helper, *of_driver], needs),
        Component("csi-snapshotter", [str(programs.path("csi-snapshotter")), *helper, *of_driver, no_groups], needs),
        Component("snapshot-controller", [str(programs.path("snapshot-controller")), *helper, no_groups], needs),
    ]


def write_files(state: Path, snapshotter: str) -> None:
    """Everything the components read, except the kubeconfigs: those need the API server's certificate."""
    credentials.write_service_account_key(state / "pki" / "sa.key")
    tokens = {name: credentials.new_token() for name in USERS}
    credentials.write_private(state / "pki" / "tokens.json", json.dumps(tokens))
    credentials.write_tokens(
        state / "pki" / "tokens.csv", {user: (tokens[name], group) for name, (user, group) in USERS.items()}
    )
    for directory in ("cni", "containerd"):
        (state / directory).mkdir(exist_ok=True)
    for name, text in configuration.files(state, snapshotter).items():
        (state / name).write_text(text)


def write_kubeconfigs(state: Path) -> None:
    """One for each user, once the API server has made its certificate."""
    tokens = json.loads((state / "pki" / "tokens.json").read_text())
    for name in USERS:
        credentials.write_kubeconfig(
            configuration.kubeconfig(state, name), settings.server(), state / "pki" / "apiserver.crt", tokens[name]
        )


def admin_kubeconfig(state: Path) -> Path:
    """The one that users get."""
    return configuration.kubeconfig(state, "admin")
