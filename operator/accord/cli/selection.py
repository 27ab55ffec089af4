"""Which objects of ours are meant by an argument, written as kubectl takes and prints it."""

from __future__ import annotations

from typing import NamedTuple

from accord.api.v1alpha1 import KINDS
from accord.api.v1alpha1.meta import GROUP, VERSION
from accord.cli.errors import InputError


class Selection(NamedTuple):
    """A kind, all of them where it is None; and one object of it, or all."""

    kind: str | None
    name: str | None


def parse(text: str | None) -> Selection:
    """`tp`, `trafficpolicies`, `TrafficPolicy/NAME`, `trafficpolicy.accord.dev/NAME`. InputError."""
    if text is None:
        return Selection(None, None)
    word, separator, name = text.partition("/")
    if separator and (not name or "/" in name):
        raise InputError(f"{text!r} is not KIND or KIND/NAME")
    return Selection(kind_of(word), name or None)


def kind_of(word: str) -> str:
    """The kind that a word names: as kind, plural, singular or short name, with the group or without. InputError."""
    plain = word.lower().removesuffix(f".{GROUP}").removesuffix(f".{VERSION}")
    for kind in KINDS:
        if plain in (kind.kind.lower(), kind.plural, *kind.short_names):
            return kind.kind
    known = ", ".join(f"{kind.kind} ({', '.join(kind.short_names)})" for kind in KINDS)
    raise InputError(f"unknown kind {word!r}; the kinds are {known}")
