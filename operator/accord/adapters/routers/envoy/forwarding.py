"""A standby tells the leader what the proxies say to it, since only the leader writes status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import aiohttp

from accord.adapters.routers.envoy.polling import MalformedError, parse_node
from accord.adapters.routers.envoy.snapshot import Version
from accord.adapters.routers.envoy.xds import Json, Key, Kind

_log = logging.getLogger(__name__)
_TIMEOUT = aiohttp.ClientTimeout(total=3)
_GATHER_SECONDS = 0.01
_RETRY_SECONDS = 1.0
_MOST_AT_ONCE = 500
_MOST_PENDING = 100_000
ACKNOWLEDGEMENTS_PATH = "/accord/acknowledgements"


@dataclass(frozen=True)
class Ack:
    """What one proxy said to a replica about one subscription. `refused` is the digest of an offer, or empty."""

    namespace: str
    policy: str
    pod: str
    key: Key
    version: Version | None
    refused: str = ""

    def to_json(self) -> Json:
        """As it is sent."""
        return {
            "node": f"{self.namespace}/{self.policy}/{self.pod}",
            "kind": self.key.kind.value,
            "name": self.key.name,
            "version": str(self.version) if self.version else "",
            "refused": self.refused,
        }


def parse_ack(item: object) -> Ack:
    """The inverse of `to_json`. Raises MalformedError."""
    if not isinstance(item, dict) or not all(
        isinstance(item.get(field), str) and len(item[field]) <= 800
        for field in ("node", "kind", "name", "version", "refused")
    ):
        raise MalformedError("an acknowledgement needs the strings node, kind, name, version and refused")
    if item["kind"] not in set(Kind):
        raise MalformedError(f"kind must be one of {', '.join(Kind)}, not {item['kind']!r}")
    namespace, policy, pod = parse_node(item["node"])
    key = Key(Kind(item["kind"]), item["name"])
    return Ack(namespace, policy, pod, key, Version.parse(item["version"]), item["refused"])


class Forwarder:
    """Sends what was heard to the leader, the newest for each subscription, as soon as it can be had.

    What is lost with a leader comes again: `everything` is sent to a new one, and proxies repeat themselves with
    every poll.
    """

    def __init__(
        self, leader: Callable[[], str | None], key: Callable[[], str | None], everything: Callable[[], Iterable[Ack]]
    ) -> None:
        """`key()` is what the leader expects from its own standbys."""
        self._leader, self._key = leader, key
        self._everything = everything
        self._pending: dict[tuple[str, str, str, Key], Ack] = {}
        self._news = asyncio.Event()

    def add(self, ack: Ack) -> None:
        """Have this sent, where somebody else leads."""
        if len(self._pending) < _MOST_PENDING:
            self._pending[ack.namespace, ack.policy, ack.pod, ack.key] = ack
            self._news.set()

    async def run(self) -> None:
        """Send until cancelled."""
        told: str | None = None
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                await self._news.wait()
                await asyncio.sleep(_GATHER_SECONDS)
                self._news.clear()
                leader = self._leader()
                if leader is None:
                    self._pending.clear()
                elif leader != told:
                    for ack in self._everything():
                        self._pending.setdefault((ack.namespace, ack.policy, ack.pod, ack.key), ack)
                told = leader
                if leader is not None and not await self._send(session, leader):
                    await asyncio.sleep(_RETRY_SECONDS)
                    self._news.set()

    async def _send(self, session: aiohttp.ClientSession, leader: str) -> bool:
        while self._pending:
            batch = dict(list(self._pending.items())[:_MOST_AT_ONCE])
            try:
                async with session.post(
                    leader + ACKNOWLEDGEMENTS_PATH,
                    json=[ack.to_json() for ack in batch.values()],
                    headers={"authorization": f"Bearer {self._key() or ''}"},
                ) as response:
                    response.raise_for_status()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.info("leader at %s does not accept acknowledgements: %s", leader, error)
                return False
            for key, ack in batch.items():
                if self._pending.get(key) is ack:
                    del self._pending[key]
        return True
