"""What is needed of the API server: what is watched, and what may be done.

Whoever needs something says so beside it, a kind, a router or a workload, with the reason. The watches, the chart's
roles and their page in the reference are made from all of it (`accord.rbac`).
"""

from __future__ import annotations

from dataclasses import dataclass

from accord.adapters.kubernetes.resources import Resource

READ = ("get", "list", "watch")
OWN = (*READ, "create", "patch", "delete")
"""For what is made, kept as it is wanted, and deleted."""


@dataclass(frozen=True)
class Permission:
    """Verbs on one resource, and why they are needed, in a sentence."""

    resource: Resource
    verbs: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Needs:
    """Of one part of the operator."""

    watches: tuple[Resource, ...] = ()
    optional: tuple[Resource, ...] = ()
    """Watched as well, where the API server knows them."""
    permissions: tuple[Permission, ...] = ()
