"""What the proxies themselves see of the modes' pods: the leader reads it from their statistics.

Envoy has no way to push it over REST. Each ready proxy is asked at the port of its readiness probe, for two numbers a
mode. A proxy that does not answer says nothing, and what is not known changes nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import aiohttp

from accord.domain.traffic.observed import Sight

_TIMEOUT = aiohttp.ClientTimeout(total=3)
_AT_ONCE = 16
_LONGEST_ANSWER = 256 * 1024
CONFIRM_SECONDS = 2.0
"""A pod that has just appeared has not passed its first check yet: bad news is asked for twice."""
_LEAST_SECONDS, _MOST_SECONDS = 10.0, 60.0
_SPREAD_EACH = 0.01
_FORGOTTEN_AFTER = 3
"""Rounds without an answer after which a proxy's last one is not believed any more."""
_FIGURES = ("membership_total", "health_check_healthy", "membership_healthy")
_QUERY = {"filter": r"^cluster\.[a-z0-9-]+\.(membership_total|health_check\.healthy|membership_healthy)$"}
_LINE = re.compile(
    rf'^envoy_cluster_({"|".join(_FIGURES)}){{envoy_cluster_name="([a-z0-9-]{{1,63}})"}} ([0-9]{{1,9}})$'
)

Who = tuple[str, str]


@dataclass(frozen=True)
class Target:
    """The proxies of one policy: URL of their statistics by pod, and seconds between two looks."""

    proxies: Mapping[str, str]
    seconds: float


def parse(text: str) -> dict[str, Sight]:
    """Envoy's `/stats/prometheus`, by cluster; those of which a figure is missing are left out."""
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            found.setdefault(match[2], {})[match[1]] = int(match[3])
    return {
        name: Sight(*(figures[figure] for figure in _FIGURES))
        for name, figures in found.items()
        if len(figures) == len(_FIGURES)
    }


def together(answers: Iterable[Mapping[str, Sight]], modes: Iterable[str]) -> dict[str, Sight]:
    """What several proxies see, mode by mode: the best that any of them does. One that lags alarms nobody."""
    answers = list(answers)
    seen: dict[str, Sight] = {}
    for mode in modes:
        sights = [answer[mode] for answer in answers if mode in answer]
        if sights:
            seen[mode] = max(sights, key=lambda sight: (sight.healthy, sight.passing, sight.pods))
    return seen


def pause(interval: float) -> float:
    """Seconds between two looks, given those between two health checks."""
    return min(max(interval, _LEAST_SECONDS), _MOST_SECONDS)


@dataclass
class _Book:
    answers: dict[str, dict[str, Sight]]
    missed: dict[str, int]


class Looker:
    """Looks at the proxies of every policy in turn, while this replica leads."""

    def __init__(self, target: Callable[[Who], Target | None], changed: Callable[[Who], None]) -> None:
        """`target` says whom to ask about a policy, None once it is gone. `changed`: `sights` answers differently."""
        self._target, self._changed = target, changed
        self._books: dict[Who, _Book] = {}
        self._due: list[tuple[float, Who]] = []
        self._next: dict[Who, float] = {}
        """The entry of `_due` that counts for each policy; others are void."""
        self._running = False
        self._wakeup = asyncio.Event()

    def hasten(self, who: Who) -> None:
        """Something changed for this policy's proxies: look in a moment, and from then on regularly."""
        if self._running:
            self._plan(who, time.monotonic() + CONFIRM_SECONDS)

    def _plan(self, who: Who, at: float) -> None:
        if at < self._next.get(who, math.inf):
            self._next[who] = at
            heapq.heappush(self._due, (at, who))
            self._wakeup.set()

    def forget(self, who: Who) -> None:
        """The policy is gone."""
        self._books.pop(who, None)

    def looked(self, who: Who) -> bool:
        """Whether this policy's proxies have been asked, answered or not."""
        return who in self._books

    def sights(self, who: Who, modes: Iterable[str]) -> dict[str, Sight]:
        """What was seen of these modes last; without those that nobody could tell about."""
        book = self._books.get(who)
        return together(book.answers.values(), modes) if book is not None else {}

    async def run(self, everybody: Iterable[Who]) -> None:
        """Look until cancelled, at `everybody` first; what was seen is forgotten then."""
        self._running = True
        for number, who in enumerate(everybody):
            self._plan(who, time.monotonic() + CONFIRM_SECONDS + number * _SPREAD_EACH)
        limit = asyncio.Semaphore(_AT_ONCE)
        connector = aiohttp.TCPConnector(force_close=True, limit=_AT_ONCE)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, connector=connector) as session,
                asyncio.TaskGroup() as looks,
            ):
                while True:
                    now = time.monotonic()
                    while self._due and self._due[0][0] <= now:
                        at, who = heapq.heappop(self._due)
                        if self._next.get(who) == at:
                            del self._next[who]
                            looks.create_task(self._turn(session, limit, who))
                    self._wakeup.clear()
                    try:
                        async with asyncio.timeout(self._due[0][0] - now if self._due else None):
                            await self._wakeup.wait()
                    except TimeoutError:
                        continue
        finally:
            self._running = False
            for book in (self._books, self._next, self._due):
                book.clear()

    async def _turn(self, session: aiohttp.ClientSession, limit: asyncio.Semaphore, who: Who) -> None:
        target = self._target(who)
        if target is None:
            self.forget(who)
            return
        before = dict(self._books[who].answers) if who in self._books else {}
        async with limit:
            answers = await self._ask(session, target)
        if _worse(before, answers):
            await asyncio.sleep(CONFIRM_SECONDS)
            async with limit:
                answers = await self._ask(session, target)
        self._enter(who, target, answers)
        self._plan(who, time.monotonic() + target.seconds)

    def _enter(self, who: Who, target: Target, answers: Mapping[str, dict[str, Sight]]) -> None:
        book = self._books.get(who)
        before = dict(book.answers) if book is not None else None
        book = self._books.setdefault(who, _Book({}, {}))
        for pod in set(book.answers) | set(book.missed) | set(target.proxies):
            book.missed[pod] = 0 if pod in answers else book.missed.get(pod, 0) + 1
            if pod not in target.proxies:
                del book.missed[pod]
            if pod not in target.proxies or book.missed[pod] >= _FORGOTTEN_AFTER:
                book.answers.pop(pod, None)
        book.answers.update(answers)
        if book.answers != before:
            self._changed(who)

    async def _ask(self, session: aiohttp.ClientSession, target: Target) -> dict[str, dict[str, Sight]]:
        pods = list(target.proxies)
        answers = await asyncio.gather(*(self._one(session, target.proxies[pod]) for pod in pods))
        return {pod: answer for pod, answer in zip(pods, answers, strict=True) if answer is not None}

    @staticmethod
    async def _one(session: aiohttp.ClientSession, url: str) -> dict[str, Sight] | None:
        try:
            async with session.get(url, params=_QUERY, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                body = b""
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > _LONGEST_ANSWER:
                        return None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return parse(body.decode("utf-8", "replace"))


def _worse(before: Mapping[str, Mapping[str, Sight]], after: Mapping[str, Mapping[str, Sight]]) -> bool:
    """Whether some proxy sees fewer pods passing than it knows, and did not before."""
    return any(
        sight.healthy < sight.pods and before.get(pod, {}).get(mode) != sight
        for pod, modes in after.items()
        for mode, sight in modes.items()
    )
