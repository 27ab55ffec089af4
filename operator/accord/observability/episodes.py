"""Rollbacks as the status of a CheckpointPolicy has them: what many passes do, of perhaps several replicas.

Nothing is remembered of them here, so that whoever ends a rollback tells the whole of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accord.api.base import Manifest
from accord.domain.conditions import parse_timestamp

_FIELDS = ("signal", "phase", "fromStep", "toStep", "attempt", "onset", "waitingSince")


@dataclass(frozen=True)
class Episode:
    """One rollback."""

    seed: str
    """The same in every replica and every pass, and of no other rollback."""
    began: datetime
    """When its signal was confirmed."""
    ended: datetime | None
    facts: Mapping[str, str | int]
    """By the names in the status."""


def going_on(manifest: Manifest) -> Episode | None:
    """The rollback that is in progress by this status."""
    return _episode(manifest, (manifest.get("status") or {}).get("rollback"))


def ended(manifest: Manifest) -> Episode | None:
    """The newest one that has ended by this status, however long ago."""
    found = next(iter((manifest.get("status") or {}).get("history") or ()), None)
    episode = _episode(manifest, found)
    return None if episode is None or episode.ended is None else episode


def _episode(manifest: Manifest, record: Mapping[str, Any] | None) -> Episode | None:
    if manifest["kind"] != "CheckpointPolicy" or not record:
        return None
    completed = record.get("completedAt")
    return Episode(
        f"{manifest['metadata'].get('uid')} {record['id']}",
        parse_timestamp(record["startedAt"]),
        None if completed is None else parse_timestamp(completed),
        {name: record[name] for name in _FIELDS if record.get(name) is not None},
    )
