"""The operator, from outside: its pods and its Lease."""

from __future__ import annotations

import time

from demo.steps.cluster import Cluster, Manifest, wait_until


class Operator:
    """The operator's Deployment and Lease."""

    def __init__(self, cluster: Cluster, namespace: str, name: str = "accord") -> None:
        self._cluster = cluster
        self.namespace = namespace
        self.name = name
        self.replicas = 2

    def pods(self) -> list[Manifest]:
        """Its pods that are ready."""
        return self._cluster.ready_pods(self.namespace, self.selector())

    def selector(self) -> str:
        """Labels of its pods."""
        return (
            f"app.kubernetes.io/name=accord,app.kubernetes.io/instance={self.name},app.kubernetes.io/component=operator"
        )

    def leader(self) -> str:
        """Name of the pod that holds the Lease, empty when nobody does."""
        lease = self._cluster.get("Lease", self.name, self.namespace) or {}
        return str(lease.get("spec", {}).get("holderIdentity") or "").split("_")[0]

    def stop(self, seconds: float = 60) -> None:
        """Scales to zero and waits until no pod is left."""
        self._cluster.scale(self.name, self.namespace, 0)
        wait_until(
            "the operator is down",
            lambda: not self._cluster.find("Pod", self.namespace, self.selector()),
            seconds,
        )

    def start(self, seconds: float = 90) -> float:
        """Scales back and waits until all replicas are ready; returns the seconds that took."""
        began = time.monotonic()
        self._cluster.scale(self.name, self.namespace, self.replicas)
        self._cluster.wait_rolled_out(self.name, self.namespace, seconds)
        return time.monotonic() - began
