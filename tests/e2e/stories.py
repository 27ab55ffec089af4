"""Namespaces of their own for stories that the example has no part in: what is applied there, and how it goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from demo.steps.cluster import Cluster, Manifest, condition, wait_until
from demo.steps.errors import StepError
from demo.steps.images import Images

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
POD = {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
"""Security context that the restricted profile asks for; volumes are writable for the group."""


def readiness(path: str) -> Manifest:
    """A probe that is quick to see a pod come, and patient with one that waits for a busy machine."""
    return {"httpGet": {"path": path, "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 10}


@dataclass(frozen=True)
class Story:
    """One namespace."""

    cluster: Cluster
    images: Images
    namespace: str

    def begin(self) -> None:
        """The namespace, with nothing in it."""
        self.end()
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": RESTRICTED}}
        )

    def end(self) -> None:
        """The namespace goes, and everything in it."""
        self.ask_to_go()
        wait_until(f"namespace {self.namespace} is gone", self._gone, 120)

    def ask_to_go(self) -> None:
        """As `end`, without waiting: pods may take as long as their grace period."""
        found = self.cluster.get("Namespace", self.namespace)
        if found is not None and "deletionTimestamp" not in found["metadata"]:
            self.cluster.delete("Namespace", self.namespace)

    def _gone(self) -> bool:
        return self.cluster.get("Namespace", self.namespace) is None

    def apply(self, api_version: str, kind: str, name: str, spec: Manifest) -> Manifest:
        """Server-side apply of an object here."""
        meta = {"name": name, "namespace": self.namespace}
        return self.cluster.apply({"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec})

    def live(self, kind: str, name: str) -> Manifest:
        """An object as the API server has it; StepError where it is gone."""
        found = self.cluster.get(kind, name, self.namespace)
        if found is None:
            raise StepError(f"{kind} {self.namespace}/{name} is gone")
        return found

    def said(self, kind: str, name: str) -> str:
        """All conditions of an object, as one text."""
        entries = self.live(kind, name).get("status", {}).get("conditions", [])
        return "; ".join(f"{each['type']}={each['status']} {each['reason']}: {each['message']}" for each in entries)

    def until(self, what: str, true: Callable[[], object], seconds: float, kind: str, name: str) -> None:
        """Waits; where it does not come, the object's conditions say why."""
        wait_until(f"{self.namespace}: {what}", true, seconds, lambda: self.said(kind, name))

    def until_condition(self, kind: str, name: str, type_: str, status: str, reason: str, seconds: float) -> str:
        """Waits for a condition; its message."""

        def so() -> bool:
            entry = condition(self.live(kind, name), type_)
            return (entry.get("status"), entry.get("reason")) == (status, reason)

        self.until(f"{kind} {name} has {type_}={status} {reason}", so, seconds, kind, name)
        return str(condition(self.live(kind, name), type_)["message"])

    # What learns, and what serves it

    def learns(self, claim: Manifest | None = None) -> None:
        """A run that goes on for ever, slowly, and a policy that takes snapshots of it and serves the newest."""
        untrained = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
        self.apply("v1", "PersistentVolumeClaim", "untrained", untrained)
        self.run(env={"ACCORD_ENV": "accord/Ratings-v0", "ACCORD_STEPS_PER_SECOND": "60"}, claim=claim)
        follows = {
            "trainingRunRef": {"name": "r"},
            "serving": {"deploymentRef": {"name": "serve"}, "volume": "model", "minInterval": "10s"},
            "detection": {"interval": "2s"},
        }
        self.apply("accord.dev/v1alpha1", "CheckpointPolicy", "p", follows)

    def run(self, env: dict[str, str], *, claim: Manifest | None = None, **container: Any) -> None:
        """A TrainingRun named r. `container` are fields of the trainer's container; `others` containers beside it."""
        others = container.pop("others", [])
        trainer = {
            "name": "trainer",
            "image": self.images.trainer.reference,
            "env": [{"name": name, "value": value} for name, value in env.items()],
            "securityContext": _CONTAINER,
            **container,
        }
        spec = {
            "totalSteps": 100_000,
            "checkpoints": {"saveFrequency": 500, "volumeClaim": {"storage": "64Mi", **(claim or {})}},
            "monitoring": {"interval": "2s"},
            "template": {"spec": {"securityContext": POD, "containers": [trainer, *others]}},
        }
        self.apply("accord.dev/v1alpha1", "TrainingRun", "r", spec)

    def serves(self, *, replicas: int = 1, command: list[str] | None = None, **pod: Any) -> None:
        """Deployment serve, whose pods mount the claim; `pod` are more fields of its pods."""
        step = {"fieldRef": {"fieldPath": "metadata.annotations['accord.dev/checkpoint-step']"}}
        container = {
            **self.container("app", {"MODE": "balanced"}, **({"command": command} if command else {})),
            "readinessProbe": readiness("/healthz"),
            "volumeMounts": [{"name": "model", "mountPath": "/model"}],
        }
        container["env"].append({"name": "STEP", "valueFrom": step})
        self.deployment(
            "serve",
            {
                "securityContext": POD,
                "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "untrained"}}],
                "containers": [container],
                **pod,
            },
            replicas,
        )

    def container(self, name: str, env: dict[str, str], **fields: Any) -> Manifest:
        """A container of the example's image."""
        return {
            "name": name,
            "image": self.images.example.reference,
            "env": [{"name": key, "value": value} for key, value in env.items()],
            "securityContext": _CONTAINER,
            **fields,
        }

    def pod(self, name: str, container: Manifest, **more: Any) -> None:
        """A bare pod that runs once. `more`: `labels` of its metadata, and fields of its spec."""
        self.cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": self.namespace, "labels": more.pop("labels", {})},
                "spec": {"restartPolicy": "Never", "securityContext": POD, "containers": [container], **more},
            }
        )

    def deployment(self, name: str, pod: Manifest, replicas: int = 1) -> None:
        """A Deployment that waits long for its pods: where the machine is busy, they are slow and not at fault."""
        labels = {"app": name}
        spec = {
            "replicas": replicas,
            "progressDeadlineSeconds": 300,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        self.cluster.create(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": json.loads(json.dumps(spec)),
            }
        )

    def served(self) -> int:
        """The step that the status says is served; -1 before the first one."""
        serving = (self.live("CheckpointPolicy", "p").get("status") or {}).get("serving") or {}
        return int(serving.get("step") or -1)

    def quarantined(self) -> list[str]:
        """Names of the snapshots that are never served again."""
        found = self.cluster.find("VolumeSnapshot", self.namespace, "accord.dev/policy=p,accord.dev/quarantined")
        return [each["metadata"]["name"] for each in found]

    def lose_patience(self) -> None:
        """From now on serve gives up the wait for its pods after 20 s."""
        self.cluster.patch("Deployment", "serve", self.namespace, {"spec": {"progressDeadlineSeconds": 20}})

    def gave_up(self) -> bool:
        """Whether the Deployment controller has: the progress deadline of serve is over."""
        return condition(self.live("Deployment", "serve"), "Progressing").get("reason") == "ProgressDeadlineExceeded"
