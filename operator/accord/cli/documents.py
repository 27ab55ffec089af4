"""What is in files and on stdin: bytes, manifests with the place they came from, the configuration of the operator.

One loader for all commands: what is wrong with a file is said in the same words, whichever command reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accord.api.base import Manifest
from accord.api.kubeyaml import UnreadableError, parse
from accord.cli.errors import CommandError, InputError, unreadable
from accord.domain.plan import ObjectKey

if TYPE_CHECKING:
    from accord.config import Config

_SUFFIXES = (".yaml", ".yml", ".json")


class Document(NamedTuple):
    """One object and where it stands."""

    place: str
    manifest: Manifest

    @property
    def key(self) -> ObjectKey:
        """Identity of the object."""
        return ObjectKey.of(self.manifest)

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return str(self.manifest["metadata"]["name"])

    def __str__(self) -> str:
        return f"{self.place}, {self.manifest['kind']} {self.name}"


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


def chosen(documents: Sequence[Document], kind: str, name: str | None, paths: Iterable[Path]) -> Document:
    """The one object of a kind, that `name` if there are several. InputError where it is not there, or not one."""
    where = ", ".join(map(place_of, paths))
    found = [each for each in documents if each.manifest["kind"] == kind and name in (None, each.name)]
    if not found:
        raise InputError(f"{where}: no {kind if name is None else f'{kind} named {name}'} found")
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise InputError(f"{where}: more than one {kind} ({names}): choose one with --name")
    return found[0]


def problems(document: Document) -> list[str]:
    """What the API server would refuse in an object of ours, each with its place and field. CommandError where the
    interpreter of its rules is not installed.
    """
    from accord.api.validation import validate

    try:
        return [f"{document}: {error}" for error in validate(document.manifest)]
    except ModuleNotFoundError as error:
        raise CommandError(f"package {error.name} not found: install accord-operator[cli]") from error


def checked(document: Document) -> Manifest:
    """As the API server would store it. InputError with a line for everything that it would refuse."""
    from accord.api.validation import stored

    if found := problems(document):
        raise InputError("\n".join(found))
    return stored(document.manifest)


def config(path: Path | None) -> Config:
    """The operator's configuration in that file, or all defaults. InputError."""
    from accord.config import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        raise InputError(str(error)) from error


def content(path: Path) -> bytes:
    """What is in a file, `-` for stdin. InputError."""
    try:
        if str(path) != "-":
            return path.read_bytes()
        # Bytes, so that the encoding is not the terminal's; a stream of text has none.
        given = getattr(sys.stdin, "buffer", sys.stdin).read()
    except OSError as error:
        raise unreadable(place_of(path), error) from error
    return given.encode() if isinstance(given, str) else bytes(given)


def yaml_documents(path: Path) -> list[Any]:
    """The documents of a YAML file, `-` for stdin; an empty one is None. InputError."""
    try:
        return parse(content(path))
    except UnreadableError as error:
        raise InputError(f"{place_of(path)}: {error}") from error


def place_of(path: Path) -> str:
    """A file in a message."""
    return "stdin" if str(path) == "-" else str(path)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    except OSError as error:
        raise unreadable(path, error) from error
    if not found:
        raise InputError(f"{path}: no {', '.join(_SUFFIXES)} files in this directory")
    return found


def _objects(path: Path, namespace: str | None) -> Iterator[Document]:
    for number, found in enumerate(yaml_documents(path), start=1):
        if found is None:
            continue
        place = f"{place_of(path)}, document {number}"
        is_list = isinstance(found, dict) and str(found.get("kind", "")).endswith("List") and "items" in found
        items = found["items"] or [] if is_list else [found]
        if not isinstance(items, list):
            raise InputError(f"{place}, {found['kind']}: items must be a list")
        for item in items:
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
    if not isinstance(said, str | None):
        raise InputError(f"{place}, {content['kind']} {meta['name']}: metadata.namespace must be a string")
    if said is not None and namespace is not None and said != namespace:
        raise InputError(
            f"{place}, {content['kind']} {meta['name']}: metadata.namespace is {said}, but --namespace is {namespace}"
        )
    return {**content, "metadata": {**meta, "namespace": said or namespace or "default"}}
