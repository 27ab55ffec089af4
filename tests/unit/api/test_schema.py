"""The generator writes what the API server takes, and refuses models that it cannot express."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from accord.api.base import Duration, Model, Quantity, Rule, span_rule
from accord.api.schema import paragraph, part, resource_schema, structural_schema
from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.meta import Resource

Json = dict[str, Any]


def nodes(schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Every schema inside a schema, with the path of its field."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from nodes(schema[keyword], f"{path}[]")


ALL_NODES = [node for kind in KINDS for node in nodes(resource_schema(kind)["properties"]["spec"], f"{kind.kind}.spec")]


@pytest.mark.parametrize(("path", "schema"), ALL_NODES, ids=[path for path, _ in ALL_NODES])
def test_everything_a_user_writes_is_bounded(path: str, schema: Json) -> None:
    """CEL's cost estimate takes what has no bound for as large as a request may be."""
    if schema.get("type") == "string":
        assert "maxLength" in schema or "enum" in schema
    if schema.get("type") == "array":
        assert "maxItems" in schema
        # Atomic in Kubernetes, too: nothing in a toleration identifies it, and too much in a parent of an HTTPRoute.
        by_kubernetes = path.endswith((".tolerations", ".parentRefs"))
        assert schema["x-kubernetes-list-type"] in (("atomic",) if by_kubernetes else ("map", "set"))
    if "additionalProperties" in schema:
        assert "maxProperties" in schema
    if schema.get("type") in ("integer", "number"):
        assert "minimum" in schema
        assert "maximum" in schema


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_field_says_what_it_is_for(kind: type[Resource]) -> None:
    def missing(model: type[Model], path: str) -> Iterator[str]:
        schema = structural_schema(model)
        yield from (f"{path}.{name}" for name, child in schema["properties"].items() if "description" not in child)

    assert list(missing(part(kind, "spec"), "spec")) + list(missing(part(kind, "status"), "status")) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_status_has_neither_defaults_nor_rules(kind: type[Resource]) -> None:
    for path, schema in nodes(resource_schema(kind)["properties"]["status"], "status"):
        assert "default" not in schema, path
        assert "x-kubernetes-validations" not in schema, path


class Inner(Model):
    """An inner object.

    In two
    paragraphs.
    """

    rules: ClassVar[tuple[Rule, ...]] = (span_rule("wait", "1s", "1h"),)

    wait: Duration = timedelta(seconds=90)
    ratio: Annotated[float, Field(gt=0, le=2, json_schema_extra={"x-accord-min": 0.5})] = 1.0
    note: Annotated[str, Field(max_length=5)] | None = None


class Outer(Model):
    """An outer object."""

    kind_of: Literal["OnlyThis"]
    inner: Inner = Inner()
    slow: Inner = Inner(wait=timedelta(minutes=30))
    size: Quantity = "1Gi"
    tags: Annotated[list[Annotated[str, Field(max_length=3)]], Field(max_length=2)] = []


def test_a_model_becomes_a_structural_schema() -> None:
    rule = {
        "rule": "(duration(self.wait) >= duration('1s') && duration(self.wait) <= duration('1h'))",
        "message": "wait must be between 1s and 1h",
        "fieldPath": ".wait",
    }
    inner = {
        "description": "An inner object.\n\nIn two paragraphs.",
        "type": "object",
        "x-kubernetes-validations": [rule],
        "properties": {
            "wait": {
                "type": "string",
                "default": "1m30s",
                "pattern": r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$",
                "maxLength": 16,
            },
            "ratio": {"type": "number", "default": 1, "minimum": 0.5, "maximum": 2},
            "note": {"type": "string", "maxLength": 5},
        },
    }
    assert structural_schema(Outer) == {
        "description": "An outer object.",
        "type": "object",
        "required": ["kindOf"],
        "properties": {
            "kindOf": {"type": "string", "enum": ["OnlyThis"]},
            "inner": {**inner, "default": {"wait": "1m30s", "ratio": 1}},
            "slow": {**inner, "default": {"wait": "30m", "ratio": 1}},
            "size": {
                "default": "1Gi",
                "pattern": r"^([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][-+]?[0-9]+)?$",
                "maxLength": 32,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "x-kubernetes-int-or-string": True,
            },
            "tags": {
                "type": "array",
                "default": [],
                "maxItems": 2,
                "x-kubernetes-list-type": "set",
                "items": {"type": "string", "maxLength": 3},
            },
        },
    }


def test_an_exclusive_bound_is_refused_with_its_place() -> None:
    class Bad(Model):
        above: Annotated[int, Field(gt=0)] = 1

    with pytest.raises(TypeError, match=r"Bad\.above: gt needs x-accord-min"):
        structural_schema(Bad)


def test_a_union_is_refused_with_its_place() -> None:
    class Bad(Model):
        either: int | bool = 1

    with pytest.raises(TypeError, match=r"Bad\.either: a CRD cannot hold a union"):
        structural_schema(Bad)


def test_a_tuple_is_refused_with_its_place() -> None:
    class Bad(Model):
        pair: tuple[int, str] = (1, "a")

    with pytest.raises(TypeError, match=r"Bad\.pair: a CRD cannot hold prefixItems"):
        structural_schema(Bad)


def test_a_spec_must_be_a_model() -> None:
    class Bad(Resource):
        spec: dict[str, str]

    with pytest.raises(TypeError, match=r"Bad\.spec must be a Model"):
        part(Bad, "spec")


def test_paragraphs_are_kept_and_lines_joined() -> None:
    assert paragraph("One\n    line.\n\n    Another.\n") == "One line.\n\nAnother."


STATUS_LISTS = [
    (path, schema)
    for kind in KINDS
    for path, schema in nodes(resource_schema(kind)["properties"]["status"], f"{kind.kind}.status")
    if schema.get("type") == "array"
]


@pytest.mark.parametrize(("path", "schema"), STATUS_LISTS, ids=[path for path, _ in STATUS_LISTS])
def test_of_what_the_operator_writes_only_conditions_are_merged(path: str, schema: Json) -> None:
    """A merged list that becomes empty is left as null, and the status is refused."""
    assert schema["x-kubernetes-list-type"] == ("map" if path.endswith(".status.conditions") else "atomic")
