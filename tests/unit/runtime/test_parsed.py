"""Models are read once for each revision, and are not kept for good."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.runtime.parsed import KEPT, Parsed


def policy(name: str, version: int = 1, **spec: Any) -> dict[str, Any]:
    modes = [{"name": "fast", "weight": 100, "deploymentRef": {"name": "fast"}, "port": 80}]
    meta = {"namespace": "ns", "name": name, "uid": name, "resourceVersion": str(version)}
    return {
        "apiVersion": "accord.dev/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": meta,
        "spec": {"modes": modes, **spec},
    }


@pytest.fixture
def parsed() -> Parsed[TrafficPolicy]:
    return Parsed(TrafficPolicy)


def test_a_revision_is_read_once(parsed: Parsed[TrafficPolicy]) -> None:
    first = parsed.of(policy("a"))
    assert parsed.of(policy("a")) is first
    assert parsed.of(policy("a", 2)) is not first
    parsed.forget(ObjectKey.of(policy("a")))
    assert not len(parsed)


def test_of_many_objects_the_models_asked_for_last_are_kept(parsed: Parsed[TrafficPolicy]) -> None:
    first, second = parsed.of(policy("0")), parsed.of(policy("1"))
    for number in range(2, KEPT + 1):
        parsed.of(policy(str(number)))
        assert parsed.of(policy("0")) is first
    assert len(parsed) == KEPT
    assert parsed.of(policy("1")) is not second


def test_what_cannot_be_read_leaves_nothing(parsed: Parsed[TrafficPolicy]) -> None:
    with pytest.raises(ValidationError):
        parsed.of(policy("a", modes="none"))
    assert not len(parsed)
