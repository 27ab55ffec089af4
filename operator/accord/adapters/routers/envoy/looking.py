"""What the proxies themselves see of the modes' pods, and count: the leader reads it from their statistics.

Envoy has no way to push it over REST. Each ready proxy is asked at the port of its readiness probe, for a few numbers a
mode. A proxy that does not answer says nothing, and what is not known changes nothing.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp

from accord.adapters.routers.envoy import counting
from accord.adapters.routers.envoy.counting import (
    ANSWERED,
    ERRORS,
    FAILED,
    PASSED_ON,
    RETRIES,
    UNREACHED,
    Counts,
    Reading,
)
from accord.adapters.routers.envoy.reaching import Blind
from accord.domain.traffic.observed import Counted, CutOff, Sight

_log = logging.getLogger(__name__)
_TIMEOUT = aiohttp.ClientTimeout(total=3)
_AT_ONCE = 16
_LONGEST_ANSWER = 256 * 1024
_LONGEST_OF_ENDPOINTS = 4 * 1024 * 1024
CONFIRM_SECONDS = 2.0
"""A pod that has just appeared has not passed its first check yet: bad news is asked for twice."""
_LEAST_SECONDS, _MOST_SECONDS = 10.0, 60.0
_LEAST_PAUSE = 1.0
_LOOKS_WITHIN = 4
"""How often a proxy is read within the window of the policy, at least."""
_SPREAD_EACH = 0.01
_FORGOTTEN_AFTER = 3
"""Rounds without an answer after which a proxy's last one is not believed any more."""
_FIGURES = ("membership_total", "health_check_healthy", "membership_healthy")
_COUNTERS = {
    f"envoy_cluster_{PASSED_ON}": PASSED_ON,
    f"envoy_cluster_{ANSWERED}": ANSWERED,
    "envoy_cluster_upstream_rq_xx": ERRORS,
    f"envoy_cluster_{RETRIES}": RETRIES,
}
"""Names of the counters in Prometheus' format."""
_OF_CLUSTERS = (
    r"server\.uptime|cluster\.((route|all)/)?[a-z0-9-]+\."
    rf"(membership_total|health_check\.healthy|membership_healthy|{PASSED_ON}|{ANSWERED}|{ERRORS}|{RETRIES})"
)
_LINE = re.compile(
    rf'^envoy_cluster_({"|".join(_FIGURES)}){{envoy_cluster_name="([a-z0-9-]{{1,63}})"}} ([0-9]{{1,9}})$'
)
_COUNTER = re.compile(
    rf'^({"|".join(_COUNTERS)}){{(?:envoy_response_code_class="5",)?'
    r'envoy_cluster_name="((?:route/|all/)?[a-z0-9-]{1,63})"} ([0-9]{1,18})$'
)
_ENDPOINT = re.compile(
    rf'^envoy_cluster_endpoint_({FAILED}|{UNREACHED}){{envoy_cluster_name="([a-z0-9-]{{1,63}})",'
    r'envoy_endpoint_address="([0-9a-f.:\[\]]{1,64})"} ([0-9]{1,18})$'
)
_UPTIME = re.compile(r"^envoy_server_uptime(?:{})? ([0-9]{1,12})$")

Who = tuple[str, str]


@dataclass(frozen=True)
class Target:
    """The proxies of one policy."""

    proxies: Mapping[str, str]
    """URL of their statistics by pod."""
    seconds: float
    """Between two looks."""
    window: float = 300.0
    """Span in seconds over which requests are counted."""
    failures: Mapping[str, float] = field(default_factory=dict)
    """Modes whose failures are counted, endpoint by endpoint, each with the span in seconds."""


@dataclass(frozen=True)
class Answer:
    """What one proxy told."""

    sights: Mapping[str, Sight] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)


