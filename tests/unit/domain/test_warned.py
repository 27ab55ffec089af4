"""Which of the Events about a pod tells why it does not start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from accord.domain.warned import Warned, newest

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def event(reason: str, note: str, ago: int = 0, field: str = "deprecatedLastTimestamp", **more: Any) -> dict[str, Any]:
    at = (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    created = (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    seen = {"series": {"lastObservedTime": f"{at[:-1]}.123456Z"}} if field == "series" else {field: at}
    return {
        "metadata": {"creationTimestamp": created},
        "type": "Warning",
        "reason": reason,
        "note": note,
        **seen,
        **more,
    }


def test_the_newest_that_tells_counts_however_its_time_is_told() -> None:
    older, newer = event("FailedAttachVolume", "in use", ago=200), event("FailedMount", "no such device", ago=100)
    assert newest([newer, older], NOW) == Warned("FailedMount", "no such device")
    counted = event("FailedAttachVolume", "still in use", ago=10, field="series")
    assert newest([newer, counted, older], NOW) == Warned("FailedAttachVolume", "still in use")
    assert newest([event("FailedMount", "x", field="eventTime")], NOW) == Warned("FailedMount", "x")


def test_a_job_that_makes_no_pod_is_told_of_by_its_controller() -> None:
    refused = event("FailedCreate", "Error creating: pods is forbidden", ago=10)
    assert newest([event("BackoffLimitExceeded", "x"), refused], NOW) == Warned("FailedCreate", refused["note"])


def test_what_tells_nothing_or_is_over_does_not_count() -> None:
    assert newest([], NOW) is None
    assert newest([event("BackOff", "restarting"), event("FailedMount", "x", type="Normal")], NOW) is None
    assert newest([event("FailedMount", "mended since", ago=400)], NOW) is None
