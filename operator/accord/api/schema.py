"""From pydantic models to the structural OpenAPI v3 schema of a CRD.

Pydantic writes JSON Schema with `$ref`, unions with null, titles and exclusive bounds; the API server takes none of
them. What it takes: kubernetes.io, "Custom Resources", section "Specifying a structural schema".
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from accord.api.base import Model, Rule, format_duration
from accord.api.embedded import EMBEDDED
from accord.api.v1alpha1.meta import Resource

Schema = dict[str, Any]

_ORDER = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
    "x-kubernetes-preserve-unknown-fields",
    "required",
    "properties",
    "additionalProperties",
    "items",
)
"""Keywords that may stand in a schema, in the order in which they are written."""

_API_VERSION = "Version of the schema of this object: accord.dev/v1alpha1."
_KIND = "Kind of this object."


class _Generator(GenerateJsonSchema):
    """Pydantic's own generator, with what is easier to leave out than to take away again."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        cls = schema["cls"]
        # inspect.getdoc would inherit the docstring of the base class.
        if cls.__doc__:
            result["description"] = cls.__doc__
        if issubclass(cls, Model) and cls.rules:
            result["x-kubernetes-validations"] = [_rule(rule) for rule in cls.rules]
        return result

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return {"type": "string", "enum": [str(value) for value in schema["expected"]]}

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, Model):
            # The rest comes from the nested fields, in _fill_default.
            return dft.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return super().encode_default(dft)


def _rule(rule: Rule) -> Schema:
    """One entry of x-kubernetes-validations."""
    entry = {"rule": rule.rule, "message": rule.message}
    if rule.message_expression:
        entry["messageExpression"] = rule.message_expression
    if rule.field_path:
        entry["fieldPath"] = rule.field_path
    return entry


def structural_schema(model: type[Model], *, written_by: Literal["user", "operator"] = "user") -> Schema:
    """The structural schema of one model, with everything in it inlined.

    What the operator writes has neither defaults nor rules: a status must come back as it was written, and be written
    even where it holds a spec from before a rule was made.
    TypeError where the model says something that a CRD cannot hold, with the place of it.
    """
    raw = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    return _structural(raw, raw.get("$defs", {}), user=written_by == "user", path=model.__name__)


def resource_schema(kind: type[Resource]) -> Schema:
    """`openAPIV3Schema` of a kind."""
    schema: Schema = {
        "description": paragraph(inspect.getdoc(kind) or ""),
        "type": "object",
        "x-kubernetes-validations": [_rule(rule) for rule in kind.rules],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "kind": {"description": _KIND, "type": "string"},
            "metadata": {"type": "object"},
            "spec": structural_schema(part(kind, "spec")),
            "status": structural_schema(part(kind, "status"), written_by="operator"),
        },
    }
    return _ordered(schema)


def part(kind: type[Resource], name: Literal["spec", "status"]) -> type[Model]:
    """The model of a kind's spec or status."""
    annotation = kind.model_fields[name].annotation
    if not (isinstance(annotation, type) and issubclass(annotation, Model)):
        raise TypeError(f"{kind.__name__}.{name} must be a Model")
    return annotation


def paragraph(text: str) -> str:
    """A docstring as one line a paragraph."""
    parts = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return "\n\n".join(" ".join(part.split()) for part in parts)


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Schema], *, user: bool, path: str) -> Schema:
    """`node` and everything below it in structural form."""
    result = _inline(node, definitions)
    result.pop("$defs", None)
    result.pop("title", None)
    embedded = result.pop("x-accord-schema", None)
    if embedded is not None:
        result = {**copy.deepcopy(EMBEDDED[embedded]), "description": result.get("description", "")}
    if "anyOf" in result and "x-kubernetes-int-or-string" not in result:
        raise TypeError(f"{path}: a CRD cannot hold a union")
    _bounds(result, path)
    _default(result, user)
    if not user:
        result.pop("x-kubernetes-validations", None)
    if "description" in result:
        result["description"] = paragraph(result["description"])

    def below(child: Mapping[str, Any], name: str) -> Schema:
        return _structural(child, definitions, user=user, path=f"{path}.{name}")

    if "properties" in result:
        result["properties"] = {name: below(child, name) for name, child in result["properties"].items()}
    if "items" in result:
        result["items"] = below(result["items"], "[]")
        result.setdefault("x-kubernetes-list-type", _list_type(result, user=user))
    if isinstance(result.get("additionalProperties"), Mapping):
        result["additionalProperties"] = below(result["additionalProperties"], "*")
    _fill_default(result)
    foreign = result.keys() - set(_ORDER)
    if foreign:
        raise TypeError(f"{path}: a CRD cannot hold {', '.join(sorted(foreign))}")
    return _ordered(result)


def _inline(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """`node` with its reference resolved; what stands beside the reference wins over what it refers to."""
    if "$ref" not in node:
        return dict(node)
    target = definitions[node["$ref"].removeprefix("#/$defs/")]
    return {**_inline(target, definitions), **{key: value for key, value in node.items() if key != "$ref"}}


def _bounds(result: Schema, path: str) -> None:
    """Replaces an exclusive bound by the inclusive one that the field names for it."""
    inclusive = result.pop("x-accord-min", None)
    if "exclusiveMinimum" in result:
        if inclusive is None:
            raise TypeError(
                f"{path}: gt needs x-accord-min beside it, or a rule instead: CRDs have no exclusive bounds"
            )
        del result["exclusiveMinimum"]
        result["minimum"] = inclusive
    for key in ("minimum", "maximum"):
        if isinstance(result.get(key), float) and result[key].is_integer():
            result[key] = int(result[key])


def _default(result: Schema, wanted: bool) -> None:
    """Drops a default of null, or every one; a field may name the text of its default itself."""
    text = result.pop("x-accord-default", None)
    if text is not None:
        result["default"] = text
    if not wanted or result.get("default") is None:
        result.pop("default", None)
    if isinstance(result.get("default"), float) and result["default"].is_integer():
        result["default"] = int(result["default"])


def _fill_default(result: Schema) -> None:
    """Writes the default of an object out: the API server judges it by our rules before it fills in nested defaults."""
    if isinstance(result.get("default"), dict):
        nested = {name: child["default"] for name, child in result.get("properties", {}).items() if "default" in child}
        result["default"] = copy.deepcopy(nested | result["default"])


def _list_type(result: Schema, *, user: bool) -> str:
    """How server-side apply merges a list: by key, as a set of scalars, or not at all.

    What the operator writes it writes whole. And a merged list whose last item its owner takes away is left as null,
    which no schema allows (structured-merge-diff, typed/remove.go): only the conditions, which never end, are merged.
    """
    if "x-kubernetes-list-map-keys" in result:
        return "map"
    return "set" if user and result["items"]["type"] not in ("object", "array") else "atomic"


def _ordered(schema: Schema) -> Schema:
    return {key: schema[key] for key in _ORDER if key in schema}
