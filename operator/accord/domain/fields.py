"""Places in an object, as people write them and as the API server keeps who set them (meta/v1 FieldsV1)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from accord.api.base import Manifest

OURS = "accord"
"""Our field manager."""


class Item(NamedTuple):
    """An item of a list, by what identifies it."""

    keys: tuple[tuple[str, Any], ...]


Path = tuple[str | Item, ...]


def in_words(path: Path) -> str:
    """`spec.template.spec.containers[envoy].image`."""
    text = ""
    for part in path:
        if isinstance(part, Item):
            text += f"[{'/'.join(str(value) for _, value in part.keys)}]"
        else:
            text += f".{part}" if text else part
    return text


def set_by_others(manifest: Manifest, path: Path) -> str | None:
    """Who else has set the field at `path` last, by managedFields; None where nobody else owns it."""
    entries = manifest["metadata"].get("managedFields") or ()
    owning = [entry for entry in entries if entry.get("manager") != OURS and _owns(entry.get("fieldsV1"), path)]
    newest = max(owning, key=lambda entry: entry.get("time") or "", default=None)
    return None if newest is None else str(newest.get("manager") or "") or None


def _owns(fields: Any, path: Path) -> bool:
    """Whether a set of fields holds that place, or one above it as a whole."""
    if not isinstance(fields, Mapping):
        return False
    if not fields or not path:
        return True
    return any(_owns(fields[name], path[1:]) for name in _names(fields, path[0]))


def _names(fields: Mapping[str, Any], part: str | Item) -> Iterator[str]:
    if isinstance(part, str):
        if f"f:{part}" in fields:
            yield f"f:{part}"
        return
    ours = dict(part.keys)
    for name in fields:
        if not name.startswith("k:{"):
            continue
        theirs = json.loads(name[2:])
        # Where the API names items by other fields than we do, any of them may be the one.
        if ours.items() <= theirs.items() or not ours.keys() & theirs.keys():
            yield name
