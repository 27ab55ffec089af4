"""One query for many objects: how many at once, and what becomes of the others where one of them is too much.

A query is no longer than any store takes it, and no larger an answer is expected than the smallest limit that an
installer can set; what an object's part of an answer weighs is known from the one before. Where a query about several
fails all the same, those that can be answered are: it is asked again in pieces, and the object that is to blame is
asked by itself for a while. No more is asked of a server that answers nobody than whether it answers one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import NamedTuple

from accord.domain.plan import ObjectKey
from accord.domain.questions import Template
from accord.domain.samples import Answer, Shape
from accord.ports.metrics import Metrics

LONGEST = 16_000
"""Characters of a query. VictoriaMetrics takes 16 KiB (`-search.maxQueryLen`), Prometheus any number."""
HEAVIEST = 768 * 1024
"""Bytes of an answer that are aimed at. The limit of an endpoint (`maxResponseMib`) is 1 MiB or more."""
_UNKNOWN = 16 * 1024
"""What the part of an object may weigh that was not answered for yet."""
_APART = 20
"""Measurements that an object is asked for by itself, after it was to blame for a failure."""
_AT_ONCE = 2
"""Queries of one kind under way: the time that one waits for its turn at the endpoint counts against its limit."""
_OF_THE_ENDPOINT = ("UnknownEndpoint", "NotAllowed", "Unreachable")
"""Failures that have nothing to do with what was asked."""
_PIECES = 8
"""Into how many a query that failed is cut: few steps to the one to blame, where each may take a time limit."""

Deliver = Callable[[ObjectKey, Answer], Awaitable[None]]


class Member(NamedTuple):
    """An object that is asked about."""

    key: ObjectKey
    scope: Hashable


class Asker:
    """Asks about the objects of one question. Remembers of each how much there is to be said about it."""

    def __init__(self, metrics: Metrics, shape: Shape) -> None:
        self._metrics, self._shape = metrics, shape
        self._weights: dict[ObjectKey, float] = {}
        self._apart: dict[ObjectKey, int] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._probed = 0

    def forget(self, key: ObjectKey) -> None:
        """An object is gone."""
        self._weights.pop(key, None)
        self._apart.pop(key, None)

    async def ask(self, endpoint: str, template: Template, members: Sequence[Member], deliver: Deliver) -> None:
        """Ask about all of them, in as few queries as may be, and deliver each one's answer as soon as it is there."""
        # In a stable order, with those side by side that need the same.
        ordered = sorted(members, key=lambda member: (repr(member.scope), member.key))
        together = [member for member in ordered if member.key not in self._apart]
        batches: list[Sequence[Member]] = [[member] for member in ordered if member.key in self._apart]
        batches += self._cut_to_size(template, together) if together else []
        about = _About(endpoint, template, deliver)
        # An error in one of them must not end the others.
        for done in await asyncio.gather(*(self._together(about, batch) for batch in batches), return_exceptions=True):
            if done is not None:
                raise done

    async def _together(self, about: _About, members: Sequence[Member]) -> None:
        await self._settle(about, members, await self._query(about, members))

    def _cut_to_size(self, template: Template, members: Sequence[Member]) -> list[Sequence[Member]]:
        """Into batches of which each may be asked at once."""
        if len(_scopes(members)) > 1:
            weights = {member.scope: self._weights.get(member.key, _UNKNOWN) for member in members}
            if sum(weights.values()) > HEAVIEST or len(template.promql(_scopes(members))) > LONGEST:
                return [batch for half in _cut(members, 2) for batch in self._cut_to_size(template, half)]
        return [members]

    async def _query(self, about: _About, members: Sequence[Member]) -> Answer:
        async with self._turns:
            promql = about.template.promql(_scopes(members))
            return await self._metrics.query(about.endpoint, promql, self._shape)

    async def _settle(
        self, about: _About, members: Sequence[Member], answer: Answer, *, others_are_well: bool = False
    ) -> None:
        """Hand out an answer; or ask again in pieces, where it is a failure that need not be everybody's."""
        if answer.failure is None:
            await self._hand_out(about, members, answer)
        elif len(_scopes(members)) == 1 or answer.failure in _OF_THE_ENDPOINT:
            await self._fail(about, members, answer, blamed=others_are_well)
        else:
            # What is too large may be so in all its parts; it is said soon, too.
            is_size = answer.failure == "TooLarge"
            pieces = _cut(members, 2 if is_size else _PIECES)
            answers = await asyncio.gather(*(self._query(about, piece) for piece in pieces))
            well = others_are_well or is_size or any(each.failure is None for each in answers)
            are_single = all(len(_scopes(piece)) == 1 for piece in pieces)
            well = well or (not are_single and await self._is_one_well(about, members))
            if are_single and not is_size and all(each.failure is None for each in answers):
                # Too much together, and it is not known which of them is.
                self._apart.update((member.key, _APART) for member in members)
            for piece, each in zip(pieces, answers, strict=True):
                if well:
                    await self._settle(about, piece, each, others_are_well=True)
                else:
                    await self._fail(about, piece, each, blamed=False)

    async def _is_one_well(self, about: _About, members: Sequence[Member]) -> bool:
        """Whether the server answers for one of them; each time it is another one."""
        self._probed += 1
        one = members[self._probed % len(members)]
        return (await self._query(about, [one])).failure is None

    async def _hand_out(self, about: _About, members: Sequence[Member], answer: Answer) -> None:
        scopes = _scopes(members)
        parts = about.template.parts(answer, scopes)
        values = {scope: _values(part) for scope, part in parts.items()}
        each = answer.size / max(sum(values.values()), 1)
        for key, scope in members:
            self._weights[key] = each * values[scope]
            if len(scopes) == 1 and key in self._apart:
                self._apart[key] -= 1
                if not self._apart[key]:
                    del self._apart[key]
            await about.deliver(key, parts[scope])

    async def _fail(self, about: _About, members: Sequence[Member], answer: Answer, *, blamed: bool) -> None:
        is_theirs = answer.failure not in _OF_THE_ENDPOINT
        for key, _ in members:
            if is_theirs and (blamed or key in self._apart):
                self._apart[key] = _APART
            await about.deliver(key, answer)


class _About(NamedTuple):
    """What stays the same while a question is asked in pieces."""

    endpoint: str
    template: Template
    deliver: Deliver


def _scopes(members: Sequence[Member]) -> list[Hashable]:
    """Each once."""
    return list(dict.fromkeys(member.scope for member in members))


def _cut(members: Sequence[Member], pieces: int) -> list[Sequence[Member]]:
    """Into at most so many pieces of about the same length. Those with the same scope stay together."""
    groups: dict[Hashable, list[Member]] = {}
    for member in members:
        groups.setdefault(member.scope, []).append(member)
    parts, count = list(groups.values()), min(pieces, len(groups))
    ends = [len(parts) * number // count for number in range(count + 1)]
    return [[member for part in parts[begin:end] for member in part] for begin, end in itertools.pairwise(ends)]


def _values(part: Answer) -> int:
    """How many values there are in it."""
    return len(part.samples) + sum(len(each.points) for each in part.series)
