"""Permissions: exactly what the operator uses, and not a verb more."""

from __future__ import annotations

from typing import Any

import pytest
from tests.chart.conftest import Render, Rendered

from accord.adapters.kubernetes.resources import EVENTS, LEASES
from accord.kinds import KINDS, optional, watched

OWN_KINDS = [entry.kind.resource for entry in KINDS]
Rule = dict[str, Any]
Permission = tuple[str, str, str]


def permissions(rules: list[Rule]) -> set[Permission]:
    """(group, resource, verb) of all rules."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def operators_rules(rendered: Rendered) -> list[Rule]:
    """Rules of all roles that a binding gives to the operator's ServiceAccount."""
    bound = {
        (b["roleRef"]["kind"], b["roleRef"]["name"]) for b in rendered.objects if b["kind"].endswith("RoleBinding")
    }
    roles = [o for o in rendered.objects if (o["kind"], o["metadata"]["name"]) in bound]
    return [rule for role in roles for rule in role["rules"]]


def test_no_wildcards_no_secrets_no_escalation(render: Render) -> None:
    for values in ("default", "everything"):
        for role in (*render(values).all("ClusterRole"), *render(values).all("Role")):
            for group, resource, verb in permissions(role["rules"]):
                assert "*" not in (group, resource, verb)
                assert resource not in ("secrets", "nodes", "serviceaccounts", "namespaces")
                # A pod that a sidecar keeps is ended by a field of it. Who may create Jobs can do no more by that.
                assert not resource.startswith("pods") or (resource, verb) in {
                    ("pods", "list"),
                    ("pods", "watch"),
                    ("pods", "patch"),
                }
                assert verb not in ("escalate", "bind", "impersonate")
                assert group != "rbac.authorization.k8s.io"


def test_what_is_watched_may_be_watched(render: Render) -> None:
    granted = permissions(operators_rules(render()))
    for resource in (*watched(KINDS), *optional(KINDS)):
        for verb in ("list", "watch"):
            assert (resource.group, resource.plural, verb) in granted


def test_nothing_is_granted_beyond_the_kinds_that_the_operator_knows(render: Render) -> None:
    known = {(r.group, r.plural) for r in (*watched(KINDS), *optional(KINDS), EVENTS, LEASES)}
    known |= {(r.group, f"{r.plural}/status") for r in OWN_KINDS} | {
        ("accord.dev", "trafficpolicies/finalizers"),
        ("accord.dev", "trainingruns/finalizers"),
    }
    assert {(group, resource) for group, resource, _ in permissions(operators_rules(render()))} == known


def test_policies_and_slices_are_only_read(render: Render) -> None:
    granted = permissions(operators_rules(render()))
    read_only = {("accord.dev", r.plural) for r in OWN_KINDS} | {("discovery.k8s.io", "endpointslices")}
    changing = {(r, verb) for g, r, verb in granted if (g, r) in read_only and verb not in ("get", "list", "watch")}
    assert changing == {("trainingruns", "delete"), ("trainingruns", "patch")}, (
        "a run may ask for its own end by ttlAfterFinished, and a rollback marks it; nothing else goes or changes"
    )
    assert {verb for _, resource, verb in granted if resource.endswith("/status")} == {"patch"}


def test_all_namespaces_by_a_cluster_role(render: Render) -> None:
    rendered = render()
    assert rendered.one("ClusterRoleBinding")["roleRef"]["name"] == "accord"
    assert [role["metadata"]["name"] for role in rendered.all("Role")] == ["accord-leader"]


def test_a_list_of_namespaces_by_a_role_in_each(render: Render) -> None:
    rendered = render("everything")
    assert not rendered.all("ClusterRoleBinding")
    places = {
        (b["metadata"]["namespace"], b["roleRef"]["kind"], b["roleRef"]["name"]) for b in rendered.all("RoleBinding")
    }
    assert places == {
        ("shop", "Role", "traffic"),
        ("chat", "Role", "traffic"),
        ("accord-system", "Role", "traffic-leader"),
    }
    for binding in rendered.all("RoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "traffic", "namespace": "accord-system"}]
    everywhere = permissions(render().one("ClusterRole", "accord")["rules"])
    for role in rendered.all("Role"):
        if role["metadata"]["name"] == "traffic":
            assert permissions(role["rules"]) == everywhere


def test_two_releases_share_nothing_that_is_cluster_wide(render: Render) -> None:
    """As docs/how-to/install.md has it: the second one has another name and leaves the CRDs to the first."""

    def wide(**values: str) -> set[tuple[str, str]]:
        found = {(o["kind"], o["metadata"]["name"]) for o in render("default", **values).objects}
        return {each for each in found if each[0].startswith(("Cluster", "Custom", "Validating"))}

    first = wide(namespaces="{shop}")
    second = wide(namespaces="{chat}", fullnameOverride="other", crds__install="false", rbac__aggregate="false")
    assert len(first) == 3 + 2 + 2, "CRDs, roles for people, the policy and its binding"
    assert second == {(kind, "other.accord-system") for kind, name in first if kind.startswith("Validating")}
    assert not first & wide(namespaces="{chat}", fullnameOverride="other", crds__install="false")


def test_only_one_lease_may_be_changed(render: Render) -> None:
    rules = [rule for rule in operators_rules(render("everything")) if rule["resources"] == ["leases"]]
    assert {(tuple(rule["verbs"]), tuple(rule.get("resourceNames", ()))) for rule in rules} == {
        (("create",), ()),
        (("get", "update"), ("traffic",)),
    }


@pytest.mark.parametrize(
    ("role", "aggregated_to", "verbs"),
    [
        ("accord-view", {"view", "edit", "admin"}, {"get", "list", "watch"}),
        ("accord-edit", {"edit", "admin"}, {"create", "update", "patch", "delete", "deletecollection"}),
    ],
)
def test_people_get_rights_through_the_built_in_roles(
    render: Render, role: str, aggregated_to: set[str], verbs: set[str]
) -> None:
    found = render().one("ClusterRole", role)
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {k.removeprefix(prefix) for k in found["metadata"]["labels"] if k.startswith(prefix)} == aggregated_to
    assert {verb for _, _, verb in permissions(found["rules"])} == verbs
    assert ("accord.dev", "trafficpolicies/status", "patch") not in permissions(found["rules"])
