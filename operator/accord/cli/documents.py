"""Manifests from files, each with the place it came from, read as kubectl reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from accord.api.base import Manifest
from accord.cli.kubeyaml import KubeLoader
from accord.domain.plan import ObjectKey

_SUFFIXES = (".yaml", ".yml", ".json")


class InputError(Exception):
    """The input cannot be read at all; the text names file, document and problem."""


class Document(NamedTuple):
    """One object and where it stands."""

    place: str
    manifest: Manifest

    @property
    def key(self) -> ObjectKey:
        """Identity of the object."""
        return ObjectKey.of(self.manifest)

    def __str__(self) -> str:
        return f"{self.place}, {self.manifest['kind']} {self.manifest['metadata']['name']}"


def read(paths: Iterable[Path], namespace: str | None) -> list[Document]:
    """All objects in these files and directories (not deeper), `-` for stdin; a List is opened.

    An object that names no namespace belongs to `namespace`, or to `default`. InputError for what is not a Kubernetes
    object, for another namespace than the one asked for, and for an object that is given twice.
    """
    documents = [document for path in paths for file in _files(path) for document in _objects(file, namespace)]
    seen: dict[ObjectKey, Document] = {}
    for document in documents:
        twin = seen.setdefault(document.key, document)
        if twin is not document:
            raise InputError(f"{document}: already defined in {twin.place}")
    return documents


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    if not found:
        raise InputError(f"{path}: no {', '.join(_SUFFIXES)} files in this directory")
    return found


def _objects(path: Path, namespace: str | None) -> Iterator[Document]:
    name = "stdin" if str(path) == "-" else str(path)
    try:
        text = sys.stdin.read() if name == "stdin" else path.read_text(encoding="utf-8")
        parsed = list(yaml.load_all(text, KubeLoader))
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{name}: invalid YAML: {' '.join(str(error).split())}") from error
    for number, content in enumerate(parsed, start=1):
        if content is None:
            continue
        place = f"{name}, document {number}"
        is_list = isinstance(content, dict) and str(content.get("kind", "")).endswith("List") and "items" in content
        for item in content["items"] or () if is_list else (content,):
            yield Document(place, _placed(place, item, namespace))


def _placed(place: str, content: Any, namespace: str | None) -> Manifest:
    """`content` as an object with a namespace."""
    if not isinstance(content, dict):
        raise InputError(f"{place}: not a Kubernetes object")
    for field in ("apiVersion", "kind"):
        if not isinstance(content.get(field), str):
            raise InputError(f"{place}: {field} is required")
    meta = content.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
        raise InputError(f"{place}, {content['kind']}: metadata.name is required")
    said = meta.get("namespace")
    if said is not None and namespace is not None and said != namespace:
        raise InputError(
            f"{place}, {content['kind']} {meta['name']}: metadata.namespace is {said}, but --namespace is {namespace}"
        )
    return {**content, "metadata": {**meta, "namespace": said or namespace or "default"}}
