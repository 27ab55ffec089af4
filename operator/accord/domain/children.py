"""Comparing an object as it is wanted with the one that lives, so that an unchanged one is not written.

What is wanted must be found in the live object; what the API server filled in or others added may be there too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from accord.api.base import Manifest
from accord.domain.fields import Item, Path

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** (index + 1) for index, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (index + 1) for index, unit in enumerate("KMGTPE")},
}
_IDENTITIES = (("uid",), ("mountPath",), ("name",), ("port", "protocol"), ("containerPort", "protocol"), ("type",))
"""What names an item of a list, as in the API's list-map keys; the first whose fields all wanted items have counts."""
_ATOMIC = frozenset({("Service", "spec", "selector")})
_NAMED_TEXTS = frozenset({"annotations", "labels"})
"""Maps that are not there at all when nothing is in them."""
_WHOLE = frozenset({("HTTPRoute", "spec"), ("VirtualService", "spec")})
"""Parts whose lists are atomic, whatever names their items."""
_EXACT = ("VirtualService", "spec")
"""One of them in which the API server fills in nothing: its lists are there item by item and field by field."""
_UNTIL_SAID = frozenset(
    {
        *("hostnames", "useDefaultGateways", "namespace", "sectionName", "filters", "timeouts", "retry", "name"),
        *("sessionPersistence", "headers", "queryParams", "method", "set", "add", "remove", "backendRefs", "port"),
    }
)
"""Fields of that part which the API server fills with nothing: what is not wanted there must not be there."""
_QUANTITIES = frozenset({"requests", "limits"})


def needs_apply(wanted: Manifest, live: Manifest | None) -> bool:
    """Whether `wanted` must be written: it does not exist, or something in it is not so in the cluster.

    An object that is being deleted is left to go; its end causes another pass.
    """
    if live is None:
        return True
    if live["metadata"].get("deletionTimestamp"):
        return False
    return not _contains(live, wanted, (wanted["kind"],))


class Difference(NamedTuple):
    """A field that is not as it is wanted, and how it is wanted (as JSON)."""

    path: Path
    wanted: str


def differences(wanted: Manifest, live: Manifest) -> tuple[Difference, ...]:
    """What of `wanted` is not so in the cluster, field by field; the whole object where no field of it is amiss."""
    found = tuple(Difference(path, _text(value)) for path, value in _amiss(live, wanted, (wanted["kind"],), ()))
    return found or (Difference((), _text(wanted)),)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _amiss(live: Any, wanted: Any, kinds: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    """The deepest places where something is missing or different; `kinds` is the path as `_contains` takes it."""
    if _contains(live, wanted, kinds):
        return
    if live is None and kinds[-1] in _NAMED_TEXTS:
        live = {}
    if isinstance(wanted, Mapping) and isinstance(live, Mapping) and kinds not in _ATOMIC:
        for key, value in wanted.items():
            yield from _amiss(live.get(key), value, (*kinds, key), (*path, key))
        return
    if _is_list(wanted) and _is_list(live):
        identity = _identity_of(wanted) if kinds[:2] not in _WHOLE else None
        known = {} if identity is None else {_identity(item, identity): item for item in live}
        if identity is not None:
            for item in wanted:
                keys = tuple(zip(identity, _identity(item, identity) or (), strict=False))
                yield from _amiss(known.get(_identity(item, identity)), item, kinds, (*path, Item(keys)))
            return
    yield path, wanted


def quantity(text: str | float) -> Decimal | None:
    """The value of a resource quantity (`250m`, `1Gi`, `0.5`, `1e3`), or None where the text is none."""
    number = str(text)
    stem = number.rstrip("numkKMGTPEi")
    factor = _SUFFIXES.get(number[len(stem) :])
    try:
        return None if factor is None else Decimal(stem) * factor
    except ArithmeticError:
        # No number, or one beyond all bounds.
        return None


def _contains(live: Any, wanted: Any, path: tuple[str, ...]) -> bool:
    """Whether all of `wanted` is in `live`; `path` is where in the object they are."""
    if live == wanted:
        # Most of an object is as it was made, and whole trees are compared faster than we could.
        return True
    if _is_empty(wanted):
        return _is_empty(live) or isinstance(wanted, Mapping)
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping) or (path in _ATOMIC and live.keys() != wanted.keys()):
            return False
        if path[:2] in _WHOLE and _UNTIL_SAID & (live.keys() - wanted.keys()):
            return False
        return all(_contains(live.get(key), value, (*path, key)) for key, value in wanted.items())
    if _is_list(wanted):
        return _is_list(live) and _contains_list(live, wanted, path)
    if len(path) > 1 and path[-2] in _QUANTITIES and live is not None:
        return live == wanted or (quantity(live) is not None and quantity(live) == quantity(wanted))
    return bool(live == wanted)


def _contains_list(live: Sequence[Any], wanted: Sequence[Any], path: tuple[str, ...]) -> bool:
    """Items are found by what identifies them where they have that; else the lists are compared place by place."""
    if path[:2] == _EXACT:
        return False  # they are not equal, or nobody would ask
    identity = _identity_of(wanted) if path[:2] not in _WHOLE else None
    if identity is None:
        return len(live) == len(wanted) and all(_contains(a, b, path) for a, b in zip(live, wanted, strict=True))
    known = {_identity(item, identity): item for item in live}
    return all(_contains(known.get(_identity(item, identity)), item, path) for item in wanted)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _identity_of(wanted: Sequence[Any]) -> tuple[str, ...] | None:
    return next((keys for keys in _IDENTITIES if all(_identity(item, keys) for item in wanted)), None)


def _identity(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...] | None:
    if not isinstance(item, Mapping) or not all(key in item for key in keys):
        return None
    return tuple(item[key] for key in keys)


def _is_empty(value: Any) -> bool:
    """What the API server does not keep: null, an empty map, list or string."""
    return value is None or (isinstance(value, Mapping | Sequence) and not value)
