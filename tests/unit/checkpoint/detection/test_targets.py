"""The choice of a checkpoint to go back to."""

from __future__ import annotations

import pytest

from accord.domain.checkpoint.targets import Candidate, choose

SAVED = [Candidate(step) for step in (500, 1000, 1500, 2000)]


@pytest.mark.parametrize(
    ("onset", "steps", "target"),
    [
        (2100, 1, 1500),  # the newest is good, but one back is asked for
        (2100, 3, 500),
        (2100, 4, None),
        (1900, 1, 1500),
        (1500, 1, 1000),  # what was saved at the onset is not from before it
        (1200, 1, 1000),  # further back than asked for
        (500, 1, None),
        (2001, 0, 2000),
    ],
)
def test_the_newest_that_is_far_enough_back_and_from_before(onset: int, steps: int, target: int | None) -> None:
    assert choose(reversed(SAVED), onset, steps) == target


def test_what_is_unverified_or_quarantined_neither_counts_nor_is_chosen() -> None:
    bad = [Candidate(2500, verified=False), Candidate(3000, quarantined=True)]
    assert choose([*SAVED, *bad], 5000, 1) == 1500
    assert choose([Candidate(500, quarantined=True), Candidate(1000, verified=False), Candidate(1500)], 5000, 1) is None
