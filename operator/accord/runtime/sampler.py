"""Measures each object every `monitoring.interval`, beside the queue: a slow Prometheus never delays routing.

The measurements are spread in time. A pass is asked for only when the new one says something else than the last.
"""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import logging
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from accord.api.v1alpha1.meta import ObjectMeta
from accord.domain.plan import ObjectKey
from accord.domain.samples import Answer, Shape
from accord.observability.logs import about
from accord.ports.clock import Clock
from accord.ports.metrics import Metrics

log = logging.getLogger(__name__)

# New objects are measured at once, a thousand of them over ten seconds; from then on they are spread over the interval.
_SPREAD_EACH = 0.01
_AFTER_ERROR = timedelta(minutes=1)


class Monitoring(Protocol):
    """The part of a spec that says whom to ask, and how often."""

    @property
    def endpoint(self) -> str:
        """Name of a Prometheus endpoint."""

    @property
    def interval(self) -> timedelta:
        """Time between two measurements."""


class Spec(Protocol):
    """A spec with that part."""

    @property
    def monitoring(self) -> Monitoring:
        """That part."""


class Subject(Protocol):
    """An object that is measured."""

    @property
    def metadata(self) -> ObjectMeta:
        """Its metadata."""

    @property
    def spec(self) -> Spec:
        """Its spec."""


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


def always(subject: Subject, _: datetime) -> timedelta | None:
    """Measured every `monitoring.interval`, as long as it exists."""
    return subject.spec.monitoring.interval


@dataclass(order=True)
class _Beat:
    """One schedule of one object; a changed interval starts another, and what was due by the old one is void."""

    interval: timedelta
    in_step: bool = field(default=False, compare=False)
    """Whether it has its own place within the interval: those that came together are not measured together for ever."""


