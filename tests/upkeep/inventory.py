"""Everything that is in a cluster, of every kind that the API server lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from demo.steps.cluster import ApiError, Cluster

_PASSING = {"Event"}
"""Kinds whose objects go by themselves."""


@dataclass(frozen=True)
class Thing:
    """One object: what it is called, and the objects on which it depends, by UID."""

    kind: str
    namespace: str
    name: str
    uid: str
    owners: frozenset[str]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


def take(cluster: Cluster) -> list[Thing]:
    """All of it."""
    return [thing for path, kind in _listable(cluster) for thing in _things(cluster, path, kind)]


def added(cluster: Cluster, before: list[Thing]) -> list[Thing]:
    """What is there and was not, and belongs to nothing that was: a new pod of a Deployment from before is no news."""
    now, known = take(cluster), {(each.kind, each.namespace, each.name) for each in before}
    old = {each.uid for each in before}
    new = [each for each in now if (each.kind, each.namespace, each.name) not in known and each.uid not in old]
    while theirs := [each for each in new if each.owners & old]:
        old |= {each.uid for each in theirs}
        new = [each for each in new if each not in theirs]
    return new


def _listable(cluster: Cluster) -> Iterator[tuple[str, str]]:
    groups = json.loads(cluster.request("GET", "/apis"))["groups"]
    for path in ("/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)):
        for found in json.loads(cluster.request("GET", path))["resources"]:
            if "/" not in found["name"] and "list" in found["verbs"] and found["kind"] not in _PASSING:
                yield f"{path}/{found['name']}", found["kind"]


def _things(cluster: Cluster, path: str, kind: str) -> Iterator[Thing]:
    try:
        items: list[dict[str, Any]] = json.loads(cluster.request("GET", path))["items"] or []
    except ApiError as error:
        if error.status == 404:  # a kind that goes while it is listed
            return
        raise
    for item in items:
        meta = item["metadata"]
        owners = frozenset(owner["uid"] for owner in meta.get("ownerReferences", ()))
        yield Thing(kind, meta.get("namespace", ""), meta["name"], meta.get("uid", ""), owners)
