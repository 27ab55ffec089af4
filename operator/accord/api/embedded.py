"""Schemas of core Kubernetes types inside our own.

A field marked `x-accord-schema` holds an object whose schema is Kubernetes' business. Small and stable types are
spelled out. A pod template is not: whatever the cluster's version knows must pass through, so only what our own rules
look at is declared, with the list keys that server-side apply needs to merge, and the rest is preserved. The API
server judges the rest when the Job is created.
"""

from __future__ import annotations

from typing import Any

from accord.api.base import QUANTITY_PATTERN

_PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}
_MOST_SECONDS = 2**31
_NAME = {"type": "string", "minLength": 1, "maxLength": 63}
_STRING_MAP = {
    "type": "object",
    "maxProperties": 128,
    "additionalProperties": {"type": "string", "maxLength": 16384},
}
_QUANTITIES = {
    "type": "object",
    "maxProperties": 32,
    "additionalProperties": {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": QUANTITY_PATTERN,
        "maxLength": 32,
    },
}


def _named_list(items: int, **keywords: Any) -> dict[str, Any]:
    return {
        "type": "array",
        "maxItems": items,
        **keywords,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {"name": _NAME}, **_PRESERVE},
    }


EMBEDDED: dict[str, dict[str, Any]] = {
    "Affinity": {"type": "object", **_PRESERVE},
    "Tolerations": {
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "properties": {
                "key": {"type": "string", "maxLength": 317},
                "operator": {"type": "string", "enum": ["Exists", "Equal", "Lt", "Gt"]},
                "value": {"type": "string", "maxLength": 63},
                "effect": {"type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
                "tolerationSeconds": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": -_MOST_SECONDS,
                    "maximum": _MOST_SECONDS,
                },
            },
        },
    },
    "ResourceRequirements": {
        "type": "object",
        "properties": {
            "limits": {"description": "The most that the container may use.", **_QUANTITIES},
            "requests": {"description": "What is set aside for the container.", **_QUANTITIES},
            "claims": {
                "description": "Entries of the pod's resourceClaims that the container uses.",
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": _NAME, "request": {"type": "string", "maxLength": 63}},
                },
            },
        },
    },
    "PodTemplateSpec": {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "metadata": {
                "type": "object",
                "properties": {"labels": _STRING_MAP, "annotations": _STRING_MAP},
                **_PRESERVE,
            },
            "spec": {
                "type": "object",
                "required": ["containers"],
                "properties": {
                    "containers": _named_list(64, minItems=1),
                    "initContainers": _named_list(64),
                    "volumes": _named_list(256),
                    "restartPolicy": {
                        "description": "As a Job allows it; Never when not given.",
                        "type": "string",
                        "enum": ["Never", "OnFailure"],
                    },
                },
                **_PRESERVE,
            },
        },
    },
}
"""Structural schema by the name that a field's `x-accord-schema` gives."""
