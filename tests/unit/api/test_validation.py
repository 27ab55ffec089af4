"""Offline validation says what the API server says: test_crds.py in tests/apiserver sends it the same inputs."""

from __future__ import annotations

import re

import pytest
from tests.apiserver.crd_cases.cases import ALL, REFUSED, VIOLATIONS, Cases, Refused, Violation, merge_patch, rules

from accord.api.schema import resource_schema
from accord.api.validation import FieldError, stored, validate

KIND = [cases.kind.kind for cases in ALL]


@pytest.mark.parametrize("cases", ALL, ids=KIND)
def test_good_manifests_have_no_errors(cases: Cases) -> None:
    assert validate(cases.minimal) == []
    assert validate(cases.full) == []


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_a_broken_rule_is_reported_with_its_path_and_message(case: Refused) -> None:
    assert FieldError(case.path, case.message) in validate(case.manifest, case.old)


@pytest.mark.parametrize("case", [case for case in REFUSED if case.old], ids=lambda case: case.id)
def test_transition_rules_need_the_old_object(case: Refused) -> None:
    assert validate(case.manifest) == []


@pytest.mark.parametrize(("name", "old", "new"), [change for cases in ALL for change in cases.allowed])
def test_an_allowed_change_has_no_errors(name: str, old: dict, new: dict) -> None:
    assert validate(new, old) == [], name


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda violation: violation.id)
def test_a_broken_bound_is_reported_at_its_field(violation: Violation) -> None:
    assert violation.path in {error.path for error in validate(violation.manifest)}


@pytest.mark.parametrize("cases", ALL, ids=KIND)
def test_every_rule_has_a_case(cases: Cases) -> None:
    shown = [(re.sub(r"\[\d+\]", "[]", case.path), case.message, case.old is not None) for case in cases.refused]
    for path, message, rule in rules(resource_schema(cases.kind)):
        assert any(
            path == at and said.startswith(message) and transition == ("oldSelf" in rule)
            for at, said, transition in shown
        ), f"{cases.kind.kind} {path}: no case in tests/apiserver/crd_cases is refused by: {message}"


TRAFFIC, TRAINING, CHECKPOINT = ALL


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        (
            {"kind": "TrafficPolice"},
            "kind: must be one of TrafficPolicy, TrainingRun, CheckpointPolicy, not 'TrafficPolice'",
        ),
        ({"apiVersion": "accord.dev/v1"}, "apiVersion: must be accord.dev/v1alpha1, not 'accord.dev/v1'"),
        ({"spec": None}, "spec: is required"),
        ({"metadata": None}, "metadata: is required"),
        ({"metadata": {"name": None}}, "metadata.name: is required"),
        ({"metadata": {"lables": {}}}, "metadata.lables: unknown field; did you mean labels?"),
        ({"metadata": {"labels": {"a": 1}}}, "metadata.labels.a: must be of type string, not integer"),
        (
            {"metadata": {"name": "Chat"}},
            "metadata.name: must be lower-case letters, digits, - and ., "
            "beginning and ending with a letter or digit, not 'Chat'",
        ),
        ({"specs": {}}, "specs: unknown field; did you mean spec?"),
        ({"spec": {"stickySessions": {}}}, "spec.stickySessions: unknown field; did you mean stickySession?"),
        ({"spec": {"suspend": "yes"}}, "spec.suspend: must be of type boolean, not string"),
        ({"spec": {"modes": []}}, "spec.modes: must be at least 1 items, not 0"),
        (
            {"spec": {"strategy": "Roundrobin"}},
            "spec.strategy: must be one of WeightedRandom, RoundRobin, UserPreference, not 'Roundrobin'; "
            "did you mean RoundRobin?",
        ),
        (
            {"spec": {"stickySession": {"ttl": "1 hour"}}},
            "spec.stickySession.ttl: must be a duration such as 30s, 5m or 1h30m, not '1 hour'",
        ),
        (
            {"spec": {"router": {"envoy": {"resources": {"limits": {"cpu": "lots"}}}}}},
            "spec.router.envoy.resources.limits.cpu: must be an amount such as 10Gi, 500m or 2, not 'lots'",
        ),
    ],
)
def test_messages_say_what_to_do(patch: dict, error: str) -> None:
    assert error in [str(found) for found in validate(merge_patch(TRAFFIC.minimal, patch))]


def test_a_bare_off_in_yaml_is_explained() -> None:
    manifest = merge_patch(TRAINING.minimal, {"spec": {"retuning": {"mode": False}}})
    assert [str(error) for error in validate(manifest)] == [
        'spec.retuning.mode: must be of type string, not boolean; put the word in quotes, as "Off"'
    ]


def test_several_errors_are_reported_at_once() -> None:
    patch = {"spec": {"suspend": 1, "strategy": 2, "nope": 3}}
    assert {error.path for error in validate(merge_patch(TRAFFIC.minimal, patch))} == {
        "spec.suspend",
        "spec.strategy",
        "spec.nope",
    }


def test_nulls_count_as_absent() -> None:
    manifest = {**TRAFFIC.minimal, "spec": {**TRAFFIC.minimal["spec"], "fallbackMode": None, "strategy": None}}
    assert validate(manifest) == []
    assert stored(manifest)["spec"]["strategy"] == "WeightedRandom"
    assert "fallbackMode" not in stored(manifest)["spec"]


def test_a_whole_float_is_an_integer() -> None:
    manifest = merge_patch(CHECKPOINT.minimal, {"spec": {"retention": {"max": 7.0}}})
    assert validate(manifest) == []
    assert isinstance(stored(manifest)["spec"]["retention"]["max"], int)


def test_the_status_is_not_looked_at() -> None:
    assert validate({**TRAFFIC.minimal, "status": {"anything": 1}}) == []


def test_a_pod_template_may_hold_what_we_do_not_know() -> None:
    containers = [{"name": "trainer", "image": "x", "newField": {"a": [1]}}]
    manifest = merge_patch(TRAINING.minimal, {"spec": {"template": {"spec": {"containers": containers, "new": 1}}}})
    assert validate(manifest) == []
    assert stored(manifest)["spec"]["template"] == manifest["spec"]["template"]


def test_stored_refuses_another_kind() -> None:
    with pytest.raises(ValueError, match="kind: must be one of"):
        stored({"apiVersion": "accord.dev/v1alpha1", "kind": "Pod"})
