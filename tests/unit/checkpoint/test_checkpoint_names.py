"""Names that two policies, two trainings or a long name must not share."""

from __future__ import annotations

import pytest

from accord.domain.checkpoint import names


def test_names_say_policy_step_and_attempt() -> None:
    assert names.checkpoint("ranker", 4000, 2, "abcde") == "ranker-4000-a2-abcde"


def test_long_names_are_cut_to_unique_beginnings() -> None:
    long, other = "x" * 62 + "a", "x" * 62 + "b"
    made = names.checkpoint(long, 1_000_000, 12, "abcde")
    assert len(made) <= 63
    assert made.endswith("-1000000-a12-abcde")
    assert made != names.checkpoint(other, 1_000_000, 12, "abcde")


def test_a_run_made_anew_is_another_training() -> None:
    assert names.training("uid-1") != names.training("uid-2")


def test_labels_fit() -> None:
    labels = names.labels("p" * 63, "r" * 200, "abcde", 500, 1)
    assert all(len(value) <= 63 for value in labels.values())


@pytest.mark.parametrize(
    ("text", "target"), [("4000-a2", (4000, 2)), ("", None), ("4000", None), ("x-a2", None), ("4-a-2", None)]
)
def test_targets(text: str, target: tuple[int, int] | None) -> None:
    assert names.parse_target(text) == target
    if target is not None:
        assert names.target(*target) == text