def parse(text: str, *, of_endpoints: bool = False) -> Answer:
    """Envoy's `/stats/prometheus`; clusters of which a figure of health is missing have no sight. `of_endpoints`: it
    was asked for those, too.
    """
    found: dict[str, dict[str, int]] = {}
    counters: dict[counting.Name, int] = {}
    endpoints: dict[tuple[str, str, str], int] = {}
    uptime = -1
    for line in text.splitlines():
        if (match := _LINE.match(line)) is not None:
            found.setdefault(match[2], {})[match[1]] = int(match[3])
        elif (match := _COUNTER.match(line)) is not None:
            counters[match[2], _COUNTERS[match[1]]] = int(match[3])
        elif (match := _ENDPOINT.match(line)) is not None:
            endpoints[match[2], match[1], match[3]] = int(match[4])
        elif (match := _UPTIME.match(line)) is not None:
            uptime = int(match[1])
    sights = {
        name: Sight(*(figures[figure] for figure in _FIGURES))
        for name, figures in found.items()
        if len(figures) == len(_FIGURES)
    }
    return Answer(sights, Reading(counters, uptime, endpoints if of_endpoints else None))


def _wanted(watched: Collection[str]) -> str:
    """Envoy's filter for the names of statistics. A mode's name is a DNS label, and means itself there."""
    endpoints = rf"|cluster\.({'|'.join(watched)})\.endpoint\..+\.({FAILED}|{UNREACHED})" if watched else ""
    return f"^({_OF_CLUSTERS}{endpoints})$"


def together(answers: Iterable[Mapping[str, Sight]], modes: Iterable[str]) -> dict[str, Sight]:
    """What several proxies see, mode by mode: the best that any of them does. What one of them alone does not reach
    is another matter (`reaching`).
    """
    answers = list(answers)
    seen: dict[str, Sight] = {}
    for mode in modes:
        sights = [answer[mode] for answer in answers if mode in answer]
        if sights:
            seen[mode] = max(sights, key=lambda sight: (sight.healthy, sight.passing, sight.pods))
    return seen


def pause(interval: float, window: float, *, counts_failures: bool = False) -> float:
    """Seconds between two looks, given those between two health checks, and those over which requests are counted.

    Where failures are counted a circuit breaker waits for them.
    """
    if counts_failures:
        return _LEAST_PAUSE
    return max(min(max(interval, _LEAST_SECONDS), _MOST_SECONDS, window / _LOOKS_WITHIN), _LEAST_PAUSE)


@dataclass
class _Book:
    sights: dict[str, Mapping[str, Sight]] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    recent: Counts = field(default_factory=Counts)
    """For circuit breakers: shorter spans, finer parts. Only where failures are counted."""
    blind: Blind = field(default_factory=Blind)


