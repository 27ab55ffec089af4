"""The CheckpointPolicy of the example, as a user handles it, and what its Deployment really serves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from demo.steps.cluster import ApiError, Cluster, Manifest, wait_until
from demo.steps.errors import StepError
from demo.steps.training import Training

STEP_ANNOTATION = "accord.dev/checkpoint-step"
SNAPSHOT_API = "/apis/snapshot.storage.k8s.io/v1"


class Checkpoints:
    """One CheckpointPolicy in the cluster, the run whose checkpoints they are, and the Deployment that serves them.

    `service` is the Service by which that Deployment is reached.
    """

    def __init__(
        self, cluster: Cluster, manifest: Manifest, training: Training, deployment: Manifest, service: str
    ) -> None:
        self._cluster, self._manifest, self._deployment, self._service = cluster, manifest, deployment, service
        self.training = training
        self.name: str = manifest["metadata"]["name"]
        self.namespace: str = manifest["metadata"]["namespace"]
        self.deployment: str = deployment["metadata"]["name"]

    def start(self) -> None:
        """Run and policy, as their files have them."""
        if not self._cluster.serves(SNAPSHOT_API):
            raise StepError(
                "this cluster has no VolumeSnapshots: install external-snapshotter, and a CSI driver that can take them"
            )
        self.training.apply()
        self._cluster.apply(self._manifest)

    def delete(self) -> None:
        """The policy goes."""
        if self._cluster.get("CustomResourceDefinition", "checkpointpolicies.accord.dev") is not None:
            self._delete("CheckpointPolicy", [self.name])

    def let_go(self) -> None:
        """The policy goes, and so does the word to serve a checkpoint, which it leaves where it was."""
        self.delete()
        if self._cluster.get("Deployment", self.deployment, self.namespace) is not None:
            bare = {"spec": {"template": {"metadata": {"annotations": {STEP_ANNOTATION: None}}}}}
            self._cluster.patch("Deployment", self.deployment, self.namespace, bare)

    def clear(self) -> None:
        """Run, claims and snapshots go. Nothing may serve them any more."""
        self.training.delete()
        made = f"accord.dev/policy={self.name}"
        for kind in ("PersistentVolumeClaim", "VolumeSnapshot"):
            if kind != "VolumeSnapshot" or self._cluster.serves(SNAPSHOT_API):
                found = self._cluster.find(kind, self.namespace, made)
                self._delete(kind, [each["metadata"]["name"] for each in found])

    def reset(self) -> None:
        """All as it was before the start."""
        self.let_go()
        self._cluster.apply(self._deployment)
        self._cluster.wait_rolled_out(self.deployment, self.namespace)
        self.clear()

    def _delete(self, kind: str, names: list[str]) -> None:
        for name in names:
            self._cluster.delete(kind, name, self.namespace)
        for name in names:
            wait_until(
                f"{kind} {name} is gone", lambda name=name: self._cluster.get(kind, name, self.namespace) is None, 60
            )

    def live(self) -> Manifest:
        """The object as the API server has it."""
        live = self._cluster.get("CheckpointPolicy", self.name, self.namespace)
        if live is None:
            raise StepError(f"CheckpointPolicy {self.namespace}/{self.name} is gone")
        return live

    def status(self) -> Manifest:
        """`status` of the live object."""
        return dict(self.live().get("status") or {})

    def snapshots(self) -> list[int]:
        """Steps of the VolumeSnapshots that can be restored, in order."""
        found = self._cluster.find("VolumeSnapshot", self.namespace, f"accord.dev/policy={self.name}")
        ready = [snapshot for snapshot in found if (snapshot.get("status") or {}).get("readyToUse")]
        return sorted(int(snapshot["metadata"]["labels"]["accord.dev/step"]) for snapshot in ready)

    def wanted_step(self) -> int | None:
        """The step in the pod template of the serving Deployment; None before the first promotion."""
        live = self._cluster.get("Deployment", self.deployment, self.namespace) or {}
        annotations = live["spec"]["template"]["metadata"].get("annotations") or {} if live else {}
        step = annotations.get(STEP_ANNOTATION)
        return int(step) if step else None

    def answered_step(self) -> int | None:
        """The step that an answer of the served mode names; None where the answer is none."""
        path = f"/api/v1/namespaces/{self.namespace}/services/{self._service}:80/proxy/generate"
        try:
            answer: dict[str, Any] = json.loads(self._cluster.request("GET", path))
        except ApiError:
            return None
        return int(answer["checkpointStep"])

    def explain(self) -> str:
        """What policy and run say of themselves, for a reader who wonders why nothing happens."""
        status = self.status()
        said = [
            f"{entry['type']}={entry['status']} {entry.get('reason')}: {entry.get('message', '')}"
            for entry in status.get("conditions", [])
        ]
        verdict = status.get("detection") or {}
        checked = f"last check: {verdict.get('outcome')} {verdict.get('message', '')}"
        return "; ".join([*said, checked, self.training.explain()])


@dataclass(frozen=True)
class Stage:
    """One line of the table: what came true, and how many seconds after the stage before it."""

    what: str
    seconds: float


class Stages:
    """Waits for one thing after the other and keeps the times."""

    def __init__(self, explain: Callable[[], str]) -> None:
        self._explain = explain
        self._began = self._last = time.monotonic()
        self.table: list[Stage] = []

    def until(self, what: str, true: Callable[[], bool], seconds: float) -> None:
        """The next stage. StepError with an explanation where it does not come within `seconds`."""
        wait_until(what, true, seconds, self._explain, every=0.1)
        now = time.monotonic()
        self.table.append(Stage(what, now - self._last))
        self._last = now

    @property
    def total(self) -> float:
        """Seconds from the begin to the last stage."""
        return self._last - self._began

    @property
    def text(self) -> str:
        """A line a stage, under the claim."""
        return "\n       ".join(f"{stage.seconds:6.1f} s  {stage.what}" for stage in self.table)
