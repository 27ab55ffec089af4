"""One query for many, and what becomes of the others where one of them is too much."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.domain.plan import ObjectKey
from accord.domain.samples import Answer, Failure, Sample, Shape
from accord.runtime.asking import HEAVIEST, LONGEST, Asker, Member

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Names:
    """A query that is the names of those that it is about."""

    width: int = 0

    def promql(self, scopes: Sequence[Any]) -> str:
        return ",".join(f"{scope:0>{self.width}}" for scope in scopes)

    def parts(self, answer: Answer, scopes: Sequence[Any]) -> Any:
        by = {sample.labels["name"]: sample for sample in answer.samples}
        return {scope: Answer((by[scope],), size=answer.size) for scope in scopes}


@dataclass
class World:
    """A Prometheus with a rule of the test's own for what it cannot answer."""

    fails: Callable[[list[str]], Failure | None] = lambda _: None
    sizes: dict[str, int] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    template: Names = Names()

    def __post_init__(self) -> None:
        self.asker = Asker(self, "vector")
        self.waiting = self.most = 0

    async def query(self, endpoint: str, promql: str, shape: Shape = "vector", author: str | None = None) -> Answer:
        assert (endpoint, shape, author) == ("default", "vector", None)
        assert len(promql) <= LONGEST
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        names = [name.lstrip("0") for name in promql.split(",")]
        self.asked.append(names)
        if (failure := self.fails(names)) is not None:
            return Answer(failure=failure, message=f"{failure} of {len(names)}")
        size = sum(self.sizes.get(name, 100) for name in names)
        return Answer(tuple(Sample({"name": name}, 1.0, NOW) for name in names), size=size)

    async def ask(self, *names: str, scope: Callable[[str], str] = lambda name: name) -> dict[str, Answer]:
        """Once about all of these."""
        self.asked.clear()
        got: dict[str, Answer] = {}

        async def deliver(key: ObjectKey, answer: Answer) -> None:
            assert key.name not in got, "answered twice"
            got[key.name] = answer

        members = [Member(ObjectKey("v1", "K", "ns", name), scope(name)) for name in names]
        await self.asker.ask("default", self.template, members, deliver)
        return got


MANY = [f"o{number}" for number in range(100, 130)]


async def test_many_are_one_query() -> None:
    world = World()
    got = await world.ask(*MANY)
    assert world.asked == [MANY]
    assert {name: [sample.labels["name"] for sample in answer.samples] for name, answer in got.items()} == {
        name: [name] for name in MANY
    }


async def test_those_that_need_the_same_are_asked_about_once() -> None:
    world = World()
    got = await world.ask("p", "q", "r", scope=lambda _: "ns")
    assert world.asked == [["ns"]]
    assert set(got) == {"p", "q", "r"}


