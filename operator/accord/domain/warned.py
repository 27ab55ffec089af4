"""What Kubernetes last warned of a pod that has a node and no container yet, or of a Job that makes none: their status
does not say why.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from accord.api.base import Manifest
from accord.domain.conditions import timestamp
from accord.domain.words import NO_REASON

_TELLING = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedCreate"})
"""Reasons that tell why; kubelet, the attach-detach controller and, the last one, the Job controller write them."""


_STANDS = timedelta(minutes=5)
"""How long it holds: kubelet repeats what it cannot mount every two to three minutes."""


class Warned(NamedTuple):
    """The reason of an Event, and its words."""

    reason: str
    note: str


def newest(events: Iterable[Manifest], now: datetime) -> Warned | None:
    """The newest of some Events (events.k8s.io/v1) that tells why a pod is not started or made, unless it is over."""
    since = timestamp(now - _STANDS)[:19]
    telling = [
        event
        for event in events
        if event.get("type") == "Warning" and event.get("reason") in _TELLING and _time(event) >= since
    ]
    last = max(telling, key=_time, default=None)
    return None if last is None else Warned(last["reason"], str(last.get("note") or NO_REASON))


def _time(event: Manifest) -> str:
    """When it was seen last: RFC 3339 in UTC, so that texts compare. Kubelet still counts in the deprecated fields."""
    seen = (
        (event.get("series") or {}).get("lastObservedTime"),
        event.get("deprecatedLastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    # To the second: MicroTime has digits that Time has not.
    return max((str(each)[:19] for each in seen if each), default="")
