"""What tests/grants.py makes of the requests that tests have seen."""

from __future__ import annotations

from collections import Counter

from tests import grants
from tests.apiserver import rights


def event(verb: str, resource: str, code: int = 200, decision: str = "allow") -> dict[str, object]:
    group, _, plural = resource.rpartition("/")
    return {
        "verb": verb,
        "annotations": {"authorization.k8s.io/decision": decision},
        "objectRef": {"apiGroup": group, "resource": plural},
        "responseStatus": {"code": code},
    }


def test_a_request_shows_the_rights_that_allowed_it() -> None:
    made = event("patch", "apps/deployments", 201)
    assert list(rights.needed(made)) == [("apps", "deployments", "patch"), ("apps", "deployments", "create")]
    assert list(rights.needed(event("patch", "apps/deployments"))) == [("apps", "deployments", "patch")]
    assert not list(rights.needed(event("get", "apps/deployments", decision="forbid")))
    status = {**event("patch", "pods"), "objectRef": {"resource": "pods", "subresource": "status"}}
    assert list(rights.needed(status)) == [("", "pods/status", "patch")]


def test_what_is_granted_and_never_used() -> None:
    everything = Counter(grants.granted() - grants.NOT_SHOWN.keys())
    assert grants.NOT_SHOWN.keys() <= grants.granted()
    assert not grants.unused(everything)
    del everything["apps", "deployments", "delete"]
    assert grants.unused(everything) == [("apps", "deployments", "delete")]
    everything["", "secrets", "get"] += 1
    assert grants.unused(everything) == [("apps", "deployments", "delete")]
