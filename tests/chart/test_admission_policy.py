"""The policy that holds the operator's account: whom it concerns, and when there is none.

`tests/apiserver/test_guard.py` tries it.
"""

from __future__ import annotations

from tests.chart.conftest import Render, helm_template

from accord.rbac import watched

KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
WRITING = {"create", "update", "patch", "delete"}


def test_it_concerns_the_account_that_the_operator_runs_as(render: Render) -> None:
    for values in ("default", "everything"):
        rendered = render(values)
        policy, binding = (rendered.one(kind) for kind in KINDS)
        account = rendered.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
        assert [condition["expression"] for condition in policy["spec"]["matchConditions"]] == [
            f"request.userInfo.username == 'system:serviceaccount:accord-system:{account}'"
        ]
        assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
        assert policy["spec"]["failurePolicy"] == "Fail"


def test_two_releases_have_two(render: Render) -> None:
    assert {render(values).one(kind)["metadata"]["name"] for values in ("default", "everything") for kind in KINDS} == {
        "accord.accord-system",
        "traffic.accord-system",
    }
    elsewhere = helm_template("--namespace", "shop").stdout
    assert "name: accord.shop" in elsewhere
    assert "accord.accord-system" not in elsewhere


def test_every_write_that_the_roles_allow_has_a_rule(render: Render) -> None:
    """A part of the operator that is new needs none of its own: what it makes must be controlled by one of ours."""
    rules = [rule["expression"] for rule in render().one(KINDS[0])["spec"]["validations"]]
    for (group, resource), verbs in watched().items():
        if group == "accord.dev":
            assert resource.endswith(("/status", "/finalizers")) or any(f"'accord.dev/{resource}'" in r for r in rules)
        elif WRITING & set(verbs):
            named = [rule for rule in rules if f'"{group}/{resource}"' in rule or f"'{group}/{resource}'" in rule]
            assert len(named) >= 2, f"{group}/{resource} may be written, and nothing says how"
        else:
            assert not any(f"{group}/{resource}" in rule for rule in rules)


def test_it_can_be_tried_out_and_left_out(render: Render) -> None:
    assert render(admissionPolicy__validationActions="{Audit}").one(KINDS[1])["spec"]["validationActions"] == ["Audit"]
    assert not render(admissionPolicy__enabled="false").kinds() & set(KINDS)


def test_there_is_none_where_the_api_server_does_not_serve_it() -> None:
    without = helm_template("--api-versions", "v1/ConfigMap").stdout
    assert "ValidatingAdmissionPolicy" not in without
    served = ("v1/ConfigMap", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy")
    assert "kind: ValidatingAdmissionPolicy\n" in helm_template("--api-versions", ",".join(served)).stdout
