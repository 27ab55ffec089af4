"""What every Accord API type is made of: camelCase fields, durations, and CEL rules beside the fields they guard.

The models are read in two directions. `schema.py` turns them into the structural OpenAPI schema of the CRDs, so a
constraint written here is enforced by the API server; and the operator reads live objects through them, so they
ignore fields they do not know (an older operator may meet a newer CRD).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION_PATTERN = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$"
DURATION_LENGTH = 16
"""Longest duration text. With the digits bounded by the pattern, no text overflows CEL's 64-bit nanoseconds."""


@dataclass(frozen=True)
class Rule:
    """One CEL validation rule (`x-kubernetes-validations`), with the sentence the user reads when it fails.

    `rule` sees the object it is attached to as `self` (and `oldSelf` for transition rules). `field_path` points the
    error at one field, relative to `self`, in the form of the CRD field of that name: `.weight`.
    Source: KEP-2876, "CRD Validation Expression Language".
    """

    rule: str
    message: str
    field_path: str | None = None
    message_expression: str | None = None


def span_rule(field: str, low: str, high: str, *, optional: bool = False) -> Rule:
    """A rule that keeps the duration in `field` (CRD name) from `low` to `high`, both included, in CEL's notation."""
    absent = f"!has(self.{field}) || " if optional else ""
    return Rule(
        f"{absent}(duration(self.{field}) >= duration('{low}') && duration(self.{field}) <= duration('{high}'))",
        f"{field} must be between {low} and {high}",
        f".{field}",
    )


class Model(BaseModel):
    """Base of every object in the API. Immutable; unknown fields are ignored when reading.

    A subclass lists its CEL rules in `rules`; they end up on that object's schema.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()


def parse_duration(text: str | timedelta) -> timedelta:
    """`"1h30m"` → 90 minutes. Units: ms, s, m, h, as in Go and CEL. ValueError on anything else."""
    if isinstance(text, timedelta):
        return text
    if not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 1h30m")
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text)
    return timedelta(seconds=sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def format_duration(value: timedelta) -> str:
    """90 minutes → `"1h30m"`. The inverse of `parse_duration`, in the shortest form."""
    milliseconds = round(value.total_seconds() * 1000)
    text = ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": DURATION_LENGTH}),
]
"""A span of time, written as in Go: `30s`, `5m`, `1h30m`."""

QUANTITY_PATTERN = r"^([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][-+]?[0-9]+)?$"

Quantity = Annotated[
    str,
    BeforeValidator(str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "pattern": QUANTITY_PATTERN,
            "maxLength": 32,
        }
    ),
]
"""An amount, as Kubernetes writes them and never negative: `10Gi`, `500m`, `2`."""

Manifest = dict[str, Any]
"""A Kubernetes object as the API server speaks it: plain JSON-shaped dicts, camelCase keys."""
