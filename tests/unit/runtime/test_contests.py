"""Writes that somebody changes back, and how little is remembered of those that nobody does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from accord.domain.children import Difference
from accord.domain.plan import ObjectKey
from accord.runtime.contests import LIMIT, TRUCE, Contests

OWNER = ObjectKey("accord.dev/v1alpha1", "CheckpointPolicy", "ns", "p")
GONE = (Difference((), "gone"),)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def child(number: int) -> ObjectKey:
    return ObjectKey("snapshot.storage.k8s.io/v1", "VolumeSnapshot", "ns", f"p-{number}")


def test_what_was_written_long_ago_is_forgotten_while_its_owner_lives() -> None:
    contests = Contests()
    for number in range(1_000):
        contests.wrote(OWNER, child(number), GONE, NOW + timedelta(seconds=15 * number))
    remembered = contests._writes[OWNER]
    assert len(remembered) <= TRUCE / timedelta(seconds=15) + 1
    assert child(999) in remembered


def test_other_writes_do_not_end_a_contest() -> None:
    contests = Contests()
    for number in range(LIMIT):
        contests.wrote(OWNER, child(0), GONE, NOW + timedelta(seconds=number))
        contests.wrote(OWNER, child(number + 1), GONE, NOW + timedelta(seconds=number))
    assert contests.standing(OWNER, child(0), GONE, NOW + timedelta(minutes=1)) is not None
    assert contests.standing(OWNER, child(1), GONE, NOW + timedelta(minutes=1)) is None
    contests.forget(OWNER)
    assert contests._writes == {}


def test_what_we_change_to_and_fro_ourselves_is_no_contest() -> None:
    contests, path = Contests(), ("spec", "rules")
    one, other = (Difference(path, "60"),), (Difference(path, "70"),)
    for number in range(2 * LIMIT):
        contests.wrote(OWNER, child(0), (one, other)[number % 2], NOW + timedelta(seconds=number))
    later = NOW + timedelta(minutes=1)
    assert contests.standing(OWNER, child(0), one, later) is None
    assert contests.standing(OWNER, child(0), other, later) is None
    for number in range(LIMIT):
        contests.wrote(OWNER, child(0), one, later + timedelta(seconds=number))
    assert contests.standing(OWNER, child(0), one, later + timedelta(seconds=LIMIT)) is not None
