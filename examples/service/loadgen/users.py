"""Virtual users: each asks, waits for the answer, and asks again, with or without keeping its cookies."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from loadgen.ledger import Ledger


@dataclass(frozen=True)
class Run:
    """What to do. Times in seconds; 0 means without limit, for `rate` as fast as the users can."""

    url: str
    users: int = 10
    requests: int = 0
    duration: float = 0.0
    rate: float = 0.0
    """Requests a second, of all users together."""
    cookies: bool = False
    """Whether users keep cookies. Then every answer of one session has to come from one mode."""
    visits: int = 0
    """Requests after which a user comes back as a new one, without its cookies."""
    user_header: str = ""
    """Header in which a user says who it is; the sessions of one user then are one."""
    header: tuple[tuple[str, str], ...] = ()
    """Headers that every request carries."""
    method: str = "GET"
    prompts: int = 0
    """How many different prompts are asked in turn; 0: none is given."""
    timeout: float = 10.0
    """A request without an answer for so long has failed."""


class Crowd:
    """All users of one run, and their books."""

    def __init__(self, run: Run, on_switch: Callable[[str, float], None] | None = None) -> None:
        self.run = run
        self.ledger = Ledger()
        self._on_switch = on_switch
        self._last_mode = ""
        self._stopping = False
        self._issued = 0
        self._began = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began if self._began else 0.0

    def stop(self) -> None:
        """Ends the run: requests under way are still waited for."""
        self._stopping = True

    async def work(self) -> None:
        """Runs to the end."""
        self._began = time.monotonic()
        connector = aiohttp.TCPConnector(limit=0)
        try:
            await asyncio.gather(*[self._user(number, connector) for number in range(self.run.users)])
        finally:
            await connector.close()

    async def _turn(self) -> bool:
        """Waits for the moment of the next request; False when there is none any more."""
        run = self.run
        if self._stopping or (run.requests and self._issued >= run.requests):
            return False
        number = self._issued
        self._issued += 1
        if run.rate:
            delay = number / run.rate - self.elapsed
            if delay > 0:
                if run.duration and self.elapsed + delay >= run.duration:
                    return False
                await asyncio.sleep(delay)
        return not (self._stopping or (run.duration and self.elapsed >= run.duration))

    async def _user(self, number: int, connector: aiohttp.TCPConnector) -> None:
        run = self.run
        home = ""
        going = True
        while going:
            jar = aiohttp.CookieJar(unsafe=True) if run.cookies else aiohttp.DummyCookieJar()
            headers = dict(run.header) | ({run.user_header: f"user-{number}"} if run.user_header else {})
            async with aiohttp.ClientSession(
                connector=connector,
                connector_owner=False,
                cookie_jar=jar,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=run.timeout),
            ) as session:
                # aiohttp quietly repeats a GET whose kept connection was closed. Here that is a failure to count.
                session._retry_connection = False  # noqa: SLF001
                going, home = await self._session(session, home if run.user_header else "")

    async def _session(self, session: aiohttp.ClientSession, home: str) -> tuple[bool, str]:
        """One session of a user whose mode is `home`, if any yet: whether the user comes back, and its mode."""
        asked = 0
        while not self.run.visits or asked < self.run.visits:
            if not await self._turn():
                return False, home
            asked += 1
            self.ledger.sessions += asked == 1
            mode = await self._ask(session)
            if mode and home and mode != home:
                self.ledger.strayed(home, mode, time.time())
            if self.run.cookies or self.run.user_header:
                home = home or mode
        return True, home

    async def _ask(self, session: aiohttp.ClientSession) -> str:
        """One request; the mode that answered, or nothing."""
        began = time.perf_counter()
        body: Any = None if self.run.method == "GET" else {"prompt": "the team"}
        asked = {"prompt": f"topic {self._issued % self.run.prompts}"} if self.run.prompts else {}
        try:
            async with session.request(self.run.method, self.run.url, json=body, params=asked) as response:
                text = await response.text()
        except TimeoutError:
            self._failed("timeout", f"no answer within {self.run.timeout:g} s")
        except aiohttp.ClientConnectorError as error:
            self._failed("connect", str(error))
        except aiohttp.ClientError as error:
            self._failed("disconnected", f"{type(error).__name__}: {error}")
        else:
            return self._read(response.status, text, time.perf_counter() - began)
        # Against a dead address an eager user would do nothing but fail.
        await asyncio.sleep(0.05)
        return ""

    def _read(self, status: int, text: str, seconds: float) -> str:
        if status != 200:
            self._failed(f"http_{status}", text[:200])
            return ""
        try:
            mode = json.loads(text)["mode"]
        except (ValueError, KeyError, TypeError):
            self._failed("unreadable", text[:200])
            return ""
        self.ledger.answer(mode, seconds)
        if self._on_switch and mode != self._last_mode:
            self._last_mode = mode
            self._on_switch(mode, time.time())
        return mode

    def _failed(self, kind: str, detail: str) -> None:
        self.ledger.failure(kind, detail, time.time())
