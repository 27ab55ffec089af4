"""What the API server does with an object before it looks at rules: nulls, defaults, types, bounds, unknown fields.

Works on structural schemas as `schema.py` renders them, so it judges by the same text as the API server does.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from accord.api.base import DURATION_PATTERN, QUANTITY_PATTERN
from accord.api.v1alpha1.meta import DNS_LABEL_PATTERN, DNS_SUBDOMAIN_PATTERN

_PATTERNS = {
    DURATION_PATTERN: "a duration such as 30s, 5m or 1h30m",
    QUANTITY_PATTERN: "an amount such as 10Gi, 500m or 2",
    DNS_LABEL_PATTERN: "lower-case letters, digits and -, beginning and ending with a letter or digit",
    DNS_SUBDOMAIN_PATTERN: "lower-case letters, digits, - and ., beginning and ending with a letter or digit",
}
_TYPES: dict[str, Any] = {
    "object": Mapping,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


class FieldError(NamedTuple):
    """What is wrong with one field. `path` is empty for the object as a whole."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def defaulted(value: Any, schema: Mapping[str, Any]) -> Any:
    """A copy of `value` as it would be stored: nulls dropped, defaults filled in, whole floats read as integers."""
    if isinstance(value, Mapping) and (properties := schema.get("properties")):
        result = {
            key: defaulted(child, properties.get(key, {}))
            for key, child in value.items()
            if child is not None or key not in properties
        }
        for key, child in properties.items():
            if key not in result and "default" in child:
                result[key] = copy.deepcopy(child["default"])
        return result
    if isinstance(value, Mapping) and isinstance(child := schema.get("additionalProperties"), Mapping):
        return {key: defaulted(item, child) for key, item in value.items()}
    if isinstance(value, list) and "items" in schema:
        return [defaulted(item, schema["items"]) for item in value]
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return copy.deepcopy(value)


def check(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    """Everything in `value` that the schema itself refuses, depth first. Rules are not looked at."""
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield FieldError(path, f"must be a number or a string, not {_type_of(value)}")
            return
    elif kind and not _is(value, kind):
        yield FieldError(path, f"must be of type {kind}, not {_type_of(value)}{_hint(value, schema)}")
        return
    if isinstance(value, str):
        yield from _check_text(value, schema, path)
    elif isinstance(value, Mapping):
        yield from _check_object(value, schema, path)
    elif isinstance(value, list):
        yield from _check_list(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_range(value, schema, path, "", "minimum", "maximum")


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    return next((kind for kind in _TYPES if _is(value, kind)), type(value).__name__)


def _hint(value: Any, schema: Mapping[str, Any]) -> str:
    """YAML 1.1 reads bare words such as Off, On, No and Yes as booleans."""
    return '; put the word in quotes, as "Off"' if isinstance(value, bool) and schema["type"] == "string" else ""


def _check_text(value: str, schema: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    yield from _check_range(len(value), schema, path, " characters", "minLength", "maxLength")
    if "enum" in schema and value not in schema["enum"]:
        close = difflib.get_close_matches(value, schema["enum"], 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        yield FieldError(path, f"must be one of {', '.join(schema['enum'])}, not {value!r}{hint}")
    pattern = schema.get("pattern")
    # All our patterns are anchored. \Z, because Python's $ allows a newline before the end.
    if pattern and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield FieldError(path, f"must be {_PATTERNS.get(pattern, f'of the form {pattern}')}, not {value!r}")


def _check_range(
    value: float, schema: Mapping[str, Any], path: str, unit: str, low: str, high: str
) -> Iterator[FieldError]:
    found = f", not {value}"
    if low in schema and value < schema[low]:
        yield FieldError(path, f"must be at least {schema[low]}{unit}{found}")
    if high in schema and value > schema[high]:
        yield FieldError(path, f"must be at most {schema[high]}{unit}{found}")


def _check_object(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    yield from _check_range(len(value), schema, path, " entries", "minProperties", "maxProperties")
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield FieldError(f"{path}.{name}", "is required")
    for key, item in value.items():
        if key in properties:
            yield from check(item, properties[key], f"{path}.{key}")
        elif isinstance(others, Mapping):
            yield from check(item, others, f"{path}.{key}")
        elif not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield unknown_field(f"{path}.{key}", key, properties)


def unknown_field(path: str, key: str, known: Mapping[str, Any]) -> FieldError:
    """The error for a field that does not exist, with the one that may have been meant."""
    close = difflib.get_close_matches(key, known, 1)
    return FieldError(path, f"unknown field{f'; did you mean {close[0]}?' if close else ''}")


def _check_list(value: list[Any], schema: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    yield from _check_range(len(value), schema, path, " items", "minItems", "maxItems")
    seen: dict[Any, int] = {}
    for index, item in enumerate(value):
        yield from check(item, schema["items"], f"{path}[{index}]")
        identity = _identity(item, schema)
        if identity is None:
            continue
        first = seen.setdefault(identity, index)
        if first != index:
            keys = " and ".join(schema.get("x-kubernetes-list-map-keys", ()))
            what = f"has the same {keys} as" if keys else "is the same as"
            yield FieldError(f"{path}[{index}]", f"{what} {path}[{first}]")


def _identity(item: Any, schema: Mapping[str, Any]) -> Any:
    """What must be unique in the list; None where nothing must, or where the item is malformed anyway."""
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return item if isinstance(item, str | int | float) else None
        case "map" if isinstance(item, Mapping):
            key = tuple(item.get(name) for name in schema["x-kubernetes-list-map-keys"])
            return key if all(isinstance(part, str | int) for part in key) else None
        case _:
            return None
