"""Leader election on a Lease: one replica writes, the others wait.

After client-go's `tools/leaderelection`. A candidate never compares its clock with the holder's: it counts, on its own
monotonic clock, how long the Lease has not changed. The holder counts from the moment it *asked* for the last renewal
that succeeded, and stops writing after `renew_deadline`, before anybody else may begin.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from accord.api.base import Manifest
from accord.ports.clock import Clock
from accord.ports.cluster import ClusterError

log = logging.getLogger(__name__)
KEY_ANNOTATION = "accord.dev/standby-key"
NAMESPACES_ANNOTATION = "accord.dev/namespaces"
_EVERYWHERE = "*"


class Leases(Protocol):
    """One Lease with optimistic locking; a lost race is a ClusterError with status 409."""

    async def get(self) -> Manifest | None:
        """The Lease, or None."""

    async def create(self, spec: Manifest, annotations: Mapping[str, str]) -> Manifest:
        """Create it."""

    async def update(self, lease: Manifest, spec: Manifest) -> Manifest:
        """Replace the spec of exactly that version."""


@dataclass(frozen=True)
class Timing:
    """Seconds; `retry` < `renew_deadline` < `duration`."""

    duration: float = 10.0
    renew_deadline: float = 7.0
    retry: float = 2.0


def _micro(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def last_renewed(leases: Iterable[Manifest], namespace: str) -> str | None:
    """`renewTime` of the Lease of the operator that works for that namespace; None where there is no such Lease.

    Of several operators in a cluster, one that names the namespace goes before one that works for all. A Lease without
    the annotation is of an earlier version, which may work for any namespace.
    """
    found: dict[int, list[str]] = {}
    for lease in leases:
        annotations = lease["metadata"].get("annotations") or {}
        renewed = (lease.get("spec") or {}).get("renewTime")
        if KEY_ANNOTATION not in annotations or not renewed:
            continue
        watched = annotations.get(NAMESPACES_ANNOTATION)
        if watched is not None and namespace in watched.split(","):
            found.setdefault(0, []).append(renewed)
        elif watched in (None, _EVERYWHERE):
            found.setdefault(1, []).append(renewed)
    return max(found[min(found)]) if found else None


class LeaderElection:
    """The part of this replica in the election. `is_leader` is to be asked right before each write."""

    def __init__(
        self,
        leases: Leases,
        identity: str,
        clock: Clock,
        timing: Timing | None = None,
        *,
        namespaces: Iterable[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
        on_reach: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        """`namespaces` are those that the operator works for, none for all; the Lease says so to its readers.

        `on_reach` hears after each try what kept the API server from answering, or None.
        """
        self._leases, self._identity, self._clock = leases, identity, clock
        self._timing, self._monotonic, self._on_reach = timing or Timing(), monotonic, on_reach
        self._lease: Manifest | None = None
        self._seen_at = self._expires_at = monotonic()
        self._renewed_at: float | None = None
        self._released = False
        self._key = secrets.token_urlsafe(24)
        self._annotations = {KEY_ANNOTATION: self._key, NAMESPACES_ANNOTATION: ",".join(namespaces) or _EVERYWHERE}
        self.changed = asyncio.Event()

    @property
    def is_leader(self) -> bool:
        """Whether this replica may write now."""
        return self.remaining > 0

    @property
    def remaining(self) -> float:
        """Seconds for which this replica may still write without another renewal."""
        if self._renewed_at is None:
            return 0.0
        return max(0.0, self._renewed_at + self._timing.renew_deadline - self._monotonic())

    @property
    def key(self) -> str | None:
        """What the holder expects from its standbys when they pass on what they hear; None where it is not known.

        Whoever may read the Leases of the operator's own namespace can read it. It is another one for each process.
        """
        if self.is_leader:
            return self._key
        annotations = ((self._lease or {}).get("metadata") or {}).get("annotations") or {}
        return annotations.get(KEY_ANNOTATION) or None

    @property
    def holder(self) -> str | None:
        """Identity of the holder, as far as this replica knows."""
        spec = (self._lease or {}).get("spec") or {}
        return spec.get("holderIdentity") or None

    async def run(self) -> None:
        """Acquire, renew and watch, for ever."""
        while True:
            was = self.is_leader
            await self._try()
            if self.is_leader != was:
                self.changed.set()
            await asyncio.sleep(self._pause())
            if was and not self.is_leader:
                self.changed.set()

    async def release(self) -> None:
        """Hand over at once: a candidate need not wait for the Lease to run out."""
        self._released = True
        led, self._renewed_at = self.is_leader, None
        self.changed.set()
        if not led or self._lease is None:
            return
        spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._now()}
        try:
            self._lease = await self._leases.update(self._lease, spec)
        except ClusterError as error:
            log.warning("cannot release the Lease, another replica takes over when it expires: %s", error)

    def _pause(self) -> float:
        """Until the next try: earlier where leadership or the holder's Lease ends before that."""
        retry = self._timing.retry
        if self.is_leader:
            return min(retry, self.remaining)
        left = self._expires_at - self._monotonic()
        return min(retry * random.uniform(0.9, 1.1), left + 0.05) if left > 0 else retry  # noqa: S311

    async def _try(self) -> None:
        if self._released:
            return
        asked = self._monotonic()
        try:
            # A renewal that takes longer than leadership lasts is of no use.
            async with asyncio.timeout(self.remaining or self._timing.renew_deadline):
                lease = await self._next(asked)
        except TimeoutError:
            self._on_reach("no response in time")
            return
        except ClusterError as error:
            self._on_reach(error.message if error.status == 0 or error.status >= 500 else None)
            if error.status == 409:
                # Somebody was faster; what is known is old.
                self._lease = None
            return
        self._on_reach(None)
        if lease is not None and not self._released:
            self._see(lease)
            self._renewed_at = asked

    async def _next(self, asked: float) -> Manifest | None:
        """The Lease after it was acquired or renewed by us; None while somebody else holds it."""
        if self.is_leader and self._lease is not None:
            return await self._leases.update(self._lease, {**self._lease["spec"], "renewTime": self._now()})
        lease = await self._leases.get()
        if lease is None:
            return await self._leases.create(self._claim(0), self._annotations)
        self._see(lease)
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        duration = spec.get("leaseDurationSeconds") or self._timing.duration
        if holder not in ("", self._identity):
            self._renewed_at = None
            self._expires_at = self._seen_at + duration
            if asked < self._expires_at:
                return None
        transitions = int(spec.get("leaseTransitions") or 0)
        meta = lease.get("metadata") or {}
        marked = {**meta, "annotations": {**(meta.get("annotations") or {}), **self._annotations}}
        claim = self._claim(transitions + (holder != self._identity))
        return await self._leases.update({**lease, "metadata": marked}, claim)

    def _see(self, lease: Manifest) -> None:
        before = (self._lease or {}).get("spec")
        if before != lease.get("spec"):
            self._seen_at = self._monotonic()
        self._lease = lease

    def _claim(self, transitions: int) -> Manifest:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._timing.duration),
            "acquireTime": self._now(),
            "renewTime": self._now(),
            "leaseTransitions": transitions,
        }

    def _now(self) -> str:
        return _micro(self._clock.now())


class AlwaysLeader:
    """Without election: one replica is installed and it writes."""

    is_leader = True
    remaining = float("inf")
    holder = None
    key = None

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.changed.set()

    async def run(self) -> None:
        """Nothing to do, for ever."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Stop writing."""
        self.is_leader, self.remaining = False, 0.0
        self.changed.set()
