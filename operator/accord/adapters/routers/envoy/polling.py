"""What a proxy sends when it polls: a DiscoveryRequest in JSON, read no further than needed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from accord.adapters.routers.envoy.snapshot import LONGEST_VERSION, Version
from accord.adapters.routers.envoy.xds import Key, Kind

_LONGEST_NAME = 63
"""Of a mode's name; `ALL_ENDPOINTS` is shorter."""

BEGINNING = 1024
"""Bytes of a poll that hold `node.id`: Envoy writes the fields of a request in their order, version and node first."""
_NODE_ID = re.compile(rb'"id" ?: ?"([^"\\]{1,761})"')


class MalformedError(ValueError):
    """The request is not one that a proxy of ours sends; the text says why, for whoever sent it."""


@dataclass(frozen=True)
class Poll:
    """One proxy asks for one subscription."""

    namespace: str
    policy: str
    pod: str
    key: Key
    version: Version | None


def parse_poll(kind: str, body: bytes) -> Poll:
    """Read the body of `POST /v3/discovery:<kind>`. Raises MalformedError."""
    if kind not in set(Kind):
        raise MalformedError(f"unknown resource type {kind!r}, must be one of {', '.join(Kind)}")
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"invalid JSON body: {error}") from None
    if not isinstance(request, dict):
        raise MalformedError("the body must be a DiscoveryRequest, a JSON object")
    node = request.get("node")
    identity = node.get("id") if isinstance(node, dict) else None
    namespace, policy, pod = parse_node(identity)
    version = request.get("version_info", "")
    if not isinstance(version, str):
        raise MalformedError("version_info must be a string")
    if len(version) > LONGEST_VERSION:
        raise MalformedError(f"version_info must have at most {LONGEST_VERSION} characters")
    return Poll(namespace, policy, pod, _key(Kind(kind), request.get("resource_names")), Version.parse(version))


def parse_node(identity: object) -> tuple[str, str, str]:
    """`<namespace>/<policy>/<pod>` in its parts. Raises MalformedError."""
    parts = identity.split("/") if isinstance(identity, str) else []
    if len(parts) != 3 or not all(0 < len(part) <= 253 for part in parts):
        raise MalformedError(f"node.id must be <namespace>/<policy>/<pod>, not {identity!r:.300}")
    return parts[0], parts[1], parts[2]


def named_in(beginning: bytes) -> tuple[str, str, str] | None:
    """Namespace, policy and pod that a poll names in its first bytes, true or not; None where none can be read."""
    found = _NODE_ID.search(beginning)
    try:
        return None if found is None else parse_node(found[1].decode("ascii", "replace"))
    except MalformedError:
        return None


def _key(kind: Kind, names: object) -> Key:
    if kind is not Kind.ENDPOINTS:
        return Key(kind)
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise MalformedError("resource_names must name exactly one cluster: Envoy subscribes to each on its own")
    if len(names[0]) > _LONGEST_NAME:
        raise MalformedError(f"resource_names must have at most {_LONGEST_NAME} characters")
    return Key(kind, names[0])
