"""JSON schemas for kubeconform: Kubernetes, Accord's CRDs, and those of Prometheus Operator.

Made from sources that Go's module proxy serves and its checksum database vouches for, and kept in the cache, so that
a check downloads nothing. Strict: a field that the schema does not name is an error, as with `--validate=strict`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from devcluster.buildlock import one_build

from devcluster import gosource, paths, programs
from tools.programs import ROOT

Schema = dict[str, Any]
PROMETHEUS_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0")
_PROMETHEUS_KINDS = ("servicemonitors", "prometheusrules")
_PREFIX = "#/definitions/"
# What the API server takes is wider than what the specification says.
_WIDER: dict[str, Schema] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["number", "string"]},
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": {"type": "object"},
}


def ensure() -> str:
    """The `-schema-location` for kubeconform; the schemas are made when they are not there yet."""
    crds = sorted((ROOT / "crds").glob("accord.dev_*.yaml"))
    version = programs.version(programs.module_of("kubectl"))
    key = hashlib.sha256(repr((version, PROMETHEUS_OPERATOR)).encode())
    for source in (*crds, Path(__file__)):
        key.update(source.read_bytes())
    target = paths.cache_dir() / "schemas" / f"{version}-{key.hexdigest()[:12]}"
    if not target.exists():
        # Of the checks that run beside each other more than one asks for them.
        with one_build("schemas"):
            _make(target, version, crds)
    return f"{target}/{{{{.Group}}}}_{{{{.ResourceAPIVersion}}}}_{{{{.ResourceKind}}}}.json"


def _make(target: Path, version: str, crds: list[Path]) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        _write_all(scratch, version, crds)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_all(folder: Path, version: str, crds: list[Path]) -> None:
    swagger = gosource.released("k8s.io/kubernetes", version) / "api/openapi-spec/swagger.json"
    for group, api_version, kind, schema in _of_kubernetes(json.loads(swagger.read_text(encoding="utf-8"))):
        # kubeconform takes the version for the group of a core kind.
        _write(folder, group or api_version, api_version, kind, schema)
    examples = gosource.released(*PROMETHEUS_OPERATOR) / "example/prometheus-operator-crd"
    monitoring = [examples / f"monitoring.coreos.com_{plural}.yaml" for plural in _PROMETHEUS_KINDS]
    for path in (*crds, *monitoring):
        crd = yaml.safe_load(path.read_text(encoding="utf-8"))
        for served in crd["spec"]["versions"]:
            schema = _strict(served["schema"]["openAPIV3Schema"])
            schema["properties"] |= {"metadata": {"type": "object"}}
            _write(folder, crd["spec"]["group"], served["name"], crd["spec"]["names"]["kind"], schema)


def _write(folder: Path, group: str, version: str, kind: str, schema: Schema) -> None:
    (folder / f"{group}_{version}_{kind.lower()}.json").write_text(json.dumps(schema), encoding="utf-8")


def _of_kubernetes(swagger: Schema) -> Iterator[tuple[str, str, str, Schema]]:
    """Group, version, kind and self-contained schema of every kind of the built-in API."""
    definitions = {name: _strict(_WIDER.get(name, schema)) for name, schema in swagger["definitions"].items()}
    for name, schema in definitions.items():
        kinds = swagger["definitions"][name].get("x-kubernetes-group-version-kind", [])
        if len(kinds) == 1:
            used = {needed: definitions[needed] for needed in _closure(schema, definitions)}
            yield kinds[0]["group"], kinds[0]["version"], kinds[0]["kind"], schema | {"definitions": used}


def _strict(schema: Schema) -> Schema:
    """The schema without extensions, refusing fields that it does not name."""
    out: Schema = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties"):
            out[key] = {name: _strict(inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties", "not") and isinstance(value, dict):
            out[key] = _strict(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            out[key] = [_strict(inner) for inner in value]
        elif key not in ("description", "default", "format", "example", "title") and not key.startswith("x-"):
            out[key] = value
    if "properties" in out and "additionalProperties" not in out:
        out["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields", False))
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    return out


def _closure(schema: Schema, definitions: dict[str, Schema]) -> set[str]:
    """Names of all definitions that the schema refers to, however indirectly."""
    found: set[str] = set()
    todo = [schema]
    while todo:
        for name in _references(todo.pop()):
            if name not in found:
                found.add(name)
                todo.append(definitions[name])
    return found


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_PREFIX)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