class Sampler(Generic[S, R]):
    """The book of measurements, and what keeps it. Only the leader runs it."""

    def __init__(
        self,
        read: Callable[[ObjectKey], S | None],
        metrics: Metrics,
        ask: Callable[[S, datetime], str],
        interpret: Callable[[S, Answer, datetime], R],
        changed: Callable[[ObjectKey], None],
        clock: Clock,
        schedule: Callable[[S, datetime], timedelta | None] = always,
        shape: Shape = "vector",
        is_custom: Callable[[S], bool] = lambda _: False,
    ) -> None:
        """`read` finds an object (None: gone; ValueError: unreadable); `changed` asks for a pass; `schedule` says how
        often it is measured (None: no more, until it changes); `shape` is what `ask`'s question returns; `is_custom`
        says that the question is written in the object.
        """
        self._read, self._metrics, self._ask, self._interpret = read, metrics, ask, interpret
        self._changed, self._clock, self._schedule = changed, clock, schedule
        self._shape, self._is_custom = shape, is_custom
        self.book: dict[ObjectKey, R] = {}
        self._new: set[ObjectKey] = set()
        self._known: dict[ObjectKey, _Beat] = {}
        self._due: list[tuple[float, ObjectKey, _Beat]] = []
        self._broken: set[ObjectKey] = set()
        """Objects whose last measurement ended in an error of ours."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakeup = asyncio.Event()

    def track(self, key: ObjectKey) -> None:
        """An object exists or has changed."""
        self._new.add(key)
        self._wakeup.set()

    def forget(self, key: ObjectKey) -> None:
        """An object is gone."""
        self._known.pop(key, None)
        self._new.discard(key)
        self._broken.discard(key)
        self.book.pop(key, None)

    async def run(self) -> None:
        """Measure until cancelled. What is in flight then is dropped, and so are the schedule and the book:
        in a later term of this replica nothing that it read in this one is news.
        """
        try:
            while True:
                self._admit()
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    self._start(*heapq.heappop(self._due))
                await self._sleep(self._due[0][0] - now if self._due else None)
        finally:
            for task in self._tasks:
                task.cancel()
            self._new |= self._known.keys()
            self._known.clear()
            self._due.clear()
            self.book.clear()
            self._broken.clear()

    def _admit(self) -> None:
        now, batch = time.monotonic(), self._new
        self._new = set()
        self._wakeup.clear()
        for key in batch:
            interval = self._interval(key)
            known = self._known.get(key)
            if interval is None or (known is not None and known.interval == interval):
                continue
            beat = self._known[key] = _Beat(interval)
            window = min(interval.total_seconds(), _SPREAD_EACH * len(batch))
            heapq.heappush(self._due, (now + _fraction(key) * window, key, beat))

    def _interval(self, key: ObjectKey) -> timedelta | None:
        try:
            subject = self._read(key)
        except ValueError:
            return None
        try:
            return None if subject is None else self._schedule(subject, self._clock.now())
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            # One object must not end the measuring of all, nor this error that of the object.
            self._complain(key)
            return _AFTER_ERROR

    def _start(self, due: float, key: ObjectKey, beat: _Beat) -> None:
        if self._known.get(key) is not beat:
            return
        task = asyncio.get_running_loop().create_task(self._measure(due, key, beat))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _measure(self, due: float, key: ObjectKey, beat: _Beat) -> None:
        """One measurement, and the next one put down: whatever this one came to, the beat goes on."""
        goes_on = True
        try:
            goes_on = await self._look(key)
            self._broken.discard(key)
        except Exception:  # noqa: BLE001 - whatever it is, it is said
            self._complain(key)
        if self._known.get(key) is not beat:
            if key not in self._known:
                # It went while it was measured.
                self._broken.discard(key)
            return
        if goes_on:
            # The beat is kept, and a query that took longer than the interval is not made up for.
            pause = beat.interval.total_seconds() * (1.0 if beat.in_step else _fraction(key))
            beat.in_step = True
            heapq.heappush(self._due, (max(due + pause, time.monotonic()), key, beat))
            self._wakeup.set()
        else:
            del self._known[key]

    async def _look(self, key: ObjectKey) -> bool:
        """Ask, and enter the answer in the book. False where the object is measured no more until it changes."""
        try:
            subject = self._read(key)
        except ValueError:
            return True
        if subject is None:
            return True
        if self._schedule(subject, self._clock.now()) is None:
            return False
        answer = await self._metrics.query(
            subject.spec.monitoring.endpoint,
            self._ask(subject, self._clock.now()),
            self._shape,
            subject.metadata.namespace if self._is_custom(subject) else None,
        )
        self._enter(key, subject, self._interpret(subject, answer, self._clock.now()))
        return True

    def _complain(self, key: ObjectKey) -> None:
        """Once, until a measurement succeeds again."""
        level = logging.DEBUG if key in self._broken else logging.ERROR
        self._broken.add(key)
        note = about(key.kind, key.namespace, key.name)
        log.log(level, "unexpected error in a measurement; please report it", exc_info=True, extra=note)

    def _enter(self, key: ObjectKey, subject: S, measured: R) -> None:
        if key not in self._known:
            return
        before = self.book.get(key)
        self.book[key] = measured
        if before is not None and _meaning(before) == _meaning(measured):
            return
        told = before is not None and (before.outcome, before.message) == (measured.outcome, measured.message)
        if measured.outcome == "QueryFailed" and not told:
            note = about(key.kind, key.namespace, key.name, subject.metadata.generation, measured.outcome)
            log.warning("measurement failed: %s", measured.message, extra=note)
        self._changed(key)

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wakeup.wait()
        except TimeoutError:
            return


def _meaning(reading: Reading) -> str:
    """A measurement without its time, NaN equal to itself."""
    values = {field.name: getattr(reading, field.name) for field in dataclasses.fields(reading) if field.name != "at"}
    return repr({k: sorted(v.items()) if isinstance(v, Mapping) else v for k, v in values.items()})


def _fraction(key: ObjectKey) -> float:
    """A number in [0, 1) that is the same for the same object in every process."""
    return zlib.crc32(f"{key.namespace}/{key.name}".encode()) / 2**32
