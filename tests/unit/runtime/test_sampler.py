"""The sampler: in its own time, never twice for one policy, and quiet when nothing changed."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from accord.api.v1alpha1.trafficpolicy import TrafficPolicy
from accord.domain.plan import ObjectKey
from accord.domain.questions import Ask, Custom, Question, Shared
from accord.domain.samples import Answer, Shape
from accord.domain.traffic.observed import Measurement
from accord.ports.clock import SystemClock
from accord.runtime import sampler
from accord.runtime.book import Book, Inquiry
from accord.runtime.sampler import Sampler


def key(name: str) -> ObjectKey:
    return ObjectKey("accord.dev/v1alpha1", "TrafficPolicy", "ns", name)


def policy(name: str, interval: str = "1s") -> TrafficPolicy:
    mode = {"name": "a", "weight": 100, "deploymentRef": {"name": "a"}, "port": 80}
    return TrafficPolicy.model_validate(
        {
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"modes": [mode], "monitoring": {"interval": interval}},
        }
    )


@dataclass(frozen=True)
class Alone:
    """A query that no two objects have."""

    name: str

    def promql(self, _: Any) -> str:
        return self.name

    def parts(self, answer: Answer, scopes: Any) -> Any:
        return dict.fromkeys(scopes, answer)


class World:
    """Policies, a Prometheus whose answers the test chooses, and what the sampler asked for."""

    def __init__(self) -> None:
        self.policies: dict[ObjectKey, TrafficPolicy] = {}
        self.asked: Counter[str] = Counter()
        self.now_asking: Counter[str] = Counter()
        self.outcome: Any = "NoTraffic"
        self.requests: dict[str, float] = {}
        self.delay: dict[str, float] = {}
        self.changed: list[ObjectKey] = []
        self.authors: dict[str, str | None] = {}
        self.ended: set[str] = set()
        self.question: Callable[[TrafficPolicy], Ask] | None = None
        """Instead of the usual one."""
        self.book: Book[Measurement] = Book()
        question = Question(self.ask, lambda *given: self.interpret(*given), lambda *given: self.schedule(*given))
        self.sampler = Sampler(
            Inquiry(question, self.policies.get, self.book), self, self.changed.append, SystemClock()
        )

    def ask(self, policy: TrafficPolicy, _: datetime) -> Ask:
        """One for itself; and one that could be asked with others, did not each ask another thing."""
        if self.question is not None:
            return self.question(policy)
        name = policy.metadata.name
        return Custom(name) if name == "custom" else Shared(Alone(name), name)

    def schedule(self, policy: TrafficPolicy, _: datetime) -> timedelta | None:
        return None if policy.metadata.name in self.ended else policy.spec.monitoring.interval

    async def query(self, endpoint: str, promql: str, shape: Shape = "vector", author: str | None = None) -> Answer:
        assert (endpoint, shape) == ("default", "vector")
        self.now_asking[promql] += 1
        assert self.now_asking[promql] == 1, "asked twice at once"
        await asyncio.sleep(self.delay.get(promql, 0))
        self.now_asking[promql] -= 1
        self.asked[promql] += 1
        self.authors[promql] = author
        return Answer()

    def interpret(self, _: TrafficPolicy, __: Answer, now: datetime) -> Measurement:
        return Measurement(self.outcome, now, dict(self.requests))

    def add(self, name: str, interval: str) -> None:
        self.policies[key(name)] = policy(name, interval)
        self.book.want(key(name))


@pytest.fixture
async def world() -> Any:
    made = World()
    running = asyncio.create_task(made.sampler.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_new_policy_is_measured_at_once_and_again_after_its_interval(world: World) -> None:
    world.add("p", "100ms")
    await until(lambda: world.asked["p"] >= 4)
    assert world.book[key("p")].outcome == "NoTraffic"


async def test_a_question_that_is_written_in_the_object_is_asked_for_its_namespace(world: World) -> None:
    world.add("custom", "10s")
    world.add("ours", "10s")
    await until(lambda: len(world.authors) == 2)
    assert world.authors == {"custom": "ns", "ours": None}


async def test_only_news_ask_for_a_pass(world: World) -> None:
    world.add("p", "20ms")
    await until(lambda: world.asked["p"] >= 3)
    assert world.changed == [key("p")]
    world.outcome, world.requests = "Measured", {"a": 1.0}
    await until(lambda: len(world.changed) == 2)
    world.requests = {"a": float("nan")}
    await until(lambda: len(world.changed) == 3)
    seen = world.asked["p"]
    await until(lambda: world.asked["p"] > seen + 2)
    assert len(world.changed) == 3


async def test_policies_that_came_together_are_spread_over_the_interval(world: World) -> None:
    names = [f"p{number}" for number in range(40)]
    for name in names:
        world.add(name, "1h")
    await until(lambda: all(world.asked[name] == 1 for name in names))
    await until(lambda: len(world.sampler._due) == len(names))
    due = sorted(at for at, *_ in world.sampler._due)
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert due[-1] - due[0] > 45 * 60
    assert max(gaps) < 15 * 60


async def test_a_slow_answer_delays_only_its_own_policy(world: World) -> None:
    world.delay["slow"] = 60
    world.add("slow", "10ms")
    world.add("quick", "20ms")
    await until(lambda: world.asked["quick"] >= 3)
    assert world.now_asking["slow"] == 1
    assert world.asked["slow"] == 0


async def test_a_changed_interval_replaces_the_old_one(world: World) -> None:
    world.add("p", "10ms")
    await until(lambda: world.asked["p"] > 2)
    world.add("p", "1h")
    await asyncio.sleep(0.05)
    seen = world.asked["p"]
    await asyncio.sleep(0.1)
    assert world.asked["p"] <= seen + 1


async def test_an_answer_to_what_is_not_asked_any_more_counts_for_nothing(world: World) -> None:
    """The policy has another query by the time: what comes is asked with that."""
    world.delay["custom"] = 0.1
    world.add("custom", "1s")
    await until(lambda: world.now_asking["custom"])
    world.question = lambda _: Custom("other")
    await until(lambda: world.book)
    assert (world.asked["custom"], world.asked["other"]) == (1, 1)


async def test_those_that_wait_for_an_answer_hold_no_object() -> None:
    """They may be all there are, and an object as a model is large."""
    world, read_ones = World(), list[weakref.ref[TrafficPolicy]]()

    def read(wanted: ObjectKey) -> TrafficPolicy:
        made = policy(wanted.name)
        read_ones.append(weakref.ref(made))
        return made

    question = Question(lambda p, _: Custom(p.metadata.name), world.interpret, world.schedule)
    running = asyncio.create_task(
        Sampler(Inquiry(question, read, world.book), world, world.changed.append, SystemClock()).run()
    )
    for number in range(20):
        world.delay[f"p{number}"] = 3600
        world.book.want(key(f"p{number}"))
    await until(lambda: world.now_asking.total() == 20)
    gc.collect()
    assert sum(each() is not None for each in read_ones) <= 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_policy_that_is_gone_is_forgotten(world: World) -> None:
    world.add("p", "10ms")
    await until(lambda: key("p") in world.book)
    del world.policies[key("p")]
    world.sampler.forget(key("p"))
    await asyncio.sleep(0.03)
    seen = world.asked["p"]
    await asyncio.sleep(0.05)
    assert world.asked["p"] == seen
    assert world.book == {}


async def test_a_term_begins_with_an_empty_book_and_measures_everything_again() -> None:
    world = World()
    world.add("p", "1h")
    for term in (1, 2):
        assert not world.book
        running = asyncio.create_task(world.sampler.run())
        await until(lambda term=term: world.asked["p"] == term and world.book)
        assert world.book[key("p")].at > datetime.now(UTC) - timedelta(seconds=10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not world.book


async def test_an_object_that_is_deleted_between_two_terms_leaves_nothing() -> None:
    world = World()
    world.add("p", "1h")
    running = asyncio.create_task(world.sampler.run())
    await until(lambda: key("p") in world.book)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    world.sampler.forget(key("p"))
    made = world.sampler
    assert not any((world.book, world.book.take(), made._known, made._due, made._broken))


async def test_what_has_ended_is_measured_no_more_until_it_changes() -> None:
    world = World()
    running = asyncio.create_task(world.sampler.run())
    world.add("p", "10ms")
    await until(lambda: world.asked["p"] > 2)
    world.ended.add("p")
    await asyncio.sleep(0.05)
    seen = world.asked["p"]
    world.book.want(key("p"))
    await asyncio.sleep(0.05)
    assert world.asked["p"] == seen
    world.ended.clear()
    world.book.want(key("p"))
    await until(lambda: world.asked["p"] > seen)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_error_while_measuring_does_not_end_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    # Given one object whose answers make the interpretation fail, and another
    broken = {"p": True}
    interpret = world.interpret

    def fails(subject: TrafficPolicy, answer: Answer, now: datetime) -> Measurement:
        if broken.get(subject.metadata.name):
            raise ZeroDivisionError
        return interpret(subject, answer, now)

    world.interpret = fails  # type: ignore[method-assign]
    world.add("p", "20ms")
    world.add("q", "20ms")
    await until(lambda: world.asked["p"] >= 4 and world.asked["q"] >= 4)
    assert key("p") not in world.book
    # Then it is said once, and both are asked for as often as before
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    # When it can be interpreted again, then it is measured as if nothing had been
    broken.clear()
    await until(lambda: key("p") in world.book)


async def test_an_error_of_the_schedule_ends_neither_its_measuring_nor_that_of_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "_AFTER_ERROR", timedelta(milliseconds=20))
    broken = {"p": True}

    def schedule(subject: TrafficPolicy, _: datetime) -> timedelta | None:
        if broken.get(subject.metadata.name):
            raise ValueError(subject)
        return subject.spec.monitoring.interval

    world.schedule = schedule  # type: ignore[method-assign]
    world.add("p", "20ms")
    world.add("q", "20ms")
    await until(lambda: world.asked["q"] >= 3)
    assert world.asked["p"] == 0
    broken.clear()
    await until(lambda: world.asked["p"] >= 2)


async def test_of_an_object_that_is_gone_nothing_is_remembered(world: World) -> None:
    world.add("p", "20ms")
    await until(lambda: world.asked["p"] >= 2)
    world.sampler._broken.add(key("p"))
    del world.policies[key("p")]
    world.sampler.forget(key("p"))
    made = world.sampler
    assert not any((world.book, world.book.take(), made._known, made._broken))


async def test_of_an_object_that_goes_while_its_measurement_fails_nothing_is_remembered(world: World) -> None:
    world.delay["p"] = 0.05
    world.outcome = None
    world.add("p", "1h")
    await until(lambda: world.now_asking["p"])
    world.interpret = lambda *_: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    world.sampler.forget(key("p"))
    await until(lambda: world.asked["p"] and not world.sampler._tasks)
    assert not world.sampler._broken


async def test_of_the_answer_for_an_object_that_goes_while_it_is_asked_about_nothing_is_remembered(
    world: World,
) -> None:
    world.delay["p"] = 0.05
    world.add("p", "1h")
    await until(lambda: world.now_asking["p"])
    world.sampler.forget(key("p"))
    await until(lambda: world.asked["p"] and not world.sampler._tasks)
    assert not world.sampler._asker._weights
    assert not world.book


async def test_a_prometheus_that_stays_away_is_told_once_while_other_figures_move(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.outcome = "QueryFailed"
    world.add("p", "10ms")
    for number in range(5):
        world.requests = {"a": float(number)}
        seen = world.asked["p"]
        await until(lambda seen=seen: world.asked["p"] > seen + 1)
    assert [record.message for record in caplog.records].count("measurement failed: ") == 1
    assert len(world.changed) > 1


@dataclass(frozen=True)
class Everybody:
    """A query that all objects have."""

    def promql(self, scopes: Any) -> str:
        return ",".join(scopes)

    def parts(self, answer: Answer, scopes: Any) -> Any:
        return dict.fromkeys(scopes, answer)


class Crowd(World):
    """Objects that are asked about together, in a time that the test makes pass."""

    def ask(self, policy: TrafficPolicy, _: datetime) -> Ask:
        name = policy.metadata.name
        return Custom(name) if name.startswith("custom") else Shared(Everybody(), name)

    async def go_on(self, seconds: float) -> list[tuple[float, str]]:
        """When what was asked."""
        await self.sampler._admit()
        begin = time.monotonic()
        asked = []
        while self.sampler._due and (now := self.sampler._due[0][0]) <= begin + seconds:
            seen = Counter(self.asked)
            await self.sampler._begin(now)
            await asyncio.gather(*self.sampler._tasks)
            asked += [(now - begin, promql) for promql in (self.asked - seen).elements()]
        return asked


async def test_those_that_are_due_soon_are_asked_with_the_first_and_none_too_late() -> None:
    crowd, interval, names = Crowd(), 3600.0, [f"p{number}" for number in range(60)]
    for name in names:
        crowd.add(name, "1h")
    asked = await crowd.go_on(10 * interval)
    # Then there are few queries in each interval, where there were sixty
    rounds = [at for at, _ in asked if at > 2 * interval]
    assert len(rounds) <= 8 * 4 + 1
    for name in names:
        times = [at for at, promql in asked if name in promql.split(",")]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps) < interval + 1
        # and after the first ones, in which it finds its place, each has its beat
        assert min(gaps[3:]) > interval * 0.7
        assert abs(times[-1] - times[4] - (len(times) - 5) * interval) < interval * 0.3


async def test_a_query_of_a_user_is_neither_early_nor_with_others() -> None:
    crowd = Crowd()
    for name in (*(f"p{number}" for number in range(10)), "custom-a", "custom-b"):
        crowd.add(name, "1h")
    asked = await crowd.go_on(5 * 3600)
    for name in ("custom-a", "custom-b"):
        times = [at for at, promql in asked if promql == name]
        assert [round(later - earlier) for earlier, later in pairwise(times)][1:] == [3600] * (len(times) - 2)
    assert not any("custom" in promql and "," in promql for _, promql in asked)


async def test_one_whose_answer_cannot_be_interpreted_spoils_no_other(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd()
    interpret = crowd.interpret

    def fails(subject: TrafficPolicy, answer: Answer, now: datetime) -> Measurement:
        if subject.metadata.name == "p":
            raise ZeroDivisionError
        return interpret(subject, answer, now)

    crowd.interpret = fails  # type: ignore[method-assign]
    for name in ("p", "q"):
        crowd.add(name, "1h")
    await crowd.go_on(5 * 3600)
    assert set(crowd.book) == {key("q")}
    assert crowd.asked["p,q"] == 1, "asked about together"
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


async def test_an_answer_that_cannot_be_taken_apart_ends_no_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd()
    monkeypatch.setattr(Everybody, "parts", lambda *_: {})
    for name in ("p", "q"):
        crowd.add(name, "1h")
    first = await crowd.go_on(3 * 3600)
    assert len(first) >= 3
    assert not crowd.book
