"""Judges a manifest without a cluster, by the same schema and the same CEL rules as the API server.

The rules are evaluated by the `cel` package (common-expression-language, a CEL interpreter in Rust). Of Kubernetes'
additions to CEL only `sum` and `format` are used by our rules; they are supplied here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from accord.api.base import Manifest
from accord.api.schema import resource_schema
from accord.api.structural import FieldError, check, defaulted, unknown_field
from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.meta import API_VERSION, DNS_SUBDOMAIN_PATTERN, Resource

__all__ = ["FieldError", "stored", "validate"]

_WORDS_OF_CEL = frozenset(
    {
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return"),
    }
)

_METADATA = dict.fromkeys(
    (
        *("name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences"),
        *("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"),
        *("deletionGracePeriodSeconds", "managedFields", "selfLink"),
    )
)
_TOP = dict.fromkeys(("apiVersion", "kind", "metadata", "spec", "status"))


def validate(manifest: Manifest, old: Manifest | None = None) -> list[FieldError]:
    """Everything that the API server would refuse in `manifest`, or kubectl in strict mode; empty when it is good.

    Transition rules are judged only where `old` gives the object as it is. As on the API server, rules are looked at
    once the schema is satisfied. The status is not looked at, because applying a manifest does not write it.
    """
    kind = _kind(manifest)
    if isinstance(kind, FieldError):
        return [kind]
    errors = list(_check_envelope(manifest))
    schema = _schema(kind)
    complete = stored(manifest)
    properties = schema["properties"]
    if "spec" in complete:
        errors += check(complete["spec"], properties["spec"], "spec")
    else:
        errors.append(FieldError("spec", "is required"))
    if errors:
        return errors
    before = stored(old) if old is not None else None
    visible = {**schema, "properties": {"metadata": _VISIBLE_METADATA, "spec": properties["spec"]}}
    return list(_judge(complete, before, visible, ""))


def stored(manifest: Manifest) -> Manifest:
    """`manifest` as the API server would store it, with defaults filled in. Its kind must be one of ours."""
    kind = _kind(manifest)
    if isinstance(kind, FieldError):
        raise ValueError(str(kind))
    spec = _schema(kind)["properties"]["spec"]
    result = {key: value for key, value in manifest.items() if value is not None}
    if "spec" in result:
        result["spec"] = defaulted(result["spec"], spec)
    return result


_VISIBLE_METADATA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}
"""The part of metadata that CEL rules may see."""


def _kind(manifest: Manifest) -> type[Resource] | FieldError:
    if manifest.get("apiVersion") != API_VERSION:
        return FieldError("apiVersion", f"must be {API_VERSION}, not {manifest.get('apiVersion')!r}")
    name = manifest.get("kind")
    for kind in KINDS:
        if kind.kind == name:
            return kind
    return FieldError("kind", f"must be one of {', '.join(kind.kind for kind in KINDS)}, not {name!r}")


@functools.cache
def _schema(kind: type[Resource]) -> dict[str, Any]:
    return resource_schema(kind)


def _check_envelope(manifest: Manifest) -> Iterator[FieldError]:
    """What every Kubernetes object must have around its spec."""
    for key in manifest.keys() - _TOP.keys():
        yield unknown_field(str(key), str(key), _TOP)
    metadata = manifest.get("metadata")
    if not isinstance(metadata, Mapping):
        yield FieldError("metadata", "is required")
        return
    for key in metadata.keys() - _METADATA.keys():
        yield unknown_field(f"metadata.{key}", str(key), _METADATA)
    name = metadata.get("name")
    text = {"type": "string", "minLength": 1, "maxLength": 253, "pattern": DNS_SUBDOMAIN_PATTERN}
    if name is None:
        yield FieldError("metadata.name", "is required")
    else:
        yield from check(name, text, "metadata.name")
    for field in ("labels", "annotations"):
        strings = {"type": "object", "additionalProperties": {"type": "string"}}
        if metadata.get(field) is not None:
            yield from check(metadata[field], strings, f"metadata.{field}")


def _judge(value: Any, old: Any, schema: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    """Evaluates the rules of `schema` and of everything below it."""
    for rule in schema.get("x-kubernetes-validations", ()):
        transition = re.search(r"\boldSelf\b", rule["rule"]) is not None
        if not transition or old is not None:
            yield from _evaluate(rule, _visible(value, schema), _visible(old, schema), path)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _judge(item, None, schema["items"], f"{path}[{index}]")
    elif isinstance(value, Mapping):
        before = old if isinstance(old, Mapping) else {}
        for name, child in schema.get("properties", {}).items():
            if name in value:
                yield from _judge(value[name], before.get(name), child, f"{path}.{name}".removeprefix("."))


def _visible(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` as a rule sees it: declared fields only, and a `number` always a double."""
    if isinstance(value, Mapping) and "properties" in schema:
        properties = schema["properties"].items()
        return {_in_cel(name): _visible(value[name], child) for name, child in properties if name in value}
    if isinstance(value, list):
        return [_visible(item, schema["items"]) for item in value]
    if schema.get("type") == "number" and value is not None:
        return float(value)
    return value


def _in_cel(name: str) -> str:
    """A field whose name is a word of CEL is called otherwise in rules (apiextensions/v1 ValidationRule)."""
    return f"__{name}__" if name in _WORDS_OF_CEL else name


def _evaluate(rule: Mapping[str, str], value: Any, old: Any, path: str) -> Iterator[FieldError]:
    # Imported late: the operator itself judges nothing, and the package brings a command line of its own along.
    from cel import Context, evaluate

    context = Context(variables={"self": value, "oldSelf": old})
    context.add_function("sum", sum)
    context.add_function("format", lambda text, values: text % tuple(values))
    where = f"{path}{rule.get('fieldPath', '')}"
    try:
        if evaluate(rule["rule"], context) is not True:
            message = rule["message"]
            if "messageExpression" in rule:
                message = str(evaluate(rule["messageExpression"], context))
            yield FieldError(where, message)
    except (ValueError, TypeError, RuntimeError) as error:
        yield FieldError(where, f"{rule['message']} (the rule could not be evaluated: {error})")
