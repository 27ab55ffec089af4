"""The reference pages of the API, from its models, and of the commands, from their parsers.

`python -m tools.reference` writes docs/reference/<kind>.md, `--check` shows what it would change and fails if that is
anything.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from accord.api.base import DURATION_PATTERN
from accord.api.schema import resource_schema
from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.meta import API_VERSION, Resource
from accord.domain.training import contract
from tools import clipage, metricspage, sdkpage

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "trainer"))  # a distribution of its own, which need not be installed to be documented
from accord_trainer.sdk import metrics_table  # noqa: E402

PAGES = ROOT / "docs" / "reference"
Schema = Mapping[str, Any]

EMBEDDED = {
    "spec.template": "PodTemplateSpec (core/v1)",
    "spec.router.envoy.resources": "ResourceRequirements (core/v1)",
}
"""Fields that hold a Kubernetes type, which is described elsewhere."""

SMALLEST: dict[str, Any] = {
    "TrafficPolicy": {
        "modes": [
            {"name": "fast", "weight": 60, "deploymentRef": {"name": "chat-fast"}, "port": 8080},
            {"name": "balanced", "weight": 30, "deploymentRef": {"name": "chat-balanced"}, "port": 8080},
            {"name": "creative", "weight": 10, "deploymentRef": {"name": "chat-creative"}, "port": 8080},
        ]
    },
    "TrainingRun": {"template": {"spec": {"containers": [{"name": "trainer", "image": "example.com/trainer:1"}]}}},
    "CheckpointPolicy": {
        "trainingRunRef": {"name": "ranker"},
        "serving": {"deploymentRef": {"name": "ranker"}, "volume": "model"},
    },
}
"""A spec of each kind with nothing in it that has a default."""


def main() -> int:
    """Write or, with `--check`, compare. Returns the exit code."""
    check = "--check" in sys.argv[1:]
    stale = False
    for name, text in pages().items():
        path = PAGES / name
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == text:
            continue
        stale = True
        if check:
            lines = found.splitlines(keepends=True), text.splitlines(keepends=True)
            sys.stdout.writelines(difflib.unified_diff(*lines, f"docs/reference/{name}", "what it is made from says"))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote docs/reference/{name}\n")
    return int(check and stale)


def pages() -> dict[str, str]:
    """File name → page: one for every kind, the two sides of a trainer's contract, its SDK, the commands,
    and metrics with alerts.
    """
    return {
        **{f"{kind.kind.lower()}.md": page(kind) for kind in KINDS},
        "trainer-environment.md": contract.render(),
        "trainer-metrics.md": metrics_table.render(),
        "trainer-sdk.md": sdkpage.render(),
        "cli.md": clipage.render(),
        "metrics-and-alerts.md": metricspage.render(),
    }


def page(kind: type[Resource]) -> str:
    """The reference page of one kind."""
    schema = resource_schema(kind)
    return "\n".join(
        [
            f"<!-- Generated from the model {kind.__module__}. Do not edit. -->",
            f"# {kind.kind}",
            "",
            schema["description"],
            "",
            f"`{API_VERSION}`, namespaced, short name `{'`, `'.join(kind.short_names)}`. "
            "`kubectl get accord` lists it among the others, `kubectl explain "
            f"{kind.kind.lower()}.spec` says what this page says.",
            "",
            "The least that is needed:",
            "",
            "```yaml",
            _smallest(kind) + "```",
            "",
            *_tables(schema["properties"]["spec"], "spec", defaults=True),
            *_tables(schema["properties"]["status"], "status", defaults=False),
            *_conditions(kind),
            *_columns(kind),
            *_rules(schema),
        ]
    )


def _smallest(kind: type[Resource]) -> str:
    manifest = {
        "apiVersion": API_VERSION,
        "kind": kind.kind,
        "metadata": {"name": "example"},
        "spec": SMALLEST[kind.kind],
    }
    return yaml.safe_dump(manifest, sort_keys=False)


def _tables(schema: Schema, path: str, *, defaults: bool) -> Iterator[str]:
    """A section with the fields of an object, and one for each object in it."""
    level = "##" if "." not in path else "###"
    yield from (f"{level} `{path}`", "", schema.get("description", ""), "")
    head = "| field | type | default | meaning |" if defaults else "| field | type | meaning |"
    yield from (head, "| --- " * (head.count("|") - 1) + "|")
    below: list[tuple[Schema, str]] = []
    for name, child in schema["properties"].items():
        inner = _object_in(child, f"{path}.{name}")
        if inner:
            below.append(inner)
        link = f"[`{name}`](#{_anchor(inner[1])})" if inner else f"`{name}`"
        default = f"{_default(name, child, schema)} | " if defaults else ""
        meaning = child.get("description", "").replace("\n\n", " ").replace("|", "\\|")
        yield f"| {link} | {_type(child, f'{path}.{name}')} | {default}{meaning} |"
    yield ""
    for inner_schema, inner_path in below:
        yield from _tables(inner_schema, inner_path, defaults=defaults)


def _object_in(schema: Schema, path: str) -> tuple[Schema, str] | None:
    """The object with fields of its own that a field holds, itself or as the items of a list."""
    if path in EMBEDDED:
        return None
    if "properties" in schema:
        return schema, path
    if "properties" in schema.get("items", {}):
        return schema["items"], f"{path}[]"
    return None


def _anchor(path: str) -> str:
    """The anchor that GitHub gives a heading."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "-_")


