"""Reads the case files, and makes an input that breaks each bound of a schema."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from accord.api.schema import resource_schema
from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.meta import Resource

Json = dict[str, Any]
_WRONG = {"object": "text", "array": "text", "string": 7, "boolean": "text", "integer": "text", "number": "text"}


@dataclass(frozen=True)
class Refused:
    """A manifest that must be refused; `old` is what it would replace, for transition rules."""

    id: str
    manifest: Json
    path: str
    message: str
    old: Json | None = None


@dataclass(frozen=True)
class Cases:
    """The case file of one kind."""

    kind: type[Resource]
    minimal: Json
    full: Json
    refused: tuple[Refused, ...]
    allowed: tuple[tuple[str, Json, Json], ...]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def load(kind: type[Resource]) -> Cases:
    """The cases of one kind."""
    data = yaml.safe_load((Path(__file__).parent / f"{kind.kind.lower()}.yaml").read_text())
    full = data["full"]
    refused = []
    for case in data["refused"]:
        for number, patch in enumerate(case["inputs"]):
            name = f"{kind.kind}: {case['name']}" + (f" ({number + 1})" if len(case["inputs"]) > 1 else "")
            refused.append(Refused(name, merge_patch(full, patch), case["path"], case["message"]))
    for case in data["transitions"]:
        old, new = merge_patch(full, case["old"]), merge_patch(full, case["new"])
        refused.append(Refused(f"{kind.kind}: {case['name']}", new, case["path"], case["message"], old))
    allowed = tuple(
        (f"{kind.kind}: {case['name']}", merge_patch(full, case["old"]), merge_patch(full, case["new"]))
        for case in data["allowed"]
    )
    return Cases(kind, data["minimal"], full, tuple(refused), allowed)


ALL = tuple(load(kind) for kind in KINDS)
REFUSED = [case for cases in ALL for case in cases.refused]


def rules(schema: Json, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path with the rule's fieldPath, message, rule) of each rule in a schema; list items are written `[]`."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield (path + rule.get("fieldPath", "")).removeprefix("."), rule["message"], rule["rule"]
    for name, child in schema.get("properties", {}).items():
        yield from rules(child, f"{path}.{name}")
    if "items" in schema:
        yield from rules(schema["items"], f"{path}[]")


@dataclass(frozen=True)
class Violation:
    """A manifest that breaks one bound."""

    id: str
    manifest: Json
    path: str
    keyword: str


def violations(cases: Cases) -> Iterator[Violation]:
    """One manifest for each bound of each field of a kind's spec, made from `full`."""
    schema = resource_schema(cases.kind)["properties"]["spec"]
    for steps, keyword, value in _broken(schema, cases.full["spec"], ("spec",)):
        manifest = copy.deepcopy(cases.full)
        where = manifest
        for step in steps[:-1]:
            where = where[step]
        if keyword == "required":
            del where[steps[-1]]
        else:
            _put(where, steps[-1], value)
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)[1:]
        yield Violation(f"{cases.kind.kind}: {keyword} of {path}", manifest, path, keyword)


def _broken(schema: Json, value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    """(where, which bound, the value that breaks it) for `value` and everything in it."""
    if "x-kubernetes-int-or-string" in schema:
        yield steps, "type", True
    elif "type" in schema:
        yield steps, "type", _WRONG[schema["type"]]
    for keyword, wrong in _scalars(schema):
        yield steps, keyword, wrong
    if isinstance(value, dict):
        yield from _broken_object(schema, value, steps)
    if isinstance(value, list):
        yield from _broken_list(schema, value, steps)


def _scalars(schema: Json) -> Iterator[tuple[str, Any]]:
    step = 1 if schema.get("type") == "integer" else 0.5
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - step
    if "maximum" in schema:
        yield "maximum", schema["maximum"] + step
    if "enum" in schema:
        yield "enum", "Nonsense"
    if "pattern" in schema:
        yield "pattern", " "
    if "minLength" in schema:
        yield "minLength", ""
    if "maxLength" in schema:
        yield "maxLength", "9" * (schema["maxLength"] + 1)


def _broken_object(schema: Json, value: Json, steps: tuple[str | int, ...]) -> Iterator[tuple[Any, str, Any]]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        yield (*steps, name), "required", None
    if "minProperties" in schema:
        yield steps, "minProperties", {}
    if "maxProperties" in schema:
        sample = next(iter(value.values()))
        yield steps, "maxProperties", {f"k{number}": sample for number in range(schema["maxProperties"] + 1)}
    if properties and "x-kubernetes-preserve-unknown-fields" not in schema:
        yield (*steps, "unknownField"), "unknown", 1
    for name, child in value.items():
        below = properties.get(name) or schema.get("additionalProperties")
        if below:
            yield from _broken(below, child, (*steps, name))


def _broken_list(schema: Json, value: list[Any], steps: tuple[str | int, ...]) -> Iterator[tuple[Any, str, Any]]:
    if "minItems" in schema:
        yield steps, "minItems", []
    yield steps, "maxItems", [_distinct(value[0], schema, number) for number in range(schema["maxItems"] + 1)]
    if schema["x-kubernetes-list-type"] in ("map", "set"):
        yield (*steps, len(value)), "duplicate", value[0]
    yield from _broken(schema["items"], value[0], (*steps, 0))


def _distinct(item: Any, schema: Json, number: int) -> Any:
    if schema["x-kubernetes-list-type"] == "map":
        return item | dict.fromkeys(schema["x-kubernetes-list-map-keys"], f"n{number}")
    return f"n{number}"


def _put(where: Any, step: str | int, value: Any) -> None:
    if isinstance(where, list) and step == len(where):
        where.append(value)
    else:
        where[step] = value


VIOLATIONS = [violation for cases in ALL for violation in violations(cases)]
