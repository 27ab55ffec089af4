"""The shape of Kubernetes' own objects, as far as a plan reads them. All else about them is the API server's business.

A pod template in an object of ours is one of them: our schema lets it through, and the API server judges it later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from accord.api.base import Manifest
from accord.api.structural import FieldError, check, defaulted
from accord.api.v1alpha1.meta import API_VERSION
from accord.api.v1alpha1.trainingrun import TrainingRun

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_AMOUNT: Schema = {"x-kubernetes-int-or-string": True}
_LABELS: Schema = {"type": "object", "additionalProperties": _TEXT}
_QUANTITY: Schema = {
    **_AMOUNT,
    "pattern": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$",
}
"""As `resource.ParseQuantity` of k8s.io/apimachinery reads them: `400M`, and not `400MB`."""
_AMOUNTS: Schema = {"type": "object", "additionalProperties": _QUANTITY}


def _object(*required: str, **properties: Schema) -> Schema:
    whole: Schema = {"type": "object", "properties": properties, "x-kubernetes-preserve-unknown-fields": True}
    return {**whole, "required": list(required)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_METADATA = _object(labels=_LABELS, annotations=_LABELS, uid=_TEXT, generation=_WHOLE)
_HEADER = _object("name", name=_TEXT, value=_TEXT)
_PROBE = _object(
    httpGet=_object("port", path=_TEXT, port=_AMOUNT, host=_TEXT, scheme=_TEXT, httpHeaders=_list(_HEADER))
)
_CONTAINER = _object(
    "name",
    name=_TEXT,
    env=_list(_object("name", name=_TEXT, value=_TEXT)),
    ports=_list(_object("containerPort", name=_TEXT, containerPort=_WHOLE)),
    volumeMounts=_list(_object("name", "mountPath", name=_TEXT, mountPath=_TEXT, subPath=_TEXT)),
    readinessProbe=_PROBE,
    resources=_object(requests=_AMOUNTS, limits=_AMOUNTS),
    restartPolicy=_TEXT,
)
_VOLUME = _object("name", name=_TEXT, persistentVolumeClaim=_object("claimName", claimName=_TEXT))
_POD = _object(containers=_list(_CONTAINER), initContainers=_list(_CONTAINER), volumes=_list(_VOLUME))
_TEMPLATE = _object(metadata=_object(labels=_LABELS, annotations=_LABELS), spec=_POD)
_CONDITION = _object(type=_TEXT, status=_TEXT, reason=_TEXT, message=_TEXT)
_REPLICAS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
_DEPLOYMENT = {
    "spec": _object(
        "selector",
        selector=_object(matchLabels=_LABELS, matchExpressions=_list(_object())),
        replicas=_WHOLE,
        template=_TEMPLATE,
        strategy=_object(type=_TEXT, rollingUpdate=_object(maxSurge=_AMOUNT, maxUnavailable=_AMOUNT)),
        paused={"type": "boolean"},
        progressDeadlineSeconds=_WHOLE,
    ),
    "status": _object(conditions=_list(_CONDITION), **dict.fromkeys(_REPLICAS, _WHOLE)),
}
_CLAIM = {
    "spec": _object(
        accessModes=_list(_TEXT),
        resources=_object(requests=_AMOUNTS),
        storageClassName=_TEXT,
        volumeMode=_TEXT,
        dataSource=_object("kind", "name", kind=_TEXT, name=_TEXT),
    ),
    "status": _object(phase=_TEXT, capacity=_AMOUNTS),
}
_SHAPES: dict[tuple[str, str], dict[str, Schema]] = {
    ("apps/v1", "Deployment"): _DEPLOYMENT,
    ("v1", "PersistentVolumeClaim"): _CLAIM,
    (API_VERSION, TrainingRun.kind): {
        "spec": _object(
            template=_TEMPLATE,
            engine=_object(ray=_object(workers=_list(_object(template=_TEMPLATE)))),
        )
    },
}


def misshapen(manifest: Manifest) -> Iterator[FieldError]:
    """What a plan could not read."""
    shapes = {"metadata": _METADATA, **_SHAPES.get((manifest["apiVersion"], manifest["kind"]), {})}
    for field, schema in shapes.items():
        value = manifest.get(field)
        if value is not None or field == "spec":
            yield from check(defaulted({} if value is None else value, schema), schema, field)
