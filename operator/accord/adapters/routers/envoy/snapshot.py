"""What is offered to the proxies of one policy, and which version of it.

A version is `<revision>-<digest of the content>`. Revisions are resourceVersions, which all replicas of the operator
share, so that a replica can tell whether a proxy has older content than its own, newer, or the same.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from accord.adapters.routers.envoy.xds import Json, Key, Kind, canonical

_REMEMBERED = 32
LONGEST_VERSION = 64
"""Characters of a version: the 20 digits of 64 bits at most, a dash and 16 hexadecimal digits, and room."""


@dataclass(frozen=True, slots=True)
class Version:
    """`revision` is the resourceVersion at which a replica saw the content change."""

    revision: int
    digest: str

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version that a proxy names; None for none, or for one that is not ours."""
        revision, dash, digest = text.partition("-")
        if not dash or not digest or len(text) > LONGEST_VERSION or not revision.isascii() or not revision.isdigit():
            return None
        return cls(int(revision), digest)

    def __str__(self) -> str:
        return f"{self.revision}-{self.digest}"


@dataclass(frozen=True, slots=True)
class Offer:
    """The current content of one subscription. It is sent rarely and kept for long, so it is kept small."""

    version: Version
    packed: bytes

    @classmethod
    def of(cls, version: Version, answer: Json) -> Offer:
        """An offer of this answer."""
        return cls(version, zlib.compress(json.dumps(answer).encode(), 1))

    @property
    def body(self) -> bytes:
        """What is sent."""
        return zlib.decompress(self.packed)

    def against(self, theirs: Version | None) -> Literal["same", "newer", "older"]:
        """How this offer stands to what a proxy has."""
        if theirs is None:
            return "newer"
        if theirs.digest == self.version.digest:
            return "same"
        return "older" if theirs.revision > self.version.revision else "newer"


@dataclass
class Snapshot:
    """All offers for one policy. `tags` says about recent contents of a key what later questions need to know."""

    offers: dict[Key, Offer] = field(default_factory=dict)
    tags: dict[Key, OrderedDict[str, bool]] = field(default_factory=dict)

    def put(self, key: Key, resources: list[Json], revision: int, tag: bool | None = None) -> bool:
        """Offer these resources. False when the content is what is offered already; its version stays then."""
        named = [{"@type": key.kind.type_url, **resource} for resource in resources]
        digest = hashlib.sha256(canonical(named).encode()).hexdigest()[:16]
        if tag is not None:
            known = self.tags.setdefault(key, OrderedDict())
            known[digest] = tag
            known.move_to_end(digest)
            while len(known) > _REMEMBERED:
                known.popitem(last=False)
        current = self.offers.get(key)
        if current is not None and current.version.digest == digest:
            return False
        version = Version(max(revision, current.version.revision + 1 if current else 0), digest)
        answer = {"version_info": str(version), "type_url": key.kind.type_url, "resources": named}
        self.offers[key] = Offer.of(version, answer)
        return True

    def withdraw_endpoints(self, names: set[str]) -> None:
        """Keep the endpoints of these names only."""
        for key in [key for key in self.offers if key.kind is Kind.ENDPOINTS and key.name not in names]:
            del self.offers[key]
            self.tags.pop(key, None)

    def tag(self, key: Key, digest: str) -> bool | None:
        """What was said of that content when it was offered; None when it never was, or long ago."""
        return self.tags[key].get(digest) if key in self.tags else None
