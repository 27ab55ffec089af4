"""Only the control plane: etcd, kube-apiserver and kube-controller-manager, for tests that need no pods to run.

Needs no root. Several may run at once: everything is on free ports of 127.0.0.1 and in a directory of its own. The
processes die with the one that started them, however it ends (PR_SET_PDEATHSIG).

    with ControlPlane() as cluster:
        print(cluster.kubectl("get", "namespaces"))

Start it from a thread that lives as long as the cluster is needed: Linux sends the signal when the *thread* ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from devcluster import credentials, programs, tied
from devcluster.errors import DevclusterError
from devcluster.kubectl import Kubectl, KubectlError
from devcluster.ports import free_ports
from devcluster.progress import Progress
from devcluster.scratch import Scratch
from devcluster.waiting import wait_for

SERVICE_RANGE = "10.96.0.0/16"
ATTEMPTS = 3
"""A port that was free a moment ago may be taken when the program binds it; then everything starts over."""


class ControlPlane:
    """A throw-away control plane. `kubeconfig` and `kubectl` are valid between `start` and `stop`."""

    def __init__(self, directory: Path | str | None = None, *, audited: bool = False) -> None:
        """`directory` keeps the data and logs; by default a temporary one that `stop` removes. `audited`: the requests
        of service accounts are recorded, see `requests`.
        """
        self._audited = audited
        self._given = Path(directory) if directory is not None else None
        self._scratch: Scratch | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._tokens = {"admin": credentials.new_token()}
        self.directory: Path = self._given if self._given is not None else Path()
        self.server = ""

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def kubectl(self) -> Kubectl:
        """`kubectl("apply", "-f", "-", input=manifest) -> str`."""
        return Kubectl(self.kubeconfig)

    def start(self, progress: Progress | None = None) -> ControlPlane:
        """Start it and wait until controllers work: a few seconds once the programs are built."""
        programs.ensure(programs.CONTROL_PLANE, progress if progress is not None else Progress())
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._start()
                return self
            except DevclusterError:
                port_taken = self._said("address already in use")
                self.stop()
                if not port_taken or attempt == ATTEMPTS:
                    raise
            except BaseException:
                self.stop()
                raise
        raise AssertionError("not reached")

    def stop(self) -> None:
        """End all processes at once (there is no data to save) and remove the temporary directory."""
        for process in reversed(list(self._processes.values())):
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    def pause_apiserver(self) -> None:
        """The API server stops answering; connections stay open, requests hang (SIGSTOP)."""
        self._processes["kube-apiserver"].send_signal(signal.SIGSTOP)

    def resume_apiserver(self) -> None:
        """Undo `pause_apiserver`; requests that waited are answered now."""
        self._processes["kube-apiserver"].send_signal(signal.SIGCONT)

    def stop_apiserver(self) -> None:
        """The API server is gone: connections break and new ones are refused."""
        process = self._processes.pop("kube-apiserver")
        process.kill()
        process.wait()

    def start_apiserver(self) -> None:
        """Bring it back on the same address with the same data, certificates and tokens."""
        self._spawn("kube-apiserver", *self._apiserver_flags())
        wait_for("kube-apiserver", self._apiserver_ready, seconds=60)

    def wait(self) -> None:
        """Return when one of the processes has ended."""
        while all(process.poll() is None for process in self._processes.values()):
            time.sleep(1)

    def log(self, component: str) -> str:
        """What the component wrote so far."""
        file = self.directory / "logs" / f"{component}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def recorded(self) -> int:
        """Where the record of requests ends now, in bytes."""
        file = self._audit_log
        return file.stat().st_size if file.exists() else 0

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """What service accounts have asked for since the record ended there, answered: audit.k8s.io/v1 Events of level
        Metadata.

        The API server writes each before it sends the answer (audit-log-mode `blocking`, the default).
        """
        if not self._audit_log.exists():
            return []
        with self._audit_log.open("rb") as file:
            file.seek(since)
            return [json.loads(line) for line in file]

    @property
    def _audit_log(self) -> Path:
        return self.directory / "logs" / "audit.json"

    def __enter__(self) -> ControlPlane:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        if self._given is None:
            self._scratch = Scratch("accord-control-plane-")
            self.directory = self._scratch.path
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)
        self._etcd, self._etcd_peer, self._port = free_ports(3)
        self.server = f"https://127.0.0.1:{self._port}"
        credentials.write_service_account_key(self.directory / "pki" / "sa.key")
        credentials.write_tokens(
            self.directory / "pki" / "tokens.csv", {"admin": (self._tokens["admin"], "system:masters")}
        )
        self._spawn(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{self._etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{self._etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{self._etcd_peer}",
            "--unsafe-no-fsync",
        )
        certificate = self.directory / "pki" / "apiserver.crt"
        key = certificate.with_suffix(".key")  # written last: then the certificate is whole
        for old in (certificate, key):
            old.unlink() if old.exists() else None
        self._spawn("kube-apiserver", *self._apiserver_flags())
        wait_for("the API server's certificate", lambda: self._alive() and key.exists(), seconds=60)
        wait_for("kube-apiserver", self._apiserver_ready, seconds=60)
        credentials.write_kubeconfig(self.kubeconfig, self.server, certificate, self._tokens["admin"])
        self._spawn("kube-controller-manager", *self._controller_manager_flags())
        wait_for("kube-controller-manager", self._controllers_work, seconds=60, every=0.25)

    def _apiserver_flags(self) -> list[str]:
        pki = self.directory / "pki"
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd}",
            f"--secure-port={self._port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={pki}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'sa.key'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--token-auth-file={pki / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            *(self._audit_flags() if self._audited else ()),
        ]

    def _audit_flags(self) -> list[str]:
        policy = self.directory / "audit-policy.json"
        recorded = {"level": "Metadata", "userGroups": ["system:serviceaccounts"]}
        body = {"omitStages": ["RequestReceived", "ResponseStarted"], "rules": [recorded, {"level": "None"}]}
        policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **body}))
        return [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self._audit_log}",
            # as one file, whatever its size
            "--audit-log-maxsize=0",
        ]

    def _controller_manager_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self.directory / 'pki' / 'sa.key'}",
            f"--root-ca-file={self.directory / 'pki' / 'apiserver.crt'}",
            "--use-service-account-credentials=false",
            "--leader-elect=false",
            "--secure-port=0",
            # Every 20 s it sets the phase Failed on pods that are told to go and have no node. Here none has one, and
            # whoever plays the kubelet says when a pod has ended.
            "--controllers=*,-pod-garbage-collector-controller",
            # its default of 20 requests a second would be what a test of 1,000 objects measures
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]

    def _spawn(self, program: str, *arguments: str) -> None:
        logs = self.directory / "logs"
        logs.mkdir(exist_ok=True)
        self._processes[program] = tied.start(
            [programs.path(program), *arguments],
            logs / f"{program}.log",
            cwd=self.directory,
            env={**os.environ, "KUBECONFIG": ""},
        )

    def _alive(self) -> bool:
        for program, process in self._processes.items():
            if process.poll() is not None:
                lines = self.log(program).strip().splitlines()
                raise DevclusterError(f"{program} ended at once: {lines[-1] if lines else 'no output'}")
        return True

    def _said(self, text: str) -> bool:
        return any(text in self.log(program) for program in self._processes)

    def _apiserver_ready(self) -> bool:
        self._alive()
        request = urllib.request.Request(
            f"{self.server}/readyz", headers={"Authorization": f"Bearer {self._tokens['admin']}"}
        )
        context = ssl.create_default_context(cafile=str(self.directory / "pki" / "apiserver.crt"))
        try:
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _controllers_work(self) -> bool:
        self._alive()
        try:
            account = json.loads(self.kubectl("get", "serviceaccount", "default", "-n", "default", "-o", "json"))
        except KubectlError:
            return False
        return bool(account["metadata"]["name"] == "default")