async def test_a_query_that_would_be_too_long_is_cut() -> None:
    world = World(template=Names(LONGEST // 7))
    await world.ask(*MANY)
    assert sorted(name for names in world.asked for name in names) == MANY
    assert max(map(len, world.asked)) <= 7
    assert len(world.asked) <= 8


async def test_an_answer_that_would_be_too_large_is_not_asked_for_again() -> None:
    # Given objects of which it is not known yet that each is a quarter of what is aimed at
    world = World(sizes=dict.fromkeys(MANY, HEAVIEST // 4))
    await world.ask(*MANY)
    assert len(world.asked) == 1
    await world.ask(*MANY)
    assert max(map(len, world.asked)) <= 4


async def test_an_answer_that_is_too_large_is_halved() -> None:
    world = World(lambda names: "TooLarge" if len(names) > 8 else None)
    got = await world.ask(*MANY)
    assert [len(names) for names in world.asked[:3]] == [30, 15, 15]
    assert all(answer.failure is None for answer in got.values())


@pytest.mark.parametrize("failure", ["TooLarge", "Timeout", "Refused", "Partial", "Malformed"])
async def test_one_that_is_too_much_blinds_no_other_and_is_asked_by_itself_from_then_on(failure: Failure) -> None:
    world = World(lambda names: failure if "o117" in names else None)
    for turn in range(30):
        got = await world.ask(*MANY)
        assert [name for name, answer in got.items() if answer.failure is not None] == ["o117"]
        # Then only the first time costs more than one query for it, and one for all the others
        assert len(world.asked) <= (20 if turn == 0 else 2)


async def test_one_that_has_mended_is_asked_with_the_others_again() -> None:
    sick = {"o117"}
    world = World(lambda names: "Timeout" if sick & set(names) else None)
    await world.ask(*MANY)
    sick.clear()
    for _ in range(20):
        await world.ask(*MANY)
        assert len(world.asked) == 2
    await world.ask(*MANY)
    assert world.asked == [MANY]


@pytest.mark.parametrize("failure", ["Unreachable", "UnknownEndpoint", "NotAllowed"])
async def test_a_server_that_is_away_is_asked_once(failure: Failure) -> None:
    world = World(lambda _: failure)
    got = await world.ask(*MANY)
    assert len(world.asked) == 1
    assert {answer.failure for answer in got.values()} == {failure}


async def test_nobody_is_to_blame_for_a_server_that_goes_while_it_is_asked_in_pieces() -> None:
    # Given one that is too slow for all, answers about the first of them, and is then away
    def fails(names: list[str]) -> Failure | None:
        if len(names) == len(MANY):
            return "Timeout"
        return None if MANY[0] in names else "Unreachable"

    world = World(fails)
    got = await world.ask(*MANY)
    assert {answer.failure for answer in got.values()} == {None, "Unreachable"}
    # When it is back, then all are asked together at once
    world.fails = lambda _: None
    await world.ask(*MANY)
    assert world.asked == [MANY]


@pytest.mark.parametrize("failure", ["Timeout", "Refused"])
async def test_a_server_that_answers_nobody_is_asked_little(failure: Failure) -> None:
    down = True
    world = World(lambda _: failure if down else None)
    for _ in range(3):
        got = await world.ask(*MANY)
        assert len(world.asked) <= 10
        assert {answer.failure for answer in got.values()} == {failure}
    # When it is back, then all are asked together at once
    down = False
    await world.ask(*MANY)
    assert world.asked == [MANY]


async def test_those_to_blame_are_found_also_where_every_piece_has_one() -> None:
    sick = set(MANY[::3])
    world = World(lambda names: "Timeout" if sick & set(names) else None)
    for _ in range(len(MANY)):
        got = await world.ask(*MANY)
        if {name for name, answer in got.items() if answer.failure is not None} == sick:
            break
    got = await world.ask(*MANY)
    assert {name for name, answer in got.items() if answer.failure is not None} == sick
    assert len(world.asked) == len(sick) + 1


async def test_few_are_under_way_at_once() -> None:
    world = World(lambda names: "Refused" if len(names) > 1 else None)
    got = await world.ask(*MANY)
    assert world.most == 2
    assert not any(answer.failure for answer in got.values())
    # Each is well by itself, and together they are not: so they stay apart for a while.
    await world.ask(*MANY)
    assert len(world.asked) == len(MANY)


async def test_of_an_object_that_is_gone_nothing_is_remembered() -> None:
    world = World(lambda names: "Refused" if "o117" in names else None)
    await world.ask(*MANY)
    for name in MANY:
        world.asker.forget(ObjectKey("v1", "K", "ns", name))
    assert not world.asker._weights
    assert not world.asker._apart


@given(st.sets(st.sampled_from(MANY)), st.sampled_from(["TooLarge", "Timeout", "Refused"]), st.integers(2, 40))
def test_whoever_is_to_blame_everybody_is_answered_once(sick: set[str], failure: Failure, most: int) -> None:
    world = World(lambda names: failure if len(names) > most or sick & set(names) else None)

    async def run() -> None:
        for _ in range(2):
            got = await world.ask(*MANY)
            assert sorted(got) == MANY
            assert all(got[name].failure for name in sick)
            repeated = Counter(tuple(names) for names in world.asked)
            # A probe may ask one again that is asked by itself anyway.
            assert sum(count - 1 for count in repeated.values()) <= 1 + len(world.asked) // 8

    asyncio.run(run())
