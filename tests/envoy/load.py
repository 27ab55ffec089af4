"""Requests in numbers."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.envoy.http1 import Client, Reply


async def send(port: int, count: int, *, clients: int = 16, method: str = "GET", **headers: str) -> list[Reply]:
    """`count` requests over some connections at once."""
    left = iter(range(count))
    replies: list[Reply] = []

    async def work() -> None:
        async with Client(port) as client:
            replies.extend([await client.request(method, "/", headers) for _ in left])

    await asyncio.gather(*(work() for _ in range(clients)))
    return replies


def shares(replies: list[Reply]) -> dict[str, float]:
    """Percent of the answers by mode."""
    counted = collections.Counter(reply.body for reply in replies)
    return {mode: 100 * number / len(replies) for mode, number in counted.items()}


@asynccontextmanager
async def steady_load(port: int, clients: int = 4) -> AsyncIterator[list[Reply]]:
    """Requests without pause while the block runs; every answer is in the list, an exception fails the block."""
    replies: list[Reply] = []
    stop = asyncio.Event()

    async def work() -> None:
        async with Client(port) as client:
            while not stop.is_set():
                replies.append(await client.get())

    tasks = [asyncio.create_task(work()) for _ in range(clients)]
    try:
        yield replies
    finally:
        stop.set()
        await asyncio.gather(*tasks)
