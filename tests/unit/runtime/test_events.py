"""What becomes of events: each told once, repeated ones counted, and a crowd of them combined."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from accord.adapters.kubernetes.connection import Connection
from accord.adapters.kubernetes.events import EventRecorder
from accord.api.base import Manifest
from accord.api.v1alpha1.trafficpolicy import ModeStatus, TrafficPolicyStatus
from accord.domain.plan import Event
from accord.domain.traffic.events import transitions
from accord.ports.clock import Clock

POLICY = {"apiVersion": "accord.dev/v1alpha1", "kind": "TrafficPolicy"}


class Recorded:
    """The Events that an API server would hold: note and count."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.events: dict[str, tuple[str, int]] = {}
        self._recorder = EventRecorder(cast("Connection", self), self.clock(), "test")

    def clock(self) -> Clock:
        """Its time is `self.now`."""
        return cast("Clock", SimpleNamespace(now=lambda: self.now))

    async def request(self, verb: str, _: str, __: object, path: str, **said: Any) -> Manifest:
        body = said["body"]
        if verb == "create":
            self.events[body["metadata"]["name"]] = (body["note"], 1)
        else:
            name = path.rpartition("/")[2]
            self.events[name] = (self.events[name][0], body["series"]["count"])
        return {}

    def tell(self, *events: Event, about: str = "p") -> None:
        manifest = {**POLICY, "metadata": {"namespace": "ns", "name": about, "uid": about}}
        for event in events:
            asyncio.run(self._recorder.record(manifest, event))

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)


def split(fast: int) -> TrafficPolicyStatus:
    modes = [
        ModeStatus(name=name, target=share, effective=share) for name, share in (("fast", fast), ("slow", 100 - fast))
    ]
    return TrafficPolicyStatus(modes=modes)


def test_sixty_changes_of_shares_in_a_row_are_one_line_and_a_count() -> None:
    recorded = Recorded()
    for fast in range(20, 80):
        recorded.tell(*transitions(split(fast), split(fast + 1)))
        recorded.later(seconds=1)
    assert list(recorded.events.values()) == [
        ("shares changed: fast 20% → 21%, slow 80% → 79%", 1),
        ("shares keep changing; status.modes has the current ones", 59),
    ]


def test_changes_with_rest_between_them_and_of_several_policies_are_told_in_full() -> None:
    recorded = Recorded()
    for fast in (20, 40, 60):
        recorded.tell(*transitions(split(fast), split(fast + 20)))
        recorded.later(minutes=2)
    recorded.tell(*transitions(split(20), split(40)), about="q")
    notes = [note for note, _ in recorded.events.values()]
    assert [note.split(",")[0] for note in notes] == [
        "shares changed: fast 20% → 40%",
        "shares changed: fast 40% → 60%",
        "shares changed: fast 60% → 80%",
        "shares changed: fast 20% → 40%",
    ]


def test_what_is_said_again_is_counted_and_what_differs_is_told() -> None:
    recorded = Recorded()
    for note in ("a", "a", "b", "a"):
        recorded.tell(Event("Warning", "Reason", note))
    assert list(recorded.events.values()) == [("a", 3), ("b", 1)]
