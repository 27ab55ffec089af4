"""Measures each object every `monitoring.interval`, beside the queue: a slow Prometheus never delays routing.

The measurements are spread in time, but not each for itself: those that would be due soon are made with the first of
them, in one query where that can be. A pass is asked for only when the new one says something else than the last.
"""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import logging
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from accord.domain.plan import ObjectKey
from accord.domain.questions import Ask, Custom, Shared, Template
from accord.domain.samples import Answer
from accord.observability.logs import about
from accord.ports.clock import Clock
from accord.ports.metrics import Metrics
from accord.runtime.asking import Asker, Member
from accord.runtime.book import Inquiry, Subject

log = logging.getLogger(__name__)

# New objects are measured at once, a thousand of them over ten seconds; from then on they are spread over the interval.
_SPREAD_EACH = 0.01
_AFTER_ERROR = timedelta(minutes=1)
_SOON = 1.0
"""Seconds after which it is asked anew about an object that changed while it was asked about."""
_AHEAD = 0.25
"""Part of its interval that a measurement may be made too early, to be made with others."""


class Reading(Protocol):
    """A measurement: a dataclass with the time in `at`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def at(self) -> datetime:
        """When it was made."""

    @property
    def outcome(self) -> str:
        """In one word; `QueryFailed` where there was no answer."""

    @property
    def message(self) -> str:
        """In a sentence."""


S = TypeVar("S", bound=Subject)
R = TypeVar("R", bound=Reading)


@dataclass(order=True)
class _Beat:
    """One schedule of one object; a changed interval starts another, and what was due by the old one is void."""

    interval: timedelta
    in_step: bool = field(default=False, compare=False)
    """Whether it has its own place within the interval: those that came together are not measured together for ever."""
    is_custom: bool = field(default=False, compare=False)
    """Whether it was asked by itself last time: then nothing is gained by doing so early."""


class _Turn(NamedTuple):
    """One measurement of one object. Hundreds wait for one answer, so none holds the object itself."""

    due: float
    """By the monotonic clock."""
    key: ObjectKey
    beat: _Beat
    endpoint: str
    asked_at: datetime
    ask: Ask


class Sampler(Generic[S, R]):
    """Keeps the book of one question. Only the leader runs it."""

    def __init__(
        self, inquiry: Inquiry[S, R], metrics: Metrics, changed: Callable[[ObjectKey], None], clock: Clock
    ) -> None:
        """`changed` asks for a pass."""
        self._read, self._question, self._book = inquiry.read, inquiry.question, inquiry.book
        self._metrics, self._changed, self._clock = metrics, changed, clock
        self._asker = Asker(metrics, self._question.shape)
        self._known: dict[ObjectKey, _Beat] = {}
        self._due: list[tuple[float, ObjectKey, _Beat]] = []
        self._broken: set[ObjectKey] = set()
        """Objects whose last measurement ended in an error of ours."""
        self._tasks: set[asyncio.Task[None]] = set()

    def forget(self, key: ObjectKey) -> None:
        """An object is gone."""
        self._known.pop(key, None)
        self._broken.discard(key)
        self._asker.forget(key)
        self._book.drop(key)

    async def run(self) -> None:
        """Measure until cancelled. What is in flight then is dropped, and so are the schedule and the book:
        in a later term of this replica nothing that it read in this one is news.
        """
        try:
            while True:
                await self._admit()
                await self._begin(time.monotonic())
                await self._sleep(self._due[0][0] - time.monotonic() if self._due else None)
        finally:
            for task in self._tasks:
                task.cancel()
            for key in self._known:
                self._book.want(key)
            self._known.clear()
            self._due.clear()
            self._book.clear()
            self._broken.clear()

    async def _admit(self) -> None:
        now, wanted = time.monotonic(), self._book.take()
        for key in wanted:
            # There may be many, and others have work to do as well.
            await asyncio.sleep(0)
            interval = self._interval(key)
            known = self._known.get(key)
            if interval is None or (known is not None and known.interval == interval):
                continue
            beat = self._known[key] = _Beat(interval)
            window = min(interval.total_seconds(), _SPREAD_EACH * len(wanted))
            heapq.heappush(self._due, (now + _fraction(key) * window, key, beat))

    def _interval(self, key: ObjectKey) -> timedelta | None:
        subject = self._find(key)
        try:
            return None if subject is None else self._question.schedule(subject, self._clock.now())
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            # One object must not end the measuring of all, nor this error that of the object.
            self._complain(key)
            return _AFTER_ERROR

    def _find(self, key: ObjectKey) -> S | None:
        """None as well where it cannot be read."""
        try:
            return self._read(key)
        except ValueError:
            return None

    async def _begin(self, now: float) -> None:
        """Start what is due, and with it what may be asked about in the same queries."""
        groups: dict[tuple[str, Template], list[_Turn]] = {}

        def sort(turn: _Turn) -> None:
            if isinstance(turn.ask, Shared):
                groups.setdefault((turn.endpoint, turn.ask.template), []).append(turn)
            elif turn.due <= now:
                self._start([turn])
            else:
                heapq.heappush(self._due, (turn.due, turn.key, turn.beat))

        while self._due and self._due[0][0] <= now:
            if (turn := self._turn(*heapq.heappop(self._due))) is not None:
                sort(turn)
            await asyncio.sleep(0)
        if groups:
            for entry in self._take_soon(now):
                if (turn := self._turn(*entry)) is not None:
                    sort(turn)
                await asyncio.sleep(0)
        for turns in groups.values():
            self._start([turn._replace(due=min(turn.due, now)) for turn in turns])

    def _take_soon(self, now: float) -> list[tuple[float, ObjectKey, _Beat]]:
        """Out of the schedule, what is due next and may be made with others."""
        soon: list[tuple[float, ObjectKey, _Beat]] = []
        rest: list[tuple[float, ObjectKey, _Beat]] = []
        for entry in self._due:
            due, _, beat = entry
            is_soon = not beat.is_custom and due - now <= _AHEAD * beat.interval.total_seconds()
            (soon if is_soon else rest).append(entry)
        if soon:
            self._due = rest
            heapq.heapify(self._due)
        return soon

    def _turn(self, due: float, key: ObjectKey, beat: _Beat) -> _Turn | None:
        """What to ask about an object; None where there is nothing to ask this time."""
        if self._known.get(key) is not beat:
            return None
        try:
            subject = self._find(key)
            if subject is not None:
                now = self._clock.now()
                if self._question.schedule(subject, now) is None:
                    # No more, until it changes.
                    del self._known[key]
                    return None
                ask = self._question.ask(subject, now)
                beat.is_custom = isinstance(ask, Custom)
                return _Turn(due, key, beat, subject.spec.monitoring.endpoint, now, ask)
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            self._complain(key)
        self._next(due, key, beat)
        return None

    def _start(self, turns: Sequence[_Turn]) -> None:
        task = asyncio.get_running_loop().create_task(self._measure(turns))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _measure(self, turns: Sequence[_Turn]) -> None:
        """One measurement of each, and the next ones put down: whatever it comes to, the beats go on."""
        waiting = {turn.key: turn for turn in turns}

        async def deliver(key: ObjectKey, answer: Answer) -> None:
            turn, answers_now = waiting.pop(key), True
            if key in self._known:
                try:
                    answers_now = self._enter(turn, answer)
                    self._broken.discard(key)
                except Exception:  # noqa: BLE001 - whatever it is, it is said
                    self._complain(key)
            else:
                # It went while it was asked about, and the answer was remembered.
                self._asker.forget(key)
            if answers_now:
                self._next(turn.due, key, turn.beat)
            else:
                self._plan(time.monotonic() + min(_SOON, turn.beat.interval.total_seconds()), key, turn.beat)
            # Many answers may have come at once.
            await asyncio.sleep(0)

        first = turns[0]
        try:
            if isinstance(first.ask, Shared):
                members = [Member(key, turn.ask.scope) for key, turn in waiting.items() if isinstance(turn.ask, Shared)]
                await self._asker.ask(first.endpoint, first.ask.template, members, deliver)
            else:
                author, shape = first.key.namespace, self._question.shape
                await deliver(first.key, await self._metrics.query(first.endpoint, first.ask.promql, shape, author))
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            for turn in waiting.values():
                if turn.key in self._known:
                    self._complain(turn.key)
                self._next(turn.due, turn.key, turn.beat)

    def _next(self, due: float, key: ObjectKey, beat: _Beat) -> None:
        """Put down the next measurement."""
        # The beat is kept, and a query that took longer than the interval is not made up for.
        pause = beat.interval.total_seconds() * (1.0 if beat.in_step else _fraction(key))
        beat.in_step = True
        self._plan(max(due + pause, time.monotonic()), key, beat)

    def _plan(self, due: float, key: ObjectKey, beat: _Beat) -> None:
        """Put down a measurement, unless the object has gone or has another beat by now."""
        if self._known.get(key) is beat:
            heapq.heappush(self._due, (due, key, beat))
            self._book.wakeup.set()

    def _complain(self, key: ObjectKey) -> None:
        """Once, until a measurement succeeds again."""
        level = logging.DEBUG if key in self._broken else logging.ERROR
        self._broken.add(key)
        note = about(key.kind, key.namespace, key.name)
        log.log(level, "unexpected error in a measurement; please report it", exc_info=True, extra=note)

    def _enter(self, turn: _Turn, answer: Answer) -> bool:
        """Put down what an answer says, and tell of it where it is news. False where the object has become one of which
        something else would have been asked.
        """
        key, subject = turn.key, self._find(turn.key)
        if subject is None:
            return True
        asked = (subject.spec.monitoring.endpoint, self._question.ask(subject, turn.asked_at))
        if asked != (turn.endpoint, turn.ask):
            return False
        measured = self._question.interpret(subject, answer, self._clock.now())
        before = self._book.get(key)
        self._book[key] = measured
        if before is not None and _meaning(before) == _meaning(measured):
            return True
        told = before is not None and (before.outcome, before.message) == (measured.outcome, measured.message)
        if measured.outcome == "QueryFailed" and not told:
            note = about(key.kind, key.namespace, key.name, subject.metadata.generation, measured.outcome)
            log.warning("measurement failed: %s", measured.message, extra=note)
        self._changed(key)
        return True

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._book.wakeup.wait()
        except TimeoutError:
            return


def _meaning(reading: Reading) -> str:
    """A measurement without its time, NaN equal to itself."""
    values = {field.name: getattr(reading, field.name) for field in dataclasses.fields(reading) if field.name != "at"}
    return repr({k: sorted(v.items()) if isinstance(v, Mapping) else v for k, v in values.items()})


def _fraction(key: ObjectKey) -> float:
    """A number in [0, 1) that is the same for the same object in every process."""
    return zlib.crc32(f"{key.namespace}/{key.name}".encode()) / 2**32
