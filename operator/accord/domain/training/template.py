"""The pod of an attempt: the user's template, passed through whole, with the contract added to the container `trainer`.

Where the template says something else about what the contract needs, the contract wins; `overridden` tells the user.
"""

from __future__ import annotations

import copy
import posixpath

from accord.api.base import Manifest
from accord.api.v1alpha1.trainingrun import TRAINER_CONTAINER, TrainingRun
from accord.domain.training import contract, names
from accord.domain.training.restart import Restart


def trainer_of(run: TrainingRun) -> Manifest | None:
    """The container that trains, as the template has it; None where there is none."""
    containers = (run.spec.template.get("spec") or {}).get("containers") or ()
    return next((dict(container) for container in containers if container.get("name") == TRAINER_CONTAINER), None)


def overridden(run: TrainingRun) -> tuple[str, ...]:
    """What of the template is replaced, in words."""
    pod, trainer = run.spec.template.get("spec") or {}, trainer_of(run) or {}
    ours = {variable.name for variable in contract.VARIABLES}
    clashes = [entry["name"] for entry in trainer.get("env") or () if entry.get("name") in ours]
    found = [f"env {name} of container {TRAINER_CONTAINER}" for name in clashes]
    if pod.get("restartPolicy") not in (None, "Never"):
        found.append(f"restartPolicy {pod['restartPolicy']} (failed pods are replaced up to spec.backoffLimit instead)")
    if any(_is_ours(mount) for mount in trainer.get("volumeMounts") or ()):
        found.append(f"the mount at {contract.CHECKPOINT_DIR}")
    if any(volume.get("name") == names.VOLUME for volume in pod.get("volumes") or ()):
        found.append(f"volume {names.VOLUME}")
    return tuple(found)


def pod_template(run: TrainingRun, attempt: int, claim: str, restart: Restart | None = None) -> Manifest:
    """`spec.template` of the attempt's Job (core/v1 PodTemplateSpec)."""
    template: Manifest = copy.deepcopy(run.spec.template)
    meta = dict(template.get("metadata") or {})
    meta["labels"] = {**(meta.get("labels") or {}), **names.labels(run.metadata.name, attempt)}
    spec = dict(template.get("spec") or {})
    # A pod that is restarted in place has no reason that anybody could read; and a podFailurePolicy demands it.
    spec["restartPolicy"] = "Never"
    spec["volumes"] = [
        *(volume for volume in spec.get("volumes") or () if volume.get("name") != names.VOLUME),
        {"name": names.VOLUME, "persistentVolumeClaim": {"claimName": claim}},
    ]
    spec["containers"] = [
        _trainer(run, attempt, container, restart) if container.get("name") == TRAINER_CONTAINER else container
        for container in spec.get("containers") or ()
    ]
    return {**template, "metadata": meta, "spec": spec}


def _trainer(run: TrainingRun, attempt: int, container: Manifest, restart: Restart | None) -> Manifest:
    named = None if restart is None else restart.resume_from
    env = contract.environment(run, attempt=attempt, resume_from=named)
    ours = {entry["name"] for entry in env}
    return {
        **container,
        "env": [*(entry for entry in container.get("env") or () if entry.get("name") not in ours), *env],
        "volumeMounts": [
            *(mount for mount in container.get("volumeMounts") or () if not _is_ours(mount)),
            {"name": names.VOLUME, "mountPath": contract.CHECKPOINT_DIR},
        ],
        "ports": _ports(container, run.spec.monitoring.port),
    }


def _ports(container: Manifest, number: int) -> list[Manifest]:
    """The user's ports, and that of the metrics where it is not among them."""
    ports = list(container.get("ports") or ())
    if any(port.get("containerPort") == number for port in ports):
        return ports
    taken = any(port.get("name") == names.METRICS_PORT_NAME for port in ports)
    name = {} if taken else {"name": names.METRICS_PORT_NAME}
    return [*ports, {**name, "containerPort": number, "protocol": "TCP"}]


def _is_ours(mount: Manifest) -> bool:
    where = posixpath.normpath(mount.get("mountPath") or ".")
    return where == contract.CHECKPOINT_DIR or mount.get("name") == names.VOLUME