def _default(name: str, schema: Schema, parent: Schema) -> str:
    if name in parent.get("required", ()):
        return "required"
    if "default" not in schema:
        return "–"
    default = schema["default"]
    if isinstance(default, dict):
        return "as below"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type(schema: Schema, path: str) -> str:
    if path in EMBEDDED:
        return EMBEDDED[path]
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    match schema.get("type"):
        case "string" if "enum" in schema:
            return " or ".join(f"`{value}`" for value in schema["enum"])
        case "string" if schema.get("pattern") == DURATION_PATTERN:
            return "duration"
        case "string" if schema.get("format") == "date-time":
            return "time"
        case "array":
            keys = schema.get("x-kubernetes-list-map-keys")
            by = f", by `{'`, `'.join(keys)}`" if keys else ""
            return f"list of {_type(schema['items'], path)}{_range(schema, 'Items')}{by}"
        case "object" if "additionalProperties" in schema:
            return f"map of {_type(schema['additionalProperties'], path)}"
        case "integer" | "number" as kind:
            return f"{kind}{_range(schema, '')}"
        case other:
            return str(other)


def _range(schema: Schema, what: str) -> str:
    low, high = schema.get(f"min{what or 'imum'}"), schema.get(f"max{what or 'imum'}")
    if low is None and high is None:
        return ""
    if low is None:
        return f", up to {high}"
    return f", {low} to {high}" if high is not None else f", {low} or more"


def _conditions(kind: type[Resource]) -> Iterator[str]:
    yield from ("## Conditions", "", "| condition | while it is True |", "| --- | --- |")
    for condition in kind.conditions:
        yield f"| `{condition.name}` | {condition.meaning} |"
    yield ""


def _columns(kind: type[Resource]) -> Iterator[str]:
    yield from (f"## Columns of `kubectl get {kind.short_names[0]}`", "", "| column | from |", "| --- | --- |")
    for column in kind.columns:
        wide = " (with `-o wide`)" if column.priority else ""
        yield f"| {column.name}{wide} | `{column.json_path}` |"
    yield ""


def _rules(schema: Schema) -> Iterator[str]:
    yield from (
        "## What is refused",
        "",
        "Besides the bounds above, and at once: by the API server when the object is applied, and by `accord plan -f` "
        "without a cluster.",
        "",
        "| field | message |",
        "| --- | --- |",
    )
    for path, message, on_change in _rules_below(schema, ""):
        field = f"`{path}`" if path else "(object)"
        text = message.replace("|", "\\|")
        yield f"| {field}{' (on a change)' if on_change else ''} | {text} |"
    yield ""


def _rules_below(schema: Schema, path: str) -> Iterator[tuple[str, str, bool]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield (path + rule.get("fieldPath", "")).removeprefix("."), rule["message"], "oldSelf" in rule["rule"]
    for name, child in schema.get("properties", {}).items():
        yield from _rules_below(child, f"{path}.{name}")
    if "items" in schema:
        yield from _rules_below(schema["items"], f"{path}[]")


if __name__ == "__main__":
    sys.exit(main())
