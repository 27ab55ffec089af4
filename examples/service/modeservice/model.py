"""Where a mode gets its words from: from itself, or from a model behind it, whose answers it keeps for a while.

`llm_failures_total{mode}` counts what the circuit breaker of Accord looks at, `cache_hits_total{mode}` and
`cache_misses_total{mode}` where answers came from. An answer is reused for as long as the header `x-accord-cache-ttl`
of the request says (seconds), which a router may add, or else for `CACHE_TTL_SECONDS`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
from prometheus_client import CollectorRegistry, Counter

from modeservice.generate import generate
from modeservice.settings import Settings

TTL_HEADER = "x-accord-cache-ttl"
_MOST = 10_000
"""Answers that are kept at most; the one that was asked for longest ago goes first."""
_PATIENCE = aiohttp.ClientTimeout(total=10)


class ModelError(Exception):
    """The model gave no answer; the text says why."""


class Model:
    """The words of one mode. To be entered before it is asked."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._drawn = 0
        if settings.llm:
            failures = Counter("llm_failures", "Requests that the model failed.", ["mode"], registry=registry)
            hits = Counter("cache_hits", "Answers out of the cache.", ["mode"], registry=registry)
            misses = Counter("cache_misses", "Answers that the model was asked for.", ["mode"], registry=registry)
            # A counter that appears only with its first failure hides that one from increase().
            self._failures = failures.labels(settings.mode)
            self._hits, self._misses = hits.labels(settings.mode), misses.labels(settings.mode)

    async def __aenter__(self) -> Self:
        if self._settings.llm:
            self._session = aiohttp.ClientSession(self._settings.llm, timeout=_PATIENCE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def words(self, prompt: str, headers: Mapping[str, str]) -> str:
        """An answer to `prompt`. ModelError where the model behind has none."""
        self._drawn += 1
        style = self._settings.style
        if self._session is None:
            return generate(prompt, style.words, style.temperature, self._drawn)
        ttl, now = _ttl(headers, self._settings.cache_ttl), time.monotonic()
        at, text = self._kept.get(prompt, (now - ttl, ""))
        hit = now - at < ttl
        (self._hits if hit else self._misses).inc()
        if not hit:
            text = await self._ask(self._session, prompt)
            self._kept[prompt] = now, text
        self._kept.move_to_end(prompt)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return text

    async def _ask(self, session: aiohttp.ClientSession, prompt: str) -> str:
        style = self._settings.style
        wanted = {"prompt": prompt, "words": style.words, "temperature": style.temperature, "seed": self._drawn}
        try:
            async with session.get("/complete", params=wanted) as response:
                if response.status == 200:
                    return str((await response.json())["text"])
                problem = f"the model answered {response.status}"
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            problem = f"the model did not answer: {error or type(error).__name__}"
        self._failures.inc()
        raise ModelError(problem)


def _ttl(headers: Mapping[str, str], default: float) -> float:
    """Seconds. A header that is no number counts as none."""
    text = headers.get(TTL_HEADER, "")
    return float(text) if text.isascii() and text.isdigit() else default
