"""Numbers that anybody may write."""

from __future__ import annotations

import pytest

from accord.adapters.routers.envoy.quantities import canonical_quantity
from accord.adapters.workloads.job.view import JobView
from accord.domain.checkpoint import names
from accord.domain.checkpoint.checkpoint import Checkpoint
from accord.domain.checkpoint.views import ClaimView, DeploymentView, RunView
from accord.domain.children import quantity
from accord.domain.numbers import finite, whole
from accord.domain.training.names import ATTEMPT_LABEL, FAILED_BEFORE_ANNOTATION, RESTART_ATTEMPT_ANNOTATION
from accord.domain.training.views import PodView

HUGE = "1" * 5000


@pytest.mark.parametrize("text", [None, "", "x", "-1", "+1", "1.0", "1e3", "١", "NaN", HUGE])
def test_what_is_no_whole_number_is_none(text: str | None) -> None:
    assert whole(text) is None


def test_a_whole_number_is_read() -> None:
    assert (whole("0"), whole("007"), whole("9" * 12)) == (0, 7, 999_999_999_999)


@pytest.mark.parametrize("text", [None, "", "x", "nan", "NaN", "inf", "-Infinity", HUGE])
def test_what_is_no_finite_number_is_none(text: str | None) -> None:
    assert finite(text) is None


def test_a_finite_number_is_read() -> None:
    assert (finite("-1.5"), finite("3e-4")) == (-1.5, 3e-4)


@pytest.mark.parametrize("text", [HUGE, "NaN", "-1", ""])
def test_objects_with_strange_labels_and_annotations_are_read_all_the_same(text: str) -> None:
    labels = {ATTEMPT_LABEL: text, names.STEP_LABEL: text}
    written = (names.LOSS_ANNOTATION, names.REWARD_ANNOTATION, names.TARGET_ANNOTATION, FAILED_BEFORE_ANNOTATION)
    annotations = dict.fromkeys((*written, RESTART_ATTEMPT_ANNOTATION, names.SERVED_STEP_ANNOTATION), text)
    meta = {"name": "x", "namespace": "ns", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    manifest = {"metadata": {**meta, "labels": labels, "annotations": annotations}}
    template = {"metadata": {"annotations": annotations}}
    assert JobView.of(manifest).failed_before == 0
    assert PodView.of(manifest).attempt == 0
    assert ClaimView.of(manifest).number(names.STEP_LABEL) is None
    assert RunView.of(manifest).marked(RESTART_ATTEMPT_ANNOTATION) == 0
    assert DeploymentView.of({**manifest, "spec": {"template": template}}).step is None
    assert Checkpoint.of_snapshot(manifest) is None
    kept = Checkpoint.of_snapshot({**manifest, "metadata": {**manifest["metadata"], "name": "x-500-a1-abcde"}})
    assert kept is not None
    assert kept.target is None
    assert kept.loss in (None, -1.0), "of a NaN nothing can be said, and JSON cannot hold it"
    assert names.parse_target(f"{text}-a{text}") is None


def test_quantities_beyond_all_bounds_are_none_and_take_no_time() -> None:
    assert quantity("1e999999999999999999") is None
    for text in (HUGE, "1e999999999", f"1e{HUGE}"):
        assert canonical_quantity(text) == text
