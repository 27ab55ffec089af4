"""YAML as kubectl reads it, and as kubectl reads it back. One loader and one dumper for all files that people write.

PyYAML and kubectl (go.yaml.in/yaml/v2) take some plain words for different things: `3e-4` and `08` are numbers there
and text here, `1:30` is text there and a number here, `y` is true there. A whole float is an integer, as JSON has it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0o[0-7][0-7_]*|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?((\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)")
_BOOL = re.compile(r"y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF")
_EXACT = 2**53
_BASES = {"0b": 2, "0x": 16, "0o": 8}


class UnreadableError(ValueError):
    """The text is no YAML; the message says where and why."""


def parse(raw: bytes) -> list[Any]:
    """The documents of a file, in order; an empty one is None. Raises UnreadableError."""
    try:
        return list(yaml.load_all(raw.decode("utf-8-sig"), KubeLoader))
    except UnicodeDecodeError as error:
        raise UnreadableError(f"invalid UTF-8: {error}") from error
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark
        where = f"line {place.line + 1}, column {place.column + 1}: " if place else ""
        raise UnreadableError(f"invalid YAML: {where}{error.problem}") from error
    except yaml.YAMLError as error:
        raise UnreadableError(f"invalid YAML: {' '.join(str(error).split())}") from error


def written(value: Any) -> str:
    """One document that kubectl reads as `value`: long texts as blocks, nothing twice by reference."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


class KubeLoader(yaml.SafeLoader):
    """Times are text, and a key may stand only once."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Puts in what `<<` merges: what the mapping says itself wins, and is no duplicate of that. Raises
        ConstructorError with the line of a key that is there again.
        """
        seen = set()
        for key_node, _ in node.value:
            key = self._key(key_node)
            if not isinstance(key, Hashable):
                what = "a list or an object is no key"
                raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
            if key in seen and key_node.tag != f"{_TAG}merge":
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"line {line}: duplicate key {key!r}")
            seen.add(key)
        super().flatten_mapping(node)
        # A mapping that is merged elsewhere comes here again, and has each key once then, too.
        node.value = list({self._key(pair[0]): pair for pair in node.value}.values())

    def _key(self, node: yaml.Node) -> Any:
        # These two tags are instructions for `flatten_mapping`, not types of a value.
        return node.value if node.tag in (f"{_TAG}merge", f"{_TAG}value") else self.construct_object(node, deep=True)


class KubeDumper(yaml.SafeDumper):
    """Quotes what kubectl would take for something else than text."""


class _Dumper(KubeDumper):
    """Texts of several lines as such, no anchors, list items indented."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _anchored(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(f"(?:{pattern.pattern})$")


def _resolvers(*, also: bool) -> dict[Any, list[tuple[str, re.Pattern[str]]]]:
    """By first character. `also`: what PyYAML takes for no text is quoted as well, for readers other than kubectl."""
    ours = (
        (f"{_TAG}bool", _anchored(_BOOL), "yYnNtTfFoO"),
        (f"{_TAG}int", _anchored(_INT), "-+0123456789"),
        (f"{_TAG}float", _anchored(_FLOAT), "-+.0123456789"),
    )
    dropped = () if also else (f"{_TAG}bool", f"{_TAG}int", f"{_TAG}float", f"{_TAG}timestamp")
    found = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in dropped]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for tag, pattern, firsts in ours:
        for first in firsts:
            found.setdefault(first, []).append((tag, pattern))
    return found


def _bool(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return str(loader.construct_scalar(node)).lower() in ("y", "yes", "true", "on")


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    sign, digits = (-1 if text.startswith("-") else 1), text.lstrip("+-")
    base = _BASES.get(digits[:2])
    if base is not None:
        digits = digits[2:]
    try:
        return sign * int(digits, base or (8 if digits.startswith("0") else 10))
    except ValueError:  # Python reads no more than some thousand digits
        line = node.start_mark.line + 1
        raise yaml.constructor.ConstructorError(None, None, f"line {line}: number out of range") from None


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float | int:
    text = str(loader.construct_scalar(node)).lower()
    value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):  # JSON has no such number, and what is written here ends up as JSON
        line = node.start_mark.line + 1
        raise yaml.constructor.ConstructorError(None, None, f"line {line}: {text} is not a finite number")
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


KubeLoader.yaml_implicit_resolvers = _resolvers(also=False)
KubeLoader.add_constructor(f"{_TAG}bool", _bool)
KubeLoader.add_constructor(f"{_TAG}int", _int)
KubeLoader.add_constructor(f"{_TAG}float", _float)
KubeDumper.yaml_implicit_resolvers = _resolvers(also=True)
