"""What KubeRay or Ray cannot do, or would do in another way than the run asks: said before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from accord.api.v1alpha1.trainingrun import Ray, TrainingRun
from accord.domain.training import contract, queueing
from accord.domain.training.template import trainer_of
from accord.domain.training.views import Problem

REASON = "NotSupported"
DASHBOARD = 8265
_WORKER_PORTS = range(10002, 20000)
"""What Ray takes for its workers (docs.ray.io, "Configuring Ray", --min-worker-port and --max-worker-port)."""
PORTS = {"gcs-server": 6379, "dashboard": DASHBOARD, "client": 10001}
"""Ports of the head by the names by which KubeRay puts them into its Service."""
_HEAD_PORTS = {6379: "GCS", 8080: "metrics", DASHBOARD: "dashboard", 10001: "client", 52365: "agent"}
_OURS = ("address", "block", "dashboard-agent-listen-port", "dashboard-host", "dashboard-port", "head", "port")
"""Parameters of `ray start` that KubeRay gives, or that the ports above follow from."""
_REFERENCE = re.compile(r"(?<!\$)\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
"""How Kubernetes writes a variable in a command."""


def unsupported(run: TrainingRun, ray: Ray) -> Problem | None:
    """Everything of this spec that cannot be honoured; None where all can be."""
    found = "; ".join(_found(run, ray))
    return Problem(REASON, found) if found else None


def _found(run: TrainingRun, ray: Ray) -> Iterator[str]:
    name, port = run.metadata.name, run.spec.monitoring.port
    if not name[0].isalpha():
        yield f"metadata.name {name}: a RayJob is named after the run, and its name must start with a letter"
    if port in _WORKER_PORTS:
        yield f"spec.monitoring.port {port}: Ray uses 10002 to 19999 for its workers; use another port, such as 8000"
    elif port in _HEAD_PORTS:
        yield f"spec.monitoring.port {port}: it is the port of Ray's {_HEAD_PORTS[port]}; use another one, such as 8000"
    if queueing.queue(run) is not None:
        yield (
            "spec.queueName: a RayJob cannot be queued yet, because Kueue admits it again before the pods of its last "
            "admission have ended; remove it, or use engine type Job"
        )
    yield from _of_trainer(run)
    groups = ((f"spec.engine.ray.workers[{n}].startParams", w.start_params) for n, w in enumerate(ray.workers))
    for field, params in (("spec.engine.ray.startParams", ray.start_params), *groups):
        for taken in sorted(set(params) & set(_OURS)):
            yield f"{field}.{taken}: KubeRay or Accord sets it; remove it"


def _of_trainer(run: TrainingRun) -> Iterator[str]:
    trainer = trainer_of(run) or {}
    if not trainer.get("command"):
        yield (
            "spec.template: container trainer needs a command: it is submitted to Ray as the job, and the entrypoint "
            "of the image is not used"
        )
    known = {variable.name for variable in contract.VARIABLES}
    known |= {entry.get("name") for entry in trainer.get("env") or ()}
    words = " ".join(map(str, (*(trainer.get("command") or ()), *(trainer.get("args") or ()))))
    used = sorted(set(_REFERENCE.findall(words)) & known)
    if used:
        yield (
            f"spec.template: $({used[0]}) in the command of container trainer is not replaced on Ray; read the "
            f"variable in the program, or use a shell: sh -c 'exec program \"${used[0]}\"'"
        )
    for port in trainer.get("ports") or ():
        name, number = port.get("name") or "", port.get("containerPort")
        if PORTS.get(name, number) != number or (number in _HEAD_PORTS and PORTS.get(name) != number):
            yield f"spec.template: port {f'{name} ' if name else ''}{number} of container trainer is Ray's; remove it"
    if (trainer.get("lifecycle") or {}).get("preStop"):
        yield "spec.template: lifecycle.preStop of container trainer is needed to stop the Ray job; remove it"