class Looker:
    """Looks at the proxies of every policy in turn, while this replica leads."""

    def __init__(self, target: Callable[[Who], Target | None], changed: Callable[[Who], None]) -> None:
        """`target` says whom to ask about a policy, None once it is gone. `changed`: `sights` answers differently."""
        self._target, self._changed = target, changed
        self._books: dict[Who, _Book] = {}
        self._due: list[tuple[float, Who]] = []
        self._next: dict[Who, float] = {}
        """The entry of `_due` that counts for each policy; others are void."""
        self._broken: set[Who] = set()
        """Policies whose last look ended in an error of ours."""
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
        self._broken.discard(who)

    def looked(self, who: Who) -> bool:
        """Whether this policy's proxies have been asked, answered or not."""
        return who in self._books

    def sights(self, who: Who, modes: Iterable[str]) -> dict[str, Sight]:
        """What was seen of these modes last; without those that nobody could tell about."""
        book = self._books.get(who)
        return together(book.sights.values(), modes) if book is not None else {}

    def cut_off(self, who: Who, modes: Iterable[str]) -> dict[str, CutOff]:
        """Of these modes, those that some proxies reached no pod of when they were asked last."""
        book = self._books.get(who)
        return book.blind.cut_off(book.sights, modes) if book is not None else {}

    def counted(self, who: Who, modes: Iterable[str], window: float) -> Counted:
        """What this policy's proxies counted of these modes within so many seconds, as of the last look."""
        target = self._target(who) if self._running else None
        if target is None or not target.proxies:
            return Counted()
        book = self._books.get(who)
        if book is None:
            return Counted("Pending")
        for pod in target.proxies:
            missed = book.missed.get(pod, 0)
            if missed >= _FORGOTTEN_AFTER or (missed and not book.counts.knows(pod)):
                return Counted()
        now = time.monotonic()
        counts = book.recent if window <= max(target.failures.values(), default=0.0) else book.counts
        total = counts.within(window, now)
        if total is None:
            return Counted("Pending")
        old = max(now - counts.read_at, 0.0)
        return Counted("Known", counting.by_mode(total, modes), counting.unattributed(total), old)

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
            for book in (self._books, self._next, self._due, self._broken):
                book.clear()

    async def _turn(self, session: aiohttp.ClientSession, limit: asyncio.Semaphore, who: Who) -> None:
        """One look, and the next one planned. An error of ours ends neither this policy's looks nor those of others."""
        try:
            await self._look(session, limit, who)
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            _log.log(
                logging.DEBUG if who in self._broken else logging.ERROR,
                "unexpected error reading the proxies of %s/%s; please report it",
                *who,
                exc_info=True,
            )
            self._broken.add(who)
            self._plan(who, time.monotonic() + _MOST_SECONDS)
        else:
            self._broken.discard(who)

    async def _look(self, session: aiohttp.ClientSession, limit: asyncio.Semaphore, who: Who) -> None:
        target = self._target(who)
        if target is None:
            self.forget(who)
            return
        before = dict(self._books[who].sights) if who in self._books else {}
        at, answers = await self._ask(session, limit, target)
        if _worse(before, answers):
            if who in self._books:
                self._count(who, target, answers, at)
            await asyncio.sleep(CONFIRM_SECONDS)
            at, answers = await self._ask(session, limit, target)
        self._enter(who, target, answers, at)
        self._plan(who, time.monotonic() + target.seconds)

    def _count(self, who: Who, target: Target, answers: Mapping[str, Answer], at: float) -> None:
        """Take in what the proxies counted: that is as it is, also while what they see is asked for again."""
        book = self._books[who]
        readings = {pod: answer.reading for pod, answer in answers.items()}
        book.counts.enter(readings, at, target.window)
        if not target.failures:
            book.recent = Counts()
            return
        before, spans = book.recent.failures, target.failures.values()
        book.recent.enter(readings, at, max(spans), min(spans))
        if book.recent.failures != before:
            self._changed(who)

    def _enter(self, who: Who, target: Target, answers: Mapping[str, Answer], at: float) -> None:
        """Take in what the proxies answered; `at` is just before they were asked."""
        book = self._books.get(who)
        before = (dict(book.sights), book.blind.lasting) if book is not None else None
        book = self._books.setdefault(who, _Book())
        for pod in set(book.sights) | set(book.missed) | set(target.proxies):
            book.missed[pod] = 0 if pod in answers else book.missed.get(pod, 0) + 1
            if pod not in target.proxies:
                del book.missed[pod]
            if pod not in target.proxies or book.missed[pod] >= _FORGOTTEN_AFTER:
                book.sights.pop(pod, None)
        book.sights.update({pod: answer.sights for pod, answer in answers.items()})
        self._count(who, target, answers, at)
        for counts in (book.counts, book.recent):
            counts.keep(target.proxies)
        book.blind.enter({pod: answer.sights for pod, answer in answers.items()}, at)
        book.blind.keep(book.sights)
        if (book.sights, book.blind.lasting) != before:
            self._changed(who)

    async def _ask(
        self, session: aiohttp.ClientSession, limit: asyncio.Semaphore, target: Target
    ) -> tuple[float, dict[str, Answer]]:
        pods = list(target.proxies)
        async with limit:
            at = time.monotonic()
            asked = (self._one(session, target.proxies[pod], target.failures) for pod in pods)
            answers = await asyncio.gather(*asked)
        return at, {pod: answer for pod, answer in zip(pods, answers, strict=True) if answer is not None}

    @staticmethod
    async def _one(session: aiohttp.ClientSession, url: str, watched: Collection[str]) -> Answer | None:
        longest = _LONGEST_OF_ENDPOINTS if watched else _LONGEST_ANSWER
        try:
            async with session.get(url, params={"filter": _wanted(watched)}, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                body = b""
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > longest:
                        return None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return parse(body.decode("utf-8", "replace"), of_endpoints=bool(watched))


def _worse(before: Mapping[str, Mapping[str, Sight]], after: Mapping[str, Answer]) -> bool:
    """Whether some proxy sees fewer pods passing than it knows, and did not before."""
    return any(
        sight.healthy < sight.pods and before.get(pod, {}).get(mode) != sight
        for pod, answer in after.items()
        for mode, sight in answer.sights.items()
    )
