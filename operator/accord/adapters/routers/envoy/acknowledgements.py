"""What the proxies of one policy made of the offers.

Each poll names the version that the proxy runs: that is its acknowledgement. Envoy's REST subscription does not say
when it refuses an offer (the gRPC one sends `error_detail`), so a refusal is inferred: the offer was sent, and the
next three polls of that proxy still name another version. Three, because an answer can be lost on the way; and because
a proxy that takes new clusters subscribes to their endpoints anew (as to the routes with a new listener), and then asks
as one that has nothing, whatever it was sent before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from accord.adapters.routers.envoy.snapshot import Offer, Snapshot, Version
from accord.adapters.routers.envoy.xds import Key, Kind

WARM_AFTER = timedelta(seconds=2)
"""Time between the acknowledgement of a mode's endpoints and the moment at which all workers of the proxy have
finished their first health check and can take the mode's share."""
_MOST_STRANGERS = 256
_MOST_SUBSCRIPTIONS = 128
"""A proxy has at most 16 + 16 modes, coming and going, and four more; names of long ago are forgotten."""
_MISSES = 3
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(seconds=60)


@dataclass
class Record:
    """One subscription of one proxy. Digests name contents."""

    runs: str = ""
    filled_since: datetime | None = None
    sent: str = ""
    misses: int = 0
    refused: str = ""
    resend_at: datetime | None = None


class AckStore:
    """Records of all proxies of one policy, by pod name."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.proxies: frozenset[str] = frozenset()
        """Pods of the router's Service. Others may be heard before they are seen there."""
        self._snapshot = snapshot
        self._records: dict[str, dict[Key, Record]] = {}

    def hear(self, pod: str, key: Key, version: Version | None, now: datetime) -> bool:
        """A proxy polls here, running that version. True when this is news."""
        record = self._record(pod, key)
        before = (record.runs, record.refused)
        self._runs(record, key, version, now)
        offer = self._snapshot.offers.get(key)
        if offer is not None:
            self._compare(record, offer, now)
        return (record.runs, record.refused) != before

    def hear_ack(self, pod: str, key: Key, version: Version | None, refused: str, now: datetime) -> bool:
        """Another replica passes on what a proxy said there. True when this is news."""
        record = self._record(pod, key)
        before = (record.runs, record.refused)
        self._runs(record, key, version, now)
        record.refused = refused
        return (record.runs, record.refused) != before

    def renewed(self, kind: Kind) -> None:
        """Proxies are about to subscribe to all of this kind anew: what they were sent before proves nothing."""
        for records in self._records.values():
            for key, record in records.items():
                if key.kind is kind:
                    record.misses, record.sent = 0, ""

    def sent(self, pod: str, key: Key, offer: Offer) -> None:
        """The offer goes out to that proxy now."""
        self._record(pod, key).sent = offer.version.digest

    def pause(self, pod: str, key: Key, offer: Offer, now: datetime) -> timedelta | None:
        """How long to wait before sending an offer again that this proxy has refused; None to send it now."""
        record = self._record(pod, key)
        if record.refused != offer.version.digest or record.resend_at is None or record.resend_at <= now:
            return None
        return record.resend_at - now

    def has_heard(self, pod: str) -> bool:
        """Whether the proxy has polled, here or at another replica."""
        return pod in self._records

    def runs(self, pod: str, key: Key) -> str:
        """Digest of what the proxy runs, empty when it has not said."""
        return self._records.get(pod, {}).get(key, Record()).runs

    def refuses(self, pod: str) -> Iterator[Key]:
        """Subscriptions of which the proxy refuses the current offer."""
        for key, record in self._records.get(pod, {}).items():
            offer = self._snapshot.offers.get(key)
            if offer is not None and record.refused == offer.version.digest:
                yield key

    def filled_since(self, pod: str, key: Key) -> datetime | None:
        """Since when the proxy has had endpoints of this name, None while it has none."""
        return self._records.get(pod, {}).get(key, Record()).filled_since

    def everything(self) -> Iterator[tuple[str, Key, Record]]:
        """All that is known."""
        for pod, records in self._records.items():
            for key, record in records.items():
                yield pod, key, record

    def offered(self, key: Key, now: datetime) -> None:
        """The content of `key` has changed. Proxies may run it already: they had it from another replica."""
        for records in self._records.values():
            if key in records:
                self._note_filling(records[key], key, now)

    def _record(self, pod: str, key: Key) -> Record:
        if pod not in self._records:
            strangers = [name for name in self._records if name not in self.proxies]
            for name in strangers[: max(len(strangers) - _MOST_STRANGERS, 0)]:
                del self._records[name]
        records = self._records.setdefault(pod, {})
        if key not in records and len(records) >= _MOST_SUBSCRIPTIONS:
            del records[next(iter(records))]
        return records.setdefault(key, Record())

    def _runs(self, record: Record, key: Key, version: Version | None, now: datetime) -> None:
        record.runs = version.digest if version else ""
        self._note_filling(record, key, now)

    def _note_filling(self, record: Record, key: Key, now: datetime) -> None:
        if key.kind is not Kind.ENDPOINTS:
            return
        filled = self._snapshot.tag(key, record.runs)
        if not record.runs or filled is False:
            record.filled_since = None
        elif filled and record.filled_since is None:
            record.filled_since = now

    @staticmethod
    def _compare(record: Record, offer: Offer, now: datetime) -> None:
        digest = offer.version.digest
        if record.runs == digest:
            record.misses, record.refused, record.resend_at, record.sent = 0, "", None, ""
        elif record.sent == digest:
            record.misses += 1
            record.sent = ""
            if record.misses >= _MISSES:
                record.refused = digest
                record.resend_at = now + min(_FIRST_PAUSE * 2 ** min(record.misses - _MISSES, 8), _LONGEST_PAUSE)
        elif record.refused != digest:
            record.misses, record.refused, record.resend_at = 0, "", None
