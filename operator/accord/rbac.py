"""What the operator may do, and why: out of the table of kinds, what stands behind their ports, and what all need.

`make crds` writes it where the chart and the reference find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from accord.adapters.kubernetes.needs import Permission
from accord.adapters.kubernetes.resources import EVENTS, LEASES
from accord.api.v1alpha1.meta import GROUP
from accord.kinds import KINDS, Entry

Rule = dict[str, Any]
_ORDER = ("get", "list", "watch", "create", "update", "patch", "delete")
_GENERAL = (
    Permission(
        EVENTS,
        ("list", "create", "patch"),
        "Write the events that `kubectl describe` shows, and count repeated ones; read the warnings about a pod that "
        "is waited for and does not start.",
    ),
)
_RELEASE: tuple[Rule, ...] = (
    {
        "apiGroups": [LEASES.group],
        "resources": [LEASES.plural],
        "verbs": ["create"],
        "why": "Leader election. Creation cannot be restricted to a name.",
    },
    {
        "apiGroups": [LEASES.group],
        "resources": [LEASES.plural],
        "resourceNames": ["<name>"],
        "verbs": ["get", "update"],
        "why": "Leader election, on the one Lease named after the release's objects.",
    },
)


def permissions(table: Sequence[Entry] = KINDS) -> dict[str, Any]:
    """`kinds`: the plurals of all kinds. `watched`: rules for every namespace that the operator watches. `release`:
    those for the release's namespace alone, where `<name>` stands for the name of its objects.
    """
    return {
        "kinds": [entry.kind.resource.plural for entry in table],
        "watched": [*_of_kinds(table), *_of_parts(table)],
        "release": list(_RELEASE),
    }


def watched(table: Sequence[Entry] = KINDS) -> dict[tuple[str, str], tuple[str, ...]]:
    """(API group, resource) → verbs, in every namespace that the operator watches."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for rule in permissions(table)["watched"]:
        for key in ((group, resource) for group in rule["apiGroups"] for resource in rule["resources"]):
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *rule["verbs"])))
    return found


def _of_kinds(table: Sequence[Entry]) -> Iterator[Rule]:
    """On our own kinds, whatever they are."""
    yield _rule(table, "", ["list", "watch"], "Read policies and runs.")
    yield _rule(table, "/status", ["patch"], "Write status, by server-side apply.")
    recorded = [entry for entry in table if entry.kind.traits.acts_on_status]
    if recorded:
        yield _rule(recorded, "", ["get"], "Make sure that no newer status exists before acting on one.")
    owners = [entry for entry in table if entry.kind.traits.is_owner]
    if owners:
        yield _rule(
            owners,
            "/finalizers",
            ["update"],
            "Own objects with `blockOwnerDeletion`, which clusters with the admission plugin "
            "OwnerReferencesPermissionEnforcement (OpenShift) allow only with this verb. The "
            "operator sets no finalizer.",
        )


def _rule(table: Iterable[Entry], suffix: str, verbs: list[str], why: str) -> Rule:
    resources = [f"{entry.kind.resource.plural}{suffix}" for entry in table]
    return {"apiGroups": [GROUP], "resources": resources, "verbs": verbs, "why": why}


def _of_parts(table: Iterable[Entry]) -> Iterator[Rule]:
    """On everything else: what several ask for is one rule, with the reasons of all."""
    asked = [each for entry in table for needs in entry.needs for each in needs.permissions]
    by_resource: dict[tuple[str, str], list[Permission]] = {}
    for each in (*asked, *_GENERAL):
        by_resource.setdefault((each.resource.group, each.resource.plural), []).append(each)
    for (group, plural), found in by_resource.items():
        verbs = {verb for each in found for verb in each.verbs}
        yield {
            "apiGroups": [group],
            "resources": [plural],
            "verbs": [verb for verb in _ORDER if verb in verbs],
            "why": " ".join(dict.fromkeys(each.why for each in found)),
        }
