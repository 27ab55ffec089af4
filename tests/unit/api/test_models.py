"""The models read what people and the API server write."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tests.apiserver.crd_cases.cases import ALL, Cases

from accord.api.base import DURATION_LENGTH, Duration, format_duration, parse_duration
from accord.api.v1alpha1.checkpointpolicy import CheckpointPolicy
from accord.api.v1alpha1.trafficpolicy import TrafficPolicySpec
from accord.api.v1alpha1.trainingrun import Checkpoints, TrainingRun


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("500ms", 0.5), ("1.5h", 5400), ("0s", 0), ("1m1m", 120)],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "1d", "m", "1.h", ".5h", "5m\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 30s, 5m or 1h30m"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=999_999 * 3_600_000))
def test_a_written_duration_is_read_back(milliseconds: int) -> None:
    span = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(span)) == span


@given(
    st.from_regex(r"([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+", fullmatch=True).filter(lambda s: len(s) <= DURATION_LENGTH)
)
def test_no_accepted_duration_overflows(text: str) -> None:
    """CEL holds durations in 64-bit nanoseconds: 292 years."""
    assert TypeAdapter(Duration).validate_python(text) < timedelta(days=292 * 365)


def test_the_fallback_is_the_first_mode_unless_named() -> None:
    mode = {"weight": 50, "deploymentRef": {"name": "x"}, "port": 80}
    modes = [{"name": "a", **mode}, {"name": "b", **mode}]
    assert TrafficPolicySpec.model_validate({"modes": modes}).fallback == "a"
    assert TrafficPolicySpec.model_validate({"modes": modes, "fallbackMode": "b"}).fallback == "b"


def test_the_claim_to_make_has_its_defaults() -> None:
    default = Checkpoints().claim
    assert default is not None
    assert (default.storage, default.access_modes) == ("10Gi", ["ReadWriteOnce"])
    assert Checkpoints.model_validate({"claimName": "mine"}).claim is None
    given_claim = Checkpoints.model_validate({"volumeClaim": {"storage": 5}}).claim
    assert given_claim is not None
    assert given_claim.storage == "5"


@pytest.mark.parametrize("cases", ALL, ids=lambda cases: cases.kind.kind)
def test_unknown_fields_are_ignored_when_reading(cases: Cases) -> None:
    """An older operator may meet objects of a newer CRD."""
    metadata = {**cases.full["metadata"], "namespace": "default", "managedFields": []}
    known = cases.kind.model_validate({**cases.full, "metadata": metadata})
    newer = {**cases.full, "metadata": metadata, "spec": {**cases.full["spec"], "newField": 1}}
    assert cases.kind.model_validate(newer) == known


def test_objects_are_immutable() -> None:
    run = TrainingRun.model_validate(_live("TrainingRun"))
    with pytest.raises(ValidationError, match="frozen"):
        run.spec.total_steps = 1  # type: ignore[misc]


def test_lambda_keeps_its_name_in_manifests() -> None:
    run = TrainingRun.model_validate(_live("TrainingRun"))
    assert run.spec.ppo.gae_lambda == 0.95
    assert run.spec.ppo.model_dump(by_alias=True)["lambda"] == 0.95


def test_a_policy_without_serving_is_read() -> None:
    policy = CheckpointPolicy.model_validate(_live("CheckpointPolicy"))
    assert policy.spec.serving is None
    assert policy.spec.detection.loss_spike.baseline_window == 1000


def _live(kind: str) -> dict:
    minimal = next(cases.minimal for cases in ALL if cases.kind.kind == kind)
    return {**minimal, "metadata": {"name": "x", "namespace": "default"}}
